//! The losses that a training is known to have: a file in the repository, with a list for each kind of device.
//!
//! On one kind of device, with one libtorch, the built-in training gives the same bits each time; on another it does not.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The losses of each step from the first on, by what they were measured on ([`key`]).
pub type Losses = BTreeMap<String, Vec<f32>>;

/// What losses are known for, of the facts of a device: the GPU's name, or the CPU's with its threads, and libtorch. Nothing
/// where the facts do not say.
pub fn key(fact: impl Fn(&str) -> Option<String>) -> Option<String> {
    let libtorch = fact("libtorch")?;
    let device = match fact("gpu") {
        Some(gpu) => gpu,
        None => format!("{}, {} threads", fact("cpu")?, fact("threads")?),
    };
    Some(format!("{device}, libtorch {libtorch}"))
}

/// Reads a file of losses.
pub fn read(text: &str) -> Result<Losses, serde_json::Error> {
    serde_json::from_str(text)
}

/// The file's text, with a line for each kind of device: a change of one changes one line.
pub fn write(losses: &Losses) -> String {
    let mut text = "{".to_owned();
    for (index, (key, losses)) in losses.iter().enumerate() {
        let plain = |cause: serde_json::Error| -> String { unreachable!("it is plain data: {cause}") };
        let key = serde_json::to_string(key).unwrap_or_else(plain);
        let losses = serde_json::to_string(losses).unwrap_or_else(plain);
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\n  {key}: {losses}");
    }
    text + "\n}\n"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gpu_is_known_by_its_name_and_a_cpu_by_its_threads_too() {
        let facts = |facts: &'static [(&str, &str)]| {
            key(move |name| {
                facts.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let gpu = facts(&[("gpu", "NVIDIA L4"), ("cpu", "x"), ("threads", "2"), ("libtorch", "2.11.0")]);
        assert_eq!(gpu.as_deref(), Some("NVIDIA L4, libtorch 2.11.0"));
        let cpu = facts(&[("cpu", "Xeon"), ("threads", "2"), ("libtorch", "2.11.0")]);
        assert_eq!(cpu.as_deref(), Some("Xeon, 2 threads, libtorch 2.11.0"));
        assert_eq!(facts(&[("gpu", "NVIDIA L4")]), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again_bit_by_bit(
            losses in prop::collection::btree_map(".*", prop::collection::vec(-1e30..1e30_f32, 0..9), 0..4),
        ) {
            let read = read(&write(&losses)).unwrap();
            let bits = |losses: &Losses| {
                let of = |(key, losses): (&String, &Vec<f32>)| {
                    (key.clone(), Vec::from_iter(losses.iter().map(|loss| loss.to_bits())))
                };
                Vec::from_iter(losses.iter().map(of))
            };
            prop_assert_eq!(bits(&read), bits(&losses));
        }
    }
}
