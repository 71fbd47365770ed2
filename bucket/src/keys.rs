//! Who may ask a server: whoever has its keys, which are drawn anew for each.

use rand::Rng;

/// A pair of keys, as AWS has them.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys {
    /// The one that requests name.
    pub id: String,
    /// The one that signs them.
    pub secret: String,
}

impl Keys {
    /// A pair that nobody else has.
    pub fn random() -> Self {
        let mut random = rand::rng();
        let mut hex = |bytes: usize| -> String {
            hex::encode(Vec::from_iter(std::iter::repeat_with(|| random.random::<u8>()).take(bytes)))
        };
        Self { id: format!("LOCAL{}", hex(8)).to_uppercase(), secret: hex(20) }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}
