//! Are the answers the same as on the nights before? By a hash, and where one is given, by a sketch of the numbers.
//!
//! A hash is a text metric whose last part is `hash` or ends in `_hash`. What stands before a colon in it says what went in:
//! only answers to the same inputs are compared. Beside `…/hash` there may be `…/sketch`, which tells by how much two
//! sets of rows differ, so that noise in the last digits is no change; and `…/sample`, some rows with their answers.

use serde::{Deserialize, Serialize};

/// Nights that are looked at.
const NIGHTS: usize = 5;
/// Rows of a sample that are told.
const TOLD: usize = 3;

/// The answers are not those of the nights before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Changed {
    /// The metric with the hash.
    pub metric: String,
    /// What changed, in words.
    pub said: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fails: bool,
}

/// One night's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers<'a> {
    pub hash: &'a str,
    pub sketch: Option<&'a str>,
    /// Some rows.
    pub sample: Option<&'a str>,
}

/// Whether a text metric is a hash of answers.
pub fn is_hash(metric: &str) -> bool {
    let last = metric.rsplit('/').next().unwrap_or_default();
    last == "hash" || last.ends_with("_hash")
}

/// The metric beside a hash, e.g. `predictions/sketch`.
pub fn beside(metric: &str, name: &str) -> Option<String> {
    Some(format!("{}{name}", metric.strip_suffix("hash")?)).filter(|_| metric.ends_with("/hash"))
}

impl<'a> Answers<'a> {
    fn inputs(&self) -> &'a str {
        self.hash.split_once(':').map_or("", |(inputs, _)| inputs)
    }
}

/// What this run's answers are held against: the most frequent of the last nights with the same inputs, of two the later one.
/// So a change is told on its first nights, and is the new normal once most nights have it.
pub fn reference<'a>(before: &[Answers<'a>], this_run: &Answers<'_>) -> Option<Answers<'a>> {
    let of_same = before.iter().rev().filter(|night| night.inputs() == this_run.inputs());
    let last = Vec::from_iter(of_same.take(NIGHTS));
    let often = |night: &&&Answers<'_>| last.iter().filter(|other| other.hash == night.hash).count();
    // Of several equal ones `max_by_key` gives the last, which is the latest once turned round.
    last.iter().rev().max_by_key(often).map(|night| **night)
}

/// What is different from the reference, in words; `None` where nothing is, or no more than `within`.
pub fn changed(before: &Answers<'_>, this_run: &Answers<'_>, within: f64) -> Option<String> {
    if before.hash == this_run.hash {
        return None;
    }
    let distance = before.sketch.zip(this_run.sketch).and_then(|(before, now)| distance(before, now));
    let by = match distance {
        Some(distance) if distance <= within => return None,
        Some(distance) => {
            format!("the answers differ by {distance:.2e} (root of the mean square over the rows)")
        }
        None => format!("{} became {}", short(before.hash), short(this_run.hash)),
    };
    let rows = before.sample.zip(this_run.sample).map(|(before, now)| rows(before, now));
    Some(by + &rows.map_or(String::new(), |rows| format!("; {rows}")))
}

fn short(hash: &str) -> String {
    hash.chars().take(16).collect()
}

/// By how much two sets of rows differ, by their sketches: the root of the mean square of a row's change. `None` where one
/// is no sketch.
///
/// A sketch is the number of rows and several sums of all numbers, each with signs of its own drawn from the row's key: the
/// mean square of the difference of such sums is the square of the difference of all numbers (Alon, Matias, Szegedy 1996).
fn distance(before: &str, now: &str) -> Option<f64> {
    let read = |text: &str| {
        let numbers = text.split_whitespace().map(|word| word.parse::<f64>().ok());
        numbers.collect::<Option<Vec<f64>>>().filter(|numbers| numbers.len() > 1)
    };
    let (before, now) = (read(before)?, read(now)?);
    if before.len() != now.len() {
        return None;
    }
    let squares = before.iter().zip(&now).skip(1).map(|(one, other)| (one - other).powi(2));
    let square = squares.sum::<f64>() / (before.len() - 1) as f64;
    let rows = before[0].max(now[0]).max(1.0);
    Some((square / rows).sqrt())
}

