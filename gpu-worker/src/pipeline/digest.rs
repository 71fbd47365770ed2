//! All answers in a nutshell, whatever shards they lie in and in whatever order: so that a night can be held against another.
//!
//! | metric | |
//! | --- | --- |
//! | `predictions/hash` | a hash of the inputs and one of the answers, bit by bit: sums of a SHA-256 of each row |
//! | `predictions/sketch` | sums of all numbers with signs drawn from the rows' keys: by how much two nights differ (`gpu_suites::regression::answers`) |
//! | `predictions/sample` | the answers of a few rows, the same ones each night: those whose keys have the least hashes |

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gpu_suites::metrics::Value;
use sha2::{Digest as _, Sha256};

/// Sums of a sketch: the difference of two is known to about a fifth.
const SUMS: usize = 16;
/// Rows of the sample, and how much of a key is kept.
const SAMPLE: usize = 12;
const KEY: usize = 80;
/// Numbers of a row's answer that the sample tells.
const TOLD: usize = 3;

/// A sum of hashes: the same in any order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum([u64; 4]);

impl Sum {
    fn add(&mut self, parts: &[&[u8]]) {
        let mut sha256 = Sha256::new();
        for part in parts {
            // What is long cannot look like what is short and followed by something.
            sha256.update((part.len() as u64).to_le_bytes());
            sha256.update(part);
        }
        let digest = sha256.finalize();
        for (sum, eight) in self.0.iter_mut().zip(digest.chunks_exact(8)) {
            *sum = sum.wrapping_add(u64::from_le_bytes(eight.try_into().unwrap_or_default()));
        }
    }

    fn hex(self, bytes: usize) -> String {
        let all = self.0.iter().flat_map(|part| part.to_le_bytes());
        hex::encode(Vec::from_iter(all.take(bytes)))
    }
}

