//! From the tree to the typed suite, and from serde's messages to ones that say what to write.
//!
//! serde stops at the first error. What is wrong is therefore taken out and the rest is read once more, case by case,
//! so that one look at the list of errors is enough.

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Deserializer, Segment, Track};
use serde_yaml::{Mapping, Number, Value};

use super::rules::either;
use super::tree::{Fault, Kind, Node, SourceRange, Step};
use crate::spec::{Case, Suite, Work};

/// No file has more wrong with it than anybody wants to read.
const MAX_FAULTS: usize = 100;

/// The key that says what the other keys of its mapping are (`provider` of a node): it is read before them, wherever it
/// stands.
const TAG: &str = "provider";

/// What could be read: the suite without its cases, and each case in which nothing is wrong.
pub(super) struct Parts {
    pub(super) head: Option<Suite>,
    pub(super) cases: Vec<Option<Case>>,
}

impl Parts {
    /// The suite, where every part could be read.
    pub(super) fn whole(self) -> Option<Suite> {
        let cases = self.cases.into_iter().collect::<Option<Vec<Case>>>()?;
        Some(Suite { cases, ..self.head? })
    }
}

/// Reads the tree, adding what is wrong to `faults`.
pub(super) fn parts(root: &Node, faults: &mut Vec<Fault>) -> Parts {
    let Kind::Map(entries) = &root.kind else {
        let place = SourceRange { width: 1, ..root.place };
        let fault =
            Fault::new(place, format!("expected a mapping (`key: value` lines), found {}", found(root)));
        faults.push(fault.hint("begin with `suite: NAME` and `cases:`"));
        return Parts { head: None, cases: Vec::new() };
    };
    nulls(root, &mut Vec::new(), faults);
    let mut head = Mapping::new();
    for (key, node) in entries.iter().filter(|(_, node)| !node.is_null()) {
        let is_list = key.text == "cases" && matches!(node.kind, Kind::List(_));
        head.insert(key.text.clone().into(), if is_list { Value::Sequence(Vec::new()) } else { value(node) });
    }
    let head =
        typed(Value::Mapping(head), root, faults, |from| Suite::deserialize(from)).map(|read| read.value);
    let items = match root.get(&Step::Key("cases".into())).map(|node| &node.kind) {
        Some(Kind::List(items)) => items.as_slice(),
        _ => &[],
    };
    let cases = items.iter().map(|item| case(item, faults)).collect();
    Parts { head, cases }
}

/// A case: its work by the key that says what it runs, and the rest without it. Read together, serde would not say where
/// in the work something is wrong.
fn case(item: &Node, faults: &mut Vec<Fault>) -> Option<Case> {
    let mut rest = value(item);
    let mut said = Vec::new();
    if let Value::Mapping(rest) = &mut rest {
        said.extend(Work::KINDS.into_iter().filter(|kind| rest.remove(*kind).is_some()));
        // In its place, something that is right.
        let right = [("run".into(), Value::Sequence(Vec::new()))];
        rest.insert("command".into(), Value::Mapping(right.into_iter().collect()));
    }
    let case = typed(rest, item, faults, |from| Case::deserialize(from)).filter(|read| read.whole);
    let work = match said.as_slice() {
        [kind] => item.get(&key(kind)).and_then(|node| {
            typed(value(node), node, faults, |from| Work::read(kind, from)).filter(|read| read.whole)
        }),
        // What is misspelt elsewhere may be what it runs.
        _ if case.is_none() => None,
        [.., last] => {
            let place = item.key(&key(last)).unwrap_or(item.place);
            let said = Vec::from_iter(said.iter().map(|kind| format!("`{kind}`"))).join(" and ");
            faults.push(Fault::new(place, format!("{said} in one case")).hint("make a case of each"));
            None
        }
        [] => {
            let [first, others @ ..] = Work::KINDS.map(|kind| format!("`{kind}`"));
            let message = format!("the case says neither {first} nor {}", either(&others));
            faults.push(Fault::new(SourceRange { width: 1, ..item.place }, message).hint("say what it runs"));
            None
        }
    };
    Some(Case { work: work?.value, ..case?.value })
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

/// A key without a value is nearly always a slip, and would silently mean the default.
fn nulls(node: &Node, path: &mut Vec<String>, faults: &mut Vec<Fault>) {
    match &node.kind {
        Kind::Scalar { .. } => {}
        Kind::List(items) => items.iter().for_each(|item| nulls(item, path, faults)),
        Kind::Map(entries) => {
            for (key, value) in entries {
                if value.is_null() {
                    let is_check = path.last().is_some_and(|above| above == "checks");
                    let hint = if is_check {
                        format!("write `{}: {{}}` for its defaults", key.text)
                    } else {
                        "give it a value, or remove the key".into()
                    };
                    faults.push(Fault::new(key.place, format!("`{}` has no value", key.text)).hint(hint));
                }
                path.push(key.text.clone());
                nulls(value, path, faults);
                path.pop();
            }
        }
    }
}

fn value(node: &Node) -> Value {
    match &node.kind {
        Kind::Scalar { text, plain: true } => scalar(text),
        Kind::Scalar { text, plain: false } => Value::String(text.clone()),
        Kind::List(items) => Value::Sequence(items.iter().map(value).collect()),
        Kind::Map(entries) => {
            let mut given = Vec::from_iter(entries.iter().filter(|(_, node)| !node.is_null()));
            given.sort_by_key(|(key, _)| key.text != TAG);
            Value::Mapping(given.iter().map(|(key, node)| (key.text.clone().into(), value(node))).collect())
        }
    }
}

/// The core schema of YAML 1.2.
fn scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".inf" | "+.inf" => return Value::Number(Number::from(f64::INFINITY)),
        "-.inf" => return Value::Number(Number::from(f64::NEG_INFINITY)),
        ".nan" => return Value::Number(Number::from(f64::NAN)),
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Value::String(text.to_owned());
    }
    let radix = |prefix: &str, radix| {
        text.strip_prefix(prefix).and_then(|digits| u64::from_str_radix(digits, radix).ok())
    };
    if let Some(number) = text.parse::<u64>().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)) {
        Value::Number(number.into())
    } else if let Ok(number) = text.parse::<i64>() {
        Value::Number(number.into())
    } else if let (true, Ok(number)) = (text.contains(|c: char| c.is_ascii_digit()), text.parse::<f64>()) {
        Value::Number(number.into())
    } else {
        Value::String(text.to_owned())
    }
}