/// Which rows of a sample differ. A sample is a line for each row: its key, a tab, its answer.
fn rows(before: &str, now: &str) -> String {
    let read = |text: &'_ str| -> Vec<(String, String)> {
        let pairs = text.lines().filter_map(|line| line.split_once('\t'));
        pairs.map(|(key, answer)| (key.to_owned(), answer.to_owned())).collect()
    };
    let (before, now) = (read(before), read(now));
    let of = |key: &str| before.iter().find(|(known, _)| known == key).map(|(_, answer)| answer);
    let both = Vec::from_iter(now.iter().filter_map(|(key, answer)| Some((key, of(key)?, answer))));
    let differ = Vec::from_iter(both.iter().filter(|(_, before, now)| before != now));
    let told = differ.iter().take(TOLD).map(|(key, before, now)| format!("{key}: {before} → {now}"));
    let told = Vec::from_iter(told).join(", ");
    match differ.len() {
        0 => format!("none of {} rows that are kept changed: it is few rows", both.len()),
        some => format!("{some} of {} rows that are kept changed, e.g. {told}", both.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night(hash: &str) -> Answers<'_> {
        Answers { hash, sketch: None, sample: None }
    }

    #[test]
    fn a_hash_is_known_by_its_name() {
        for (metric, is) in [
            ("predictions/hash", true),
            ("output_hash", true),
            ("hash", true),
            ("predictions/sketch", false),
            ("hash/rate", false),
            ("hashes", false),
        ] {
            assert_eq!(is_hash(metric), is, "{metric}");
        }
        assert_eq!(beside("predictions/hash", "sketch").as_deref(), Some("predictions/sketch"));
        assert_eq!(beside("output_hash", "sketch"), None);
    }

    #[test]
    fn a_change_is_held_against_the_old_answer_until_most_nights_have_the_new_one() {
        let of = |text: &'static str, this_run: &'static str| {
            let before = Vec::from_iter(text.split(' ').filter(|word| !word.is_empty()).map(night));
            reference(&before, &night(this_run)).map(|night| night.hash)
        };
        assert_eq!(of("", "b"), None, "a first night has nothing to be held against");
        assert_eq!(of("a a a a a", "b"), Some("a"));
        assert_eq!(of("a a a a a b b", "b"), Some("a"), "the third night");
        assert_eq!(of("a a a a a b b b", "b"), Some("b"), "the fourth");
        assert_eq!(of("a b c", "d"), Some("c"), "where each is another, the latest");
        assert_eq!(of("x:a x:a y:b", "x:b"), Some("x:a"), "other inputs have other answers");
        assert_eq!(of("x:a", "y:b"), None);
    }

    #[test]
    fn noise_is_no_change_and_a_change_is_told_with_its_size() {
        let before = Answers {
            hash: "a",
            sketch: Some("100 1.0 -2.0 3.0"),
            sample: Some("k1\t0.9 of 3\nk2\t0.5 of 1"),
        };
        let noise = Answers { hash: "b", sketch: Some("100 1.00001 -2.0 3.0"), ..before };
        assert_eq!(changed(&before, &noise, 1e-4), None);
        let other = Answers {
            hash: "b",
            sketch: Some("100 2.0 -3.0 4.0"),
            sample: Some("k1\t0.2 of 3\nk2\t0.5 of 1"),
        };
        assert_eq!(
            changed(&before, &other, 1e-4).unwrap(),
            "the answers differ by 1.00e-1 (root of the mean square over the rows); 1 of 2 rows that are kept changed, e.g. k1: 0.9 of 3 → 0.2 of 3"
        );
        let few = Answers { sample: before.sample, ..other };
        assert!(changed(&before, &few, 1e-4).unwrap().contains("it is few rows"));
        assert_eq!(changed(&night("one"), &night("two"), 0.1).unwrap(), "one became two");
        assert_eq!(changed(&night("one"), &night("one"), 0.1), None);
    }
}
