//! A run's object: a head that says how many lines follow, then the lines. So an object that is not whole is known for it.

use gpu_suites::id::RunId;
use serde::{Deserialize, Serialize};

use super::line::Line;

/// The version of the lines. It is raised when a reader could misread them.
const VERSION: u32 = 1;
/// What objects' names end with.
const ENDING: &str = ".ndjson";

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    #[serde(rename = "gpu-harness-history")]
    version: u32,
    run: RunId,
    lines: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    #[error("it is not a run's object of gpu-harness")]
    Foreign,
    #[error(
        "it was written by a later gpu-harness (version {0} of the history, this one knows {VERSION}); update this one"
    )]
    Version(u32),
    /// It ends too early, or goes on too long.
    #[error("it has {have} lines of {want}: it was cut off or changed")]
    Torn { have: usize, want: usize },
    #[error("line {line} cannot be read: {cause}")]
    Line { line: usize, cause: String },
}

pub fn name(run: &RunId) -> String {
    format!("{run}{ENDING}")
}

/// Whether an object of this name can be a run's.
pub fn is_name(name: &str) -> bool {
    name.strip_suffix(ENDING).is_some_and(|run| RunId::from(run).is_valid())
}

pub fn write(run: &RunId, lines: &[Line]) -> String {
    let plain = |cause: serde_json::Error| -> String { unreachable!("a line is plain data: {cause}") };
    let head = Head { version: VERSION, run: run.clone(), lines: lines.len() };
    let mut text = serde_json::to_string(&head).unwrap_or_else(plain) + "\n";
    for line in lines {
        text += &serde_json::to_string(line).unwrap_or_else(plain);
        text.push('\n');
    }
    text
}

pub fn read(text: &str) -> Result<Vec<Line>, ObjectError> {
    let mut lines = text.lines();
    let head = lines.next().ok_or(ObjectError::Foreign)?;
    let head: Head = serde_json::from_str(head).map_err(|_| ObjectError::Foreign)?;
    if head.version != VERSION {
        return Err(ObjectError::Version(head.version));
    }
    let lines = Vec::from_iter(lines);
    if lines.len() != head.lines || !text.ends_with('\n') {
        return Err(ObjectError::Torn {
            have: text.matches('\n').count().saturating_sub(1),
            want: head.lines,
        });
    }
    let parse = |(index, line): (usize, &&str)| {
        serde_json::from_str(line)
            .map_err(|cause| ObjectError::Line { line: index + 2, cause: cause.to_string() })
    };
    lines.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use gpu_suites::metrics::Value;
    use gpu_suites::outcome::Outcome;

    use super::*;
    use crate::history::Key;

    fn line(value: f64) -> Line {
        Line {
            run: "20261123-000000-1".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
            suite: "s".into(),
            case: "c".into(),
            metric: Some("rate".into()),
            value: Some(Value::Number(value)),
            measured: vec![],
            key: Key { device: Some("NVIDIA L4".into()), ..Key::default() },
            commit: Some("1f9d3c2".into()),
            outcome: Outcome::Passed,
            flaky: false,
            healthy: true,
            unhealthy: None,
        }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let lines = [line(1.5), line(f64::INFINITY)];
        let text = write(&"20261123-000000-1".into(), &lines);
        insta::assert_snapshot!(text);
        assert_eq!(read(&text).unwrap(), lines);
        let text = write(&"20261123-000000-1".into(), &[line(f64::NAN)]);
        assert!(read(&text).unwrap()[0].number().is_some_and(f64::is_nan));
        assert_eq!(read(&write(&"r".into(), &[])), Ok(vec![]));
    }

    #[test]
    fn an_object_cut_off_anywhere_tells_nothing() {
        let text = write(&"20261123-000000-1".into(), &[line(1.0), line(2.0), line(3.0)]);
        for length in 0..text.len() {
            assert!(read(&text[..length]).is_err(), "cut at {length}");
        }
        let longer = text.clone() + &text;
        assert_eq!(read(&longer), Err(ObjectError::Torn { have: 7, want: 3 }));
    }

    #[test]
    fn what_is_not_ours_is_told_apart() {
        for text in ["", "hello\n", "{}\n", "[1]\n", r#"{"seq":0,"kind":"run-created"}"#] {
            assert_eq!(read(text), Err(ObjectError::Foreign), "{text:?}");
        }
        let later = r#"{"gpu-harness-history":2,"run":"r","lines":0}"#.to_owned() + "\n";
        assert_eq!(read(&later), Err(ObjectError::Version(2)));
        let bad = r#"{"gpu-harness-history":1,"run":"r","lines":1}"#.to_owned() + "\n{}\n";
        assert!(matches!(read(&bad), Err(ObjectError::Line { line: 2, .. })));
        assert!(is_name("20261123-000000-1.ndjson"));
        for name in ["README.md", ".ndjson", "../x.ndjson", ".part-abc", "a/b.ndjson"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
