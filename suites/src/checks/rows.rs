//! `rows`: every input row came out once, no other came, and in order where that is asked for.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::observations::{Observations, Sample};
use super::ruling::Ruling;
use super::text::{clip, count};
use super::{CaseFacts, Check, Fold};

/// Each input row came out once. Only where it is named.
/// Each `input_row` has one `row`, and no other row is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rows {
    /// How many rows there have to be; default: as many as inputs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Rows come in the order of their inputs.
    pub ordered: bool,
}

impl Check for Rows {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(Running { wanted: self, inputs: 0, outputs: 0, keys: HashMap::new(), cut: false })
    }
}

/// The most rows whose keys are kept; of more, only their number is known.
const MAX_ROWS: usize = 200_000;
/// The longest key that is kept as it is.
const MAX_KEY: usize = 128;

#[derive(Debug)]
struct Running {
    wanted: Rows,
    /// Inputs and rows that came, kept or not.
    inputs: u64,
    outputs: u64,
    keys: HashMap<String, Key>,
    /// Some key did not fit: what it would have shown is not known.
    cut: bool,
}

/// What came of one key.
#[derive(Debug, Default)]
struct Key {
    /// Its place among the inputs, from 1.
    place: Option<u64>,
    /// How often it came as an input and as a row.
    inputs: u32,
    rows: u32,
    /// The place of its first row, from 1.
    first_row: u64,
}

impl Running {
    fn key(&mut self, name: &str) -> Option<&mut Key> {
        if !self.keys.contains_key(name) {
            if self.keys.len() == MAX_ROWS {
                self.cut = true;
                return None;
            }
            self.keys.insert(name.to_owned(), Key::default());
        }
        self.keys.get_mut(name)
    }

    fn input(&mut self, name: &str) {
        self.inputs += 1;
        let place = self.inputs;
        if let Some(key) = self.key(name) {
            key.inputs += 1;
            key.place.get_or_insert(place);
        }
    }

    fn row(&mut self, name: &str) {
        self.outputs += 1;
        let at = self.outputs;
        let Some(key) = self.key(name) else { return };
        key.rows += 1;
        if key.rows == 1 {
            key.first_row = at;
        }
    }

    /// The first row that came after one whose input stands behind its own.
    fn out_of_order(&self) -> Option<String> {
        let mut came = Vec::from_iter(
            self.keys
                .iter()
                .filter(|(_, key)| key.rows > 0)
                .filter_map(|(name, key)| Some((key.first_row, key.place?, name))),
        );
        came.sort_unstable();
        let pair = came.windows(2).find(|pair| pair[0].1 > pair[1].1)?;
        Some(format!("`{}` came after `{}`", pair[1].2, pair[0].2))
    }

    /// Everything that is wrong with the keys, each kind with its first example.
    fn wrong(&self) -> Vec<(String, &'static str)> {
        let mut kinds: [Kind<'_>; 4] = [
            Kind::new(
                "missing",
                "a batch at the end that was not full, an error that was swallowed, or a filter",
            ),
            Kind::new("there more than once", "a retry that wrote again, shards that overlap, or a join"),
            Kind::new("of no input", "keys that were made anew, or rows of another run in the same place"),
            Kind::new("given twice as an input", "a listing that overlaps"),
        ];
        for (name, key) in &self.keys {
            let place = key.place.unwrap_or(key.first_row);
            let (asked, came) = (key.inputs, key.rows);
            let found = [came < asked && came == 0, came > 1, asked == 0 && self.inputs > 0, asked > 1];
            for (kind, _) in kinds.iter_mut().zip(found).filter(|(_, found)| *found) {
                kind.add(place, name);
            }
        }
        // Without inputs to compare with, a row that came twice is all that keys can show.
        let mut wrong = Vec::from_iter(kinds.into_iter().filter_map(Kind::said));
        if let Some(example) = self.out_of_order().filter(|_| self.wanted.ordered) {
            let cause = "workers that write as they finish: sort by the key, or let one of them write";
            wrong.push((format!("out of order: {example}"), cause));
        }
        wrong
    }
}

/// A key by which rows are told apart, no longer than a sentence can hold: of a long one the start, and its hash.
fn key(sample: &Sample<'_>) -> String {
    let text = sample.value.to_string();
    if text.len() <= MAX_KEY {
        return text;
    }
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{} {:016x}", clip(&text, MAX_KEY), hasher.finish())
}

/// Keys that have the same thing wrong with them.
struct Kind<'a> {
    what: &'static str,
    cause: &'static str,
    count: usize,
    first: Option<(u64, &'a str)>,
}

impl<'a> Kind<'a> {
    fn new(what: &'static str, cause: &'static str) -> Self {
        Self { what, cause, count: 0, first: None }
    }

    fn add(&mut self, place: u64, name: &'a str) {
        self.count += 1;
        if self.first.is_none_or(|first| (place, name) < first) {
            self.first = Some((place, name));
        }
    }

    fn said(self) -> Option<(String, &'static str)> {
        let (_, name) = self.first?;
        let verb = if self.count == 1 { "is" } else { "are" };
        Some((format!("{} {verb} {} (first `{name}`)", self.count, self.what), self.cause))
    }
}

impl Fold for Running {
    fn observe(&mut self, sample: &Sample<'_>) {
        match sample.name {
            "input_row" => self.input(&key(sample)),
            "row" => self.row(&key(sample)),
            _ => {}
        }
    }

    fn conclude(&self, seen: &Observations) -> Vec<Ruling> {
        let inputs = (self.inputs > 0).then_some(self.inputs);
        let Some(due) = self.wanted.count.or(inputs) else {
            return vec![
                seen.missing("input_row", "an `input_row` for each input, or `count` in the suite file"),
            ];
        };
        let order = if self.wanted.ordered { ", in order" } else { "" };
        let wanted = format!("{due} rows, each key once{order}");
        if self.outputs == 0 {
            return vec![seen.missing("row", &wanted)];
        }
        let mut wrong = self.wrong();
        if self.outputs != due && wrong.is_empty() {
            let cause = "output that was cut short, or inputs that were added or left out";
            wrong.push((String::new(), cause));
        }
        let cut =
            if self.cut { format!(" (only the first {MAX_ROWS} keys are kept)") } else { String::new() };
        let came = format!("{} of {due}", count(usize::try_from(self.outputs).unwrap_or(usize::MAX), "row"));
        let Some((_, cause)) = wrong.first() else {
            return vec![Ruling::of(true, format!("{came}{cut}"), wanted)];
        };
        let said = wrong.iter().map(|(said, _)| said.as_str()).filter(|said| !said.is_empty());
        let parts = Vec::from_iter(std::iter::once(came.as_str()).chain(said));
        vec![Ruling::broke(format!("{}{cut}", parts.join("; ")), wanted).because(*cause)]
    }
}
