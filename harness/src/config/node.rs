//! A node's settings: an enum by provider, each with keys of its own.
//!
//! To add a provider: a struct of its keys ([`super::ec2`] has one), a line in [`providers`], and the arms that the compiler
//! then asks for.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use gpu_suites::spec::Environment;
use gpu_suites::unit::Span;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, forward_to_deserialize_any};

use super::ec2::Ec2Config;

/// The lease of a node that says nothing else.
pub const DEFAULT_LEASE: Duration = Duration::from_secs(120);

/// The keys of a node: those of every node, and its provider's own.
macro_rules! node_keys {
    ($(#[$doc:meta])* $name:ident { $( $(#[$key:meta])* $field:ident : $type:ty ),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $name {
            /// The agent's folder on the node; default: `~/.cache/gpu-harness` there.
            #[serde(default)]
            pub cache: Option<std::path::PathBuf>,
            /// Where libtorch is on the node; default: the agent looks for it.
            #[serde(default)]
            pub libtorch: Option<std::path::PathBuf>,
            /// What the node is made ready with.
            #[serde(default)]
            pub environment: gpu_suites::spec::Environment,
            /// How long the node goes on without hearing from the harness.
            #[serde(default)]
            pub lease: Option<gpu_suites::unit::Span>,
            $( $(#[$key])* pub $field: $type, )*
        }

        impl $name {
            /// What every node has.
            pub fn machine(&self) -> $crate::config::node::Machine {
                $crate::config::node::Machine {
                    cache: self.cache.clone(),
                    libtorch: self.libtorch.clone(),
                    environment: self.environment.clone(),
                    lease: self.lease,
                }
            }
        }
    };
}
pub(super) use node_keys;

/// What every node has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// The agent's folder on the node.
    pub cache: Option<PathBuf>,
    /// Where libtorch is on the node.
    pub libtorch: Option<PathBuf>,
    /// What the node is made ready with.
    pub environment: Environment,
    /// How long the node goes on without hearing from the harness.
    pub lease: Option<Span>,
}

impl Machine {
    /// The lease, where nothing is said the usual one.
    pub fn lease(&self) -> Duration {
        self.lease.map_or(DEFAULT_LEASE, |lease| lease.0)
    }
}

node_keys! {
    LocalConfig {}
}

node_keys! {
    /// A machine that is there already and is reached by ssh.
    SshConfig {
        /// `ssh://[user@]host[:port]`.
        address: String,
        /// The private key file to use.
        #[serde(default)]
        identity: Option<PathBuf>,
        /// The `known_hosts` file to verify the host by; default: OpenSSH's.
        #[serde(default)]
        known_hosts: Option<PathBuf>,
    }
}

/// The providers: how each is written, its variant and its keys.
macro_rules! providers {
    ($( $(#[$doc:meta])* $name:literal $variant:ident($config:ty) ),* $(,)?) => {
        /// A node of the project's own.
        #[derive(Debug, Clone)]
        pub enum NodeConfig {
            $( $(#[$doc])* $variant(Box<$config>), )*
        }

        /// Who has a node.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
        pub enum Provider {
            $( $(#[$doc])* #[serde(rename = $name)] $variant, )*
        }

        impl Provider {
            const ALL: &'static [Self] = &[$( Self::$variant ),*];

            /// As it is written.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $name, )*
                }
            }

            /// The keys of its nodes, besides `provider` itself.
            fn keys(self) -> &'static [&'static str] {
                match self {
                    $( Self::$variant => keys_of::<$config>(), )*
                }
            }

            fn read<'de, D: Deserializer<'de>>(self, keys: D) -> Result<NodeConfig, D::Error> {
                match self {
                    $( Self::$variant => Deserialize::deserialize(keys).map(NodeConfig::$variant), )*
                }
            }
        }
    };
}

providers! {
    "local" Local(LocalConfig),
    /// A machine that is there already.
    "ssh" Ssh(SshConfig),
    /// An instance of Amazon EC2 that is made for the run and given back after it.
    "ec2" Ec2(Ec2Config),
}

impl Provider {
    /// The providers whose nodes have a key that this one's have not.
    fn others_with(self, key: &str) -> Vec<&'static str> {
        let has = |provider: &Self| provider.keys().contains(&key);
        let others = Self::ALL.iter().filter(|other| !has(&self) && has(other));
        others.map(|other| other.name()).collect()
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The key that tells whose keys all others are. Whoever reads a file puts it before them.
const PROVIDER: &str = "provider";

impl<'de> Deserialize<'de> for NodeConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Keys)
    }
}

/// Reads the provider, and the rest as its keys: from the map itself, so that an error knows where it stands.
struct Keys;

impl<'de> Visitor<'de> for Keys {
    type Value = NodeConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeConfig, A::Error> {
        if map.next_key::<String>()?.as_deref() != Some(PROVIDER) {
            return Err(de::Error::missing_field(PROVIDER));
        }
        let provider: Provider = map.next_value()?;
        provider.read(MapAccessDeserializer::new(OwnKeys { provider, map }))
    }
}

/// The keys of a provider; one of another's is told by name.
struct OwnKeys<A> {
    provider: Provider,
    map: A,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for OwnKeys<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        self.map.next_key_seed(OwnKey { provider: self.provider, seed })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

struct OwnKey<K> {
    provider: Provider,
    seed: K,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for OwnKey<K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<K::Value, D::Error> {
        let key = String::deserialize(deserializer)?;
        let others = self.provider.others_with(&key);
        if !others.is_empty() {
            return Err(de::Error::custom(format!(
                "`{key}` does not apply to a node of provider {}: write it at one of provider {}, or take it out",
                self.provider,
                others.join(" or ")
            )));
        }
        self.seed.deserialize(key.into_deserializer())
    }
}

/// The keys that a struct is read from, as serde knows them.
fn keys_of<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Asker<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Asker<'_> {
        type Error = de::value::Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            Err(de::Error::custom("only its keys were asked for"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("no struct"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut keys: &'static [&'static str] = &[];
    let _ = T::deserialize(Asker(&mut keys));
    keys
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn told(node: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gpu-harness.yaml");
        std::fs::write(&path, format!("nodes:\n  gpu:\n{node}")).unwrap();
        let told = Config::read(&path, folder.path()).unwrap_err().to_string();
        told.replace(&path.display().to_string(), "gpu-harness.yaml")
    }

    #[test]
    fn a_key_of_another_provider_a_slip_and_a_missing_key_are_told_at_their_place() {
        for (node, said) in [
            (
                "    max-cost: 5\n    provider: ssh\n    address: ssh://gpu-box\n",
                &[
                    "`max-cost` does not apply to a node of provider ssh",
                    "gpu-harness.yaml:3:15\n",
                    "hint: write it at one of provider ec2,",
                ][..],
            ),
            (
                "    provider: local\n    address: ssh://gpu-box\n",
                &["`address` does not apply to a node of provider local", ":4:14\n", "provider ssh"],
            ),
            (
                "    provider: ec2\n    max-cots: 5\n    ttl: 5 apples\n",
                &["unknown key `max-cots`", ":4:5\n", "did you mean `max-cost`?", ":5:10\n"],
            ),
            ("    provider: ssh\n", &["the key `address` is missing", ":3:5\n"]),
            ("    address: ssh://gpu-box\n", &["the key `provider` is missing", ":3:5\n"]),
            ("    provider: gcp\n", &["`gcp` is not known here", ":3:15\n", "write one of: local, ssh, ec2"]),
        ] {
            let told = told(node);
            for said in said {
                assert!(told.contains(said), "{said} in {told}");
            }
        }
    }
}
