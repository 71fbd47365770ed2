//! What a node is told at its birth: when to end, which host key to show, and whose key to let in.
//!
//! The end comes first. The first part is a boothook, which cloud-init runs before everything else it does, so that a
//! node whose further user data is never carried out ends all the same. It tries three ways in turn, because at that
//! moment little of the system is up: see `arm.sh`.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::keys::NodeKeys;

/// Where the boothook leaves word of what it armed.
pub const MARKER: &str = "/run/gpu-harness-armed";
/// EC2 takes no more than this before base64.
pub const MOST: usize = 16 * 1024;

/// The boothook; `MINUTES` stands for the time to live.
const ARM: &str = include_str!("arm.sh");
/// No line of the parts can be this one.
const BOUNDARY: &str = "==gpu-harness-9c2f6e1ab7==";

/// A node's user data. It holds the node's private host key: it is overwritten when dropped, and not shown.
pub struct UserData {
    text: Zeroizing<String>,
}

impl UserData {
    /// What a node is to know that may live for `ttl` from its boot.
    pub fn new(ttl: Duration, keys: &NodeKeys) -> Self {
        let arm = ARM.replace("MINUTES", &minutes(ttl).to_string());
        let config = Zeroizing::new(cloud_config(keys));
        let part = |kind: &str, body: &str| {
            let head =
                format!("--{BOUNDARY}\nContent-Type: {kind}; charset=\"us-ascii\"\nMIME-Version: 1.0\n\n");
            Zeroizing::new(head + body)
        };
        let boothook = part("text/cloud-boothook", &arm);
        let config = part("text/cloud-config", &config);
        let head = format!("Content-Type: multipart/mixed; boundary=\"{BOUNDARY}\"\nMIME-Version: 1.0\n\n");
        let mut text = Zeroizing::new(String::with_capacity(MOST));
        for piece in [head.as_str(), &boothook, "\n", &config, "\n--", BOUNDARY, "--\n"] {
            text.push_str(piece);
        }
        Self { text }
    }

    /// As the API takes it.
    pub fn base64(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.text.as_bytes()))
    }

    /// As the node reads it.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({} bytes)", self.text.len())
    }
}

/// Whole minutes, up: never none.
fn minutes(ttl: Duration) -> u64 {
    ttl.as_secs().div_ceil(60).max(1)
}

fn cloud_config(keys: &NodeKeys) -> String {
    let indented = String::from_iter(keys.host.private_pem().lines().map(|line| format!("    {line}\n")));
    format!(
        "#cloud-config\n\
         ssh_deletekeys: true\n\
         ssh_keys:\n  ed25519_private: |\n{indented}  ed25519_public: {}\n\
         ssh_authorized_keys:\n  - {}\n",
        keys.host.public_line(),
        keys.client.public_line(),
    )
}

/// What a node's boothook armed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Armed {
    /// The way that worked: `systemd-run`, `shutdown` or `sleep`.
    pub way: String,
    /// Minutes from the boot to the end.
    pub minutes: u64,
}