/// A value that was read, perhaps without some of its keys.
struct Typed<T> {
    value: T,
    /// Nothing had to be taken out.
    whole: bool,
}

/// A whole file as one value; what is wrong with it goes to `faults`.
pub(super) fn document<T: DeserializeOwned>(root: &Node, faults: &mut Vec<Fault>) -> Option<T> {
    nulls(root, &mut Vec::new(), faults);
    typed(value(root), root, faults, |from| T::deserialize(from)).map(|read| read.value)
}

fn typed<T>(
    mut value: Value,
    node: &Node,
    faults: &mut Vec<Fault>,
    read: impl Fn(Deserializer<'_, '_, &Value>) -> Result<T, serde_yaml::Error>,
) -> Option<Typed<T>> {
    let mut pruned: Vec<Vec<Step>> = Vec::new();
    loop {
        let mut track = Track::new();
        let text = match read(Deserializer::new(&value, &mut track)) {
            Ok(value) => return Some(Typed { value, whole: pruned.is_empty() }),
            Err(error) => error.to_string(),
        };
        let mut path = Vec::from_iter(track.path().iter().filter_map(step));
        if let Some(name) = quoted(&text, "unknown field `") {
            // Of a case serde names its key, and not the way to it.
            path.extend(Some(key(name)).filter(|key| path.last() != Some(key)));
        }
        let missing = quoted(&text, "missing field `");
        if let Some(name) = missing {
            let mut whole = path.clone();
            whole.push(key(name));
            if pruned.contains(&whole) || get(node, &whole).is_some() {
                return None;
            }
        }
        faults.push(fault(&text, &path, node));
        if missing.is_some() || faults.len() >= MAX_FAULTS || !prune(&mut value, &path) {
            return None;
        }
        pruned.push(path);
    }
}

fn step(segment: &Segment) -> Option<Step> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { .. } | Segment::Unknown => None,
    }
}

fn get<'a>(node: &'a Node, path: &[Step]) -> Option<&'a Node> {
    path.iter().try_fold(node, Node::get)
}

/// Takes the value at `path` out of its mapping.
fn prune(value: &mut Value, path: &[Step]) -> bool {
    let Some((Step::Key(last), above)) = path.split_last() else { return false };
    let mut at = value;
    for step in above {
        let next = match step {
            Step::Key(key) => at.get_mut(key.as_str()),
            Step::Index(index) => at.get_mut(*index),
        };
        let Some(next) = next else { return false };
        at = next;
    }
    at.as_mapping_mut().is_some_and(|mapping| mapping.remove(last.as_str()).is_some())
}

/// The text between `start` and the next backtick.
fn quoted<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split('`').next()
}