/// What a row says.
#[derive(Debug, Clone, Copy)]
pub(super) enum Predicted<'a> {
    /// The likeliest classes with their probabilities.
    Classes(&'a [i32], &'a [f32]),
    Embedding(&'a [f32]),
    /// Lengths of runs of background and foreground in turn.
    Mask(&'a [i32]),
    /// An error: why is in words, and words are no answer.
    Error,
}

#[derive(Debug, Default)]
pub(super) struct Digest {
    inputs: Sum,
    answers: Sum,
    rows: u64,
    sums: [f64; SUMS],
    /// By the hash of the key.
    sample: BTreeMap<u64, (String, String)>,
}

impl Digest {
    pub(super) fn input(&mut self, key: &str, size: u64, etag: &str) {
        self.inputs.add(&[key.as_bytes(), &size.to_le_bytes(), etag.as_bytes()]);
    }

    pub(super) fn row(&mut self, key: &str, said: Predicted<'_>) {
        self.rows += 1;
        let seed = seed(key);
        let (bytes, numbers, told) = match said {
            Predicted::Classes(classes, scores) => classified(classes, scores),
            Predicted::Embedding(values) => embedded(values),
            Predicted::Mask(counts) => segmented(counts),
            Predicted::Error => (b"error".to_vec(), vec![(u64::MAX, 1.0)], "an error".to_owned()),
        };
        self.answers.add(&[key.as_bytes(), &bytes]);
        for (place, number) in numbers {
            let signs = mixed(seed ^ place.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            for (bit, sum) in self.sums.iter_mut().enumerate() {
                *sum += if (signs >> bit) & 1 == 1 { number } else { -number };
            }
        }
        if self.sample.len() < SAMPLE || self.sample.keys().next_back().is_some_and(|most| seed < *most) {
            let key = key.chars().map(|c| if c.is_control() { ' ' } else { c }).take(KEY).collect();
            self.sample.insert(seed, (key, told));
            if self.sample.len() > SAMPLE {
                self.sample.pop_last();
            }
        }
    }

    /// What the history keeps.
    pub(super) fn figures(&self) -> Vec<(String, Value)> {
        let mut sketch = self.rows.to_string();
        for sum in &self.sums {
            // Beyond these digits it is the order of additions.
            let _ = write!(sketch, " {sum:.10e}");
        }
        let lines = self.sample.values().map(|(key, answer)| format!("{key}\t{answer}"));
        vec![
            (
                "predictions/hash".into(),
                Value::Text(format!("{}:{}", self.inputs.hex(8), self.answers.hex(16))),
            ),
            ("predictions/sketch".into(), Value::Text(sketch)),
            ("predictions/sample".into(), Value::Text(Vec::from_iter(lines).join("\n"))),
        ]
    }
}

/// The bytes of an answer, its numbers with their places, and what is told of it.
type Answer = (Vec<u8>, Vec<(u64, f64)>, String);

fn classified(classes: &[i32], scores: &[f32]) -> Answer {
    let bytes = classes.iter().zip(scores).flat_map(|(class, score)| {
        let (class, score) = (class.to_le_bytes(), score.to_le_bytes());
        class.into_iter().chain(score)
    });
    let place = |class: &i32| u64::from(class.cast_unsigned());
    let numbers = classes.iter().zip(scores).map(|(class, score)| (place(class), f64::from(*score)));
    let told =
        classes.iter().zip(scores).take(TOLD).map(|(class, score)| format!("{score:.3} of class {class}"));
    (bytes.collect(), numbers.collect(), Vec::from_iter(told).join(" "))
}

fn embedded(values: &[f32]) -> Answer {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    let numbers = (0..).zip(values.iter().map(|value| f64::from(*value)));
    let told = values.iter().take(TOLD).map(|value| format!("{value:.3}"));
    (bytes.collect(), numbers.collect(), Vec::from_iter(told).join(" "))
}

fn segmented(counts: &[i32]) -> Answer {
    let bytes = counts.iter().flat_map(|count| count.to_le_bytes());
    let inside: i64 = counts.iter().skip(1).step_by(2).map(|count| i64::from(*count)).sum();
    let all: i64 = counts.iter().map(|count| i64::from(*count)).sum();
    let share = inside as f64 / all.max(1) as f64;
    (bytes.collect(), vec![(0, share)], format!("{:.2} % foreground", share * 100.0))
}

fn seed(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest.first_chunk::<8>().map_or(0, |eight| u64::from_le_bytes(*eight))
}

/// Each bit depends on every bit (the end of `SplitMix64`).
fn mixed(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use gpu_suites::regression::answers::{Answers, changed};

    use super::*;

    fn key(number: usize) -> String {
        format!("tile-{number}.jpg")
    }

    /// The digest of rows whose scores `score` gives, taken in the order of `order`.
    fn digest(order: impl Iterator<Item = usize>, score: impl Fn(usize) -> f32) -> Vec<String> {
        let mut digest = Digest::default();
        for number in order {
            digest.input(&key(number), 100, "");
            digest.row(&key(number), Predicted::Classes(&[3, 1], &[score(number), 0.1]));
        }
        let texts = digest.figures().into_iter().map(|(_, value)| match value {
            Value::Text(text) => text,
            other => panic!("{other:?}"),
        });
        texts.collect()
    }

    fn change(before: &[String], now: &[String]) -> Option<String> {
        let answers = |texts: &'_ [String]| -> [String; 3] { texts.to_vec().try_into().unwrap() };
        let ([hash, sketch, sample], [hash_now, sketch_now, sample_now]) = (answers(before), answers(now));
        changed(
            &Answers { hash: &hash, sketch: Some(&sketch), sample: Some(&sample) },
            &Answers { hash: &hash_now, sketch: Some(&sketch_now), sample: Some(&sample_now) },
            0.0005,
        )
    }

    fn plain(number: usize) -> f32 {
        0.5 + (number % 40) as f32 / 100.0
    }

    #[test]
    fn order_and_shards_change_nothing_and_noise_next_to_nothing() {
        let forth = digest(0..1000, plain);
        assert_eq!(digest((0..1000).rev(), plain)[0], forth[0]);
        assert_eq!(digest((0..1000).rev(), plain)[2], forth[2]);
        assert_eq!(change(&forth, &digest((0..1000).rev(), plain)), None);
        let noisy = digest(0..1000, |number| plain(number) + 1e-6 * (number % 3) as f32);
        assert_ne!(noisy[0], forth[0]);
        assert_eq!(change(&forth, &noisy), None);
        assert!(forth.iter().all(|text| text.len() < 2000), "{forth:?}");
    }

    #[test]
    fn one_row_of_a_thousand_is_seen_and_so_is_a_row_that_is_not_there() {
        let before = digest(0..1000, plain);
        let one = digest(0..1000, |number| if number == 7 { 0.02 } else { plain(number) });
        let said = change(&before, &one).unwrap();
        assert!(said.contains("the answers differ by"), "{said}");
        let all = digest(0..1000, |number| plain(number) * 0.9);
        let said = change(&before, &all).unwrap();
        assert!(said.contains("12 of 12 rows that are kept changed, e.g. tile-"), "{said}");
        // Other inputs are told apart before the colon.
        let inputs = |texts: &[String]| texts[0].split(':').next().unwrap().to_owned();
        assert_ne!(inputs(&digest(0..999, plain)), inputs(&before));
        assert_eq!(inputs(&all), inputs(&before));
    }
}