impl Armed {
    /// Reads the marker's text; `None` where it is not what the boothook writes.
    pub fn read(marker: &str) -> Option<Self> {
        let mut words = marker.split_ascii_whitespace();
        let (way, minutes) = words.next().zip(words.next())?;
        let known = ["systemd-run", "shutdown", "sleep"].contains(&way) && words.next().is_none();
        Some(Self { way: way.to_owned(), minutes: minutes.parse().ok()? }).filter(|_| known)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::process::{Command, Output};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// The parts: the type of each, and its body.
    fn parts(text: &str) -> Vec<(&str, &str)> {
        let (_, rest) = text.split_once(&format!("--{BOUNDARY}\n")).unwrap();
        let (rest, _) = rest.rsplit_once(&format!("\n--{BOUNDARY}--\n")).unwrap();
        let part = |part| {
            let (head, body): (&str, &str) = str::split_once(part, "\n\n").unwrap();
            (head.lines().next().unwrap(), body)
        };
        rest.split(&format!("\n--{BOUNDARY}\n")).map(part).collect()
    }

    #[test]
    fn a_node_learns_first_when_to_end_and_then_its_host_key_and_whom_to_let_in() {
        let keys = NodeKeys::new().unwrap();
        let data = UserData::new(HOUR, &keys);
        let [(first, arm), (second, config)] = parts(data.text())[..] else { panic!("{data:?}") };
        assert_eq!(first, "Content-Type: text/cloud-boothook; charset=\"us-ascii\"");
        assert_eq!(second, "Content-Type: text/cloud-config; charset=\"us-ascii\"");
        assert!(arm.starts_with("#!/bin/sh\n") && arm.contains("\nminutes=60\n"), "{arm}");
        let config: serde_json::Value = serde_yaml::from_str(config).unwrap();
        assert_eq!(
            config,
            serde_json::json!({
                "ssh_deletekeys": true,
                "ssh_keys": {
                    "ed25519_private": keys.host.private_pem(),
                    "ed25519_public": keys.host.public_line(),
                },
                "ssh_authorized_keys": [keys.client.public_line()],
            })
        );
    }

    #[test]
    fn user_data_holds_no_key_of_ours_and_is_far_below_what_ec2_takes() {
        let keys = NodeKeys::new().unwrap();
        let data = UserData::new(Duration::MAX, &keys);
        let secret = keys.client.private_pem().lines().nth(2).unwrap();
        assert!(!data.text().contains(secret));
        assert!(data.text().is_ascii() && data.text().len() < MOST / 2, "{data:?}");
        assert_eq!(STANDARD.decode(data.base64().as_bytes()).unwrap(), data.text().as_bytes());
        let shown = format!("{data:?} {keys:?}");
        assert!(!shown.contains("PRIVATE") && !shown.contains(secret), "{shown}");
    }

    #[test]
    fn a_time_to_live_is_rounded_up_to_minutes_and_is_never_none() {
        for (seconds, expected) in [(0, 1), (1, 1), (60, 1), (61, 2), (3600, 60)] {
            assert_eq!(minutes(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_marker_is_read_as_the_boothook_writes_it_and_in_no_other_way() {
        let armed = Armed { way: "shutdown".into(), minutes: 45 };
        assert_eq!(Armed::read("shutdown 45\n"), Some(armed));
        for wrong in ["", "shutdown", "shutdown soon", "none 45", "shutdown 45 46", "45 shutdown"] {
            assert_eq!(Armed::read(wrong), None, "{wrong}");
        }
    }

    /// A machine on which the boothook finds only what it is given.
    struct Machine {
        root: tempfile::TempDir,
    }

    impl Machine {
        /// With these programs: each notes how it was called, and carries out the lines.
        fn with(programs: &[(&str, &str)]) -> Self {
            let machine = Self { root: tempfile::tempdir().unwrap() };
            let path = |below: &str| machine.root.path().join(below);
            for folder in ["bin", "run/systemd", "run/dbus", "proc"] {
                fs::create_dir_all(path(folder)).unwrap();
            }
            for tool in ["sh", "setsid", "timeout"] {
                let found = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(tool));
                symlink(found.iter().find(|file| file.exists()).unwrap(), path("bin").join(tool)).unwrap();
            }
            for (name, lines) in programs.iter().chain(&[("sleep", "exec /bin/sleep 0.3")]) {
                let calls = path("calls");
                let text = format!("#!/bin/sh\necho {name} \"$@\" >>{}\n{lines}\n", calls.display());
                let file = path("bin").join(name);
                fs::write(&file, text).unwrap();
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
            machine
        }

        fn boots(&self, shell: &str) -> Output {
            let root = self.root.path().display();
            let script = ARM
                .replace("PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin", &format!("PATH={root}/bin"))
                .replace("MINUTES", "45")
                .replace("/run/", &format!("{root}/run/"))
                .replace("/proc/", &format!("{root}/proc/"));
            let output = Command::new(shell).arg("-euc").arg(script).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            output
        }

        fn marker(&self) -> Armed {
            Armed::read(&fs::read_to_string(self.root.path().join("run/gpu-harness-armed")).unwrap()).unwrap()
        }

        fn calls(&self) -> String {
            fs::read_to_string(self.root.path().join("calls")).unwrap_or_default()
        }

        fn has_systemd(self) -> Self {
            fs::create_dir(self.root.path().join("run/systemd/system")).unwrap();
            self
        }
    }

    fn armed(way: &str) -> Armed {
        Armed { way: way.into(), minutes: 45 }
    }

    #[test]
    fn the_first_way_is_a_timer_that_waits_for_nothing() {
        let machine = Machine::with(&[("systemd-run", ""), ("shutdown", "")]).has_systemd();
        machine.boots("dash");
        assert_eq!(machine.marker(), armed("systemd-run"));
        insta::assert_snapshot!(machine.calls(), @"systemd-run --quiet --no-block --unit=gpu-harness-ttl --on-active=2700s --timer-property=DefaultDependencies=no --timer-property=AccuracySec=1s systemctl --no-block poweroff");
    }

    #[test]
    fn the_second_way_is_shutdown_whether_it_returns_or_stays() {
        for stays in ["", "exec /bin/sleep 2"] {
            let machine = Machine::with(&[("systemd-run", "exit 1"), ("shutdown", stays)]);
            machine.boots("dash");
            assert_eq!(machine.marker(), armed("shutdown"), "{stays}");
            assert!(machine.calls().contains("shutdown -P +45\n"), "{}", machine.calls());
        }
    }

    #[test]
    fn a_shutdown_that_would_end_the_machine_at_once_is_not_called() {
        let machine = Machine::with(&[("systemd-run", "exit 1"), ("shutdown", "")]).has_systemd();
        machine.boots("dash");
        assert_eq!(machine.marker(), armed("sleep"));
        assert!(!machine.calls().contains("shutdown -P +"), "{}", machine.calls());

        // With its login manager in reach it only notes the time.
        let machine = Machine::with(&[("systemd-run", "exit 1"), ("shutdown", "")]).has_systemd();
        let _bus = UnixListener::bind(machine.root.path().join("run/dbus/system_bus_socket")).unwrap();
        machine.boots("dash");
        assert_eq!(machine.marker(), armed("shutdown"));
    }

    #[test]
    fn the_last_way_is_to_wait_and_then_to_power_off_by_what_there_is() {
        for (programs, last) in [
            (&[("shutdown", "case $2 in +*) exit 1;; esac")][..], "shutdown -P now"),
            (&[("shutdown", "exit 1"), ("poweroff", "")], "poweroff"),
            (&[("poweroff", "[ \"$1\" = -f ]")], "poweroff -f"),
        ] {
            let machine = Machine::with(programs);
            machine.boots("dash");
            assert_eq!(machine.marker(), armed("sleep"), "{last}");
            let done = || machine.calls().ends_with(&format!("{last}\n"));
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while !done() && std::time::Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(done() && machine.calls().contains("sleep 2700\n"), "{}", machine.calls());
        }
    }

    #[test]
    fn the_boothook_is_plain_sh() {
        for shell in ["sh", "dash"] {
            let output = Command::new(shell).args(["-n", "-c", ARM]).output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {output:?}");
        }
    }
}
