//! Questions to a history in SQL, answered by DuckDB's own program: it gets the lines as a table and prints what it finds.
//!
//! DataFusion or DuckDB as a library would take longer to build than everything else here together, for the sake of one
//! flag; the program is a download of some MB (`pip install duckdb-cli`).

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::process::{Command, ExitStatus, Stdio};

use gpu_suites::exit::Exit;
use gpu_suites::metrics::Value;
use serde_json::json;

use super::{History, Line};
use crate::here::Env;
use crate::text::Explain;

const PROGRAM: &str = "GPU_HARNESS_DUCKDB";

/// The columns and their types. `case` and `at`, as the lines have them, are words of SQL.
const COLUMNS: [(&str, &str); 21] = [
    ("run", "VARCHAR"),
    ("ended", "TIMESTAMPTZ"),
    ("id", "VARCHAR"),
    ("metric", "VARCHAR"),
    ("value", "DOUBLE"),
    ("text", "VARCHAR"),
    ("measured", "DOUBLE[]"),
    ("outcome", "VARCHAR"),
    ("flaky", "BOOLEAN"),
    ("healthy", "BOOLEAN"),
    ("unhealthy", "VARCHAR"),
    ("commit", "VARCHAR"),
    ("model", "VARCHAR"),
    ("dtype", "VARCHAR"),
    ("batch", "VARCHAR"),
    ("device", "VARCHAR"),
    ("threads", "VARCHAR"),
    ("driver", "VARCHAR"),
    ("libtorch", "VARCHAR"),
    ("instance_type", "VARCHAR"),
    ("node", "VARCHAR"),
];

#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    #[error(
        "failed to start `{}`, which --sql asks: install it (pip install duckdb-cli), or name it in {PROGRAM}",
        program.display()
    )]
    Start { program: OsString, source: io::Error },
    #[error("failed to hand the history to DuckDB")]
    Write(#[source] io::Error),
    #[error("DuckDB refused the query ({0})")]
    Refused(ExitStatus),
}

impl Explain for SqlError {
    fn exit(&self) -> Exit {
        match self {
            Self::Write(_) => Exit::Infrastructure,
            Self::Start { .. } | Self::Refused(_) => Exit::Usage,
        }
    }
}

/// Asks; the answer is printed, as a table or as JSON.
pub fn ask(history: &History, query: &str, json: bool, env: &Env) -> Result<(), SqlError> {
    let program = OsString::from(env.get(PROGRAM).unwrap_or_else(|| "duckdb".to_owned()));
    let mut command = Command::new(&program);
    // Nobody's own settings change what is printed.
    command.args(["-init", "/dev/null", if json { "-json" } else { "-table" }]).arg("-c");
    command.arg(table() + query).stdin(Stdio::piped());
    let mut child = command.spawn().map_err(|source| SqlError::Start { program, source })?;
    let written = child.stdin.take().map_or(Ok(()), |mut input| {
        let mut lines = io::BufWriter::new(&mut input);
        history.lines.iter().try_for_each(|line| writeln!(lines, "{}", row(line)))?;
        lines.flush()
    });
    let status = child.wait().map_err(SqlError::Write)?;
    if !status.success() {
        return Err(SqlError::Refused(status));
    }
    written.map_err(SqlError::Write)
}

fn table() -> String {
    let columns = COLUMNS.map(|(name, kind)| format!("{name}: '{kind}'")).join(", ");
    format!("CREATE TABLE history AS SELECT * FROM read_ndjson('/dev/stdin', columns = {{{columns}}});\n")
}

fn row(line: &Line) -> serde_json::Value {
    let text = match &line.value {
        Some(Value::Text(text)) => Some(text),
        _ => None,
    };
    let key = &line.key;
    // What is no number is null: JSON has no other.
    json!({
        "run": line.run, "ended": line.at, "id": line.id(), "metric": line.metric,
        "value": line.number(), "text": text, "measured": line.numbers(),
        "outcome": line.outcome, "flaky": line.flaky, "healthy": line.healthy,
        "unhealthy": line.unhealthy, "commit": line.commit, "model": key.model, "dtype": key.dtype,
        "batch": key.batch, "device": key.device, "threads": key.threads, "driver": key.driver,
        "libtorch": key.libtorch, "instance_type": key.instance_type, "node": key.node,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fold;
    use crate::report::sample;

    #[test]
    fn a_row_has_every_column_and_no_other() {
        let state = sample::state(&sample::every_outcome());
        let lines = fold::lines(&state);
        for line in &lines {
            let row = row(line);
            let names = Vec::from_iter(row.as_object().unwrap().keys().map(String::as_str));
            let mut columns = COLUMNS.map(|(name, _)| name);
            columns.sort_unstable();
            let mut names = names;
            names.sort_unstable();
            assert_eq!(names, columns);
        }
        assert!(!lines.is_empty());
    }
}