fn fault(text: &str, path: &[Step], root: &Node) -> Fault {
    let on_value = get(root, path).map_or(root.place, |node| node.place);
    let on_key = path.split_last().and_then(|(last, above)| get(root, above)?.key(last)).unwrap_or(on_value);
    if let Some(name) = quoted(text, "unknown field `") {
        let fault = Fault::new(on_key, format!("unknown key `{name}`"));
        let known = expected(text);
        let of_case = if known.is_empty() { crate::schema::keys_of("Case") } else { Vec::new() };
        let known = known.into_iter().chain(of_case.iter().map(String::as_str));
        return fault.hint(suggestion(name, &Vec::from_iter(known), "known keys"));
    }
    if let Some(name) = quoted(text, "missing field `") {
        let place = SourceRange { width: 1, ..on_value };
        return Fault::new(place, format!("the key `{name}` is missing"))
            .hint(format!("add `{name}:` to this mapping"));
    }
    if let Some(name) = quoted(text, "unknown variant `") {
        // The value itself, or a key of a mapping whose keys are a closed list: of one whose keys are text, the path goes on
        // to the key.
        let node = get(root, path);
        let is_value =
            node.is_some_and(|node| matches!(&node.kind, Kind::Scalar { text, .. } if text == name));
        let is_last = matches!(path.last(), Some(Step::Key(last)) if last.as_str() == name);
        let otherwise = if is_last && !is_value { on_key } else { on_value };
        let place = node.and_then(|node| node.key(&key(name))).unwrap_or(otherwise);
        let fault = Fault::new(place, format!("`{name}` is not known here"));
        let known = expected(text);
        // Of a few words none is a slip of the pen for another.
        let few = known.len() <= 5;
        return fault.hint(if few {
            format!("write one of: {}", known.join(", "))
        } else {
            suggestion(name, &known, "known")
        });
    }
    let Some((got, wanted)) = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "))
        .and_then(|text| text.split_once(", expected "))
    else {
        // Our own types say after a colon what to write.
        return match text.split_once(": write ") {
            Some((what, instead)) => Fault::new(on_value, what).hint(format!("write {instead}")),
            None => Fault::new(on_value, text).hint("docs/suites.md describes every key"),
        };
    };
    let (words, hint) = wanted_words(wanted);
    let fault = Fault::new(on_value, format!("expected {words}, found {}", found_words(got)));
    match (wanted, get(root, path).map(|node| &node.kind)) {
        ("a string", Some(Kind::Scalar { text, plain: true })) => {
            fault.hint(format!("put it in quotes: \"{text}\""))
        }
        _ => fault.hint(hint),
    }
}

/// What serde would have accepted: every word in backticks after `expected`.
fn expected(text: &str) -> Vec<&str> {
    let list = text.split_once(", expected ").map_or("", |(_, list)| list);
    list.split('`').skip(1).step_by(2).collect()
}

fn suggestion(name: &str, known: &[&str], label: &str) -> String {
    let near = known
        .iter()
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match near {
        Some((_, near)) => format!("did you mean `{near}`?"),
        None => format!("{label}: {}", known.join(", ")),
    }
}

fn found(node: &Node) -> String {
    match &node.kind {
        Kind::Scalar { text, .. } => format!("the text \"{}\"", text.chars().take(40).collect::<String>()),
        Kind::List(_) => "a list".into(),
        Kind::Map(_) => "a mapping".into(),
    }
}

/// What serde wanted, in words, and how to write it.
fn wanted_words(wanted: &str) -> (String, String) {
    let plain = |words: &str, hint: &str| (words.to_owned(), hint.to_owned());
    match wanted {
        "a nonzero u32" => plain("a whole number from 1 on", "write digits without quotes, e.g. 200"),
        "u8" => plain("a whole number from 0 to 255", "write digits without quotes, e.g. 0"),
        "u32" | "u64" => plain("a whole number from 0 on", "write digits without quotes, e.g. 200"),
        "f64" => plain("a number", "write it without quotes, e.g. 0.01 or 1e-3"),
        "a string" => plain("a text", "write it on one line, in quotes where it has special characters"),
        "a sequence" => plain("a list", "write `[a, b]`, or one `- …` a line"),
        _ if wanted == "a map" || wanted.starts_with("struct ") => {
            plain("a mapping", "write `key: value` lines below it, or `{ key: value }`")
        }
        _ => match wanted.split_once(" such as ") {
            Some((words, example)) => plain(words, &format!("write it like {example}")),
            None => plain(wanted, "docs/suites.md describes every key"),
        },
    }
}

fn found_words(got: &str) -> String {
    let got = got.strip_suffix(".0`").unwrap_or(got);
    match got {
        "sequence" => "a list".into(),
        "map" => "a mapping".into(),
        "unit value" => "nothing".into(),
        _ => {
            let words = got.replace('`', "");
            let words =
                words.replacen("integer", "the number", 1).replacen("floating point", "the number", 1);
            words.replacen("string", "the text", 1).replacen("boolean", "the value", 1)
        }
    }
}
