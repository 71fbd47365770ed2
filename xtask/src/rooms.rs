//! Holds the rooms of a crate to their order: a room uses those that its `lib.rs` lists before it, and none after.
//!
//! The order is the table in the crate's own documentation, so that what is read there is what holds. And only the room
//! that is there for it reads this process's environment: all others are passed theirs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::cargo;

/// The crates whose `lib.rs` has such a table, and in each the file that reads this process's environment.
const CRATES: [(&str, &str); 2] = [("suites/src", "cache.rs"), ("harness/src", "here.rs")];
/// Rooms that look into all others and that nobody may use: entry points of tests.
const ABOVE_ALL: [&str; 1] = ["fuzz"];

/// A use of a room that stands later than its user.
#[derive(Debug, PartialEq, Eq)]
struct Upward {
    line: usize,
    from: String,
    to: String,
}

/// Fails where a room uses one that stands after it, or is in no table.
pub(crate) fn check() -> Result<()> {
    for (sources, environment) in CRATES {
        let sources = cargo::root().join(sources);
        let lib = sources.join("lib.rs");
        let text = fs::read_to_string(&lib).with_context(|| format!("failed to read {}", lib.display()))?;
        let order = order(&text);
        let mut wrong = Vec::new();
        for module in text.lines().filter_map(module) {
            if !order.iter().any(|room| room == module) && !ABOVE_ALL.contains(&module) {
                wrong.push(format!("{}: room `{module}` is not in the table of rooms", lib.display()));
            }
        }
        for file in files(&sources)? {
            let below = file.strip_prefix(&sources)?.components().next().context("a file has a name")?;
            let room = below.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned();
            let text =
                fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
            if below.as_os_str() != environment {
                wrong.extend(of_process(&text).map(|line| {
                    format!("{}:{line}: the environment is passed in; {environment} reads it", file.display())
                }));
            }
            wrong.extend(upward(&order, &room, &text).into_iter().map(|found| {
                format!(
                    "{}:{}: room `{}` may not use `{}`, which stands after it",
                    file.display(),
                    found.line,
                    found.from,
                    found.to
                )
            }));
        }
        if !wrong.is_empty() {
            bail!("{}\nhint: move what is used to a room that both may use, or pass it in", wrong.join("\n"));
        }
    }
    Ok(())
}

/// The rooms in the order of the documentation's table.
fn order(lib: &str) -> Vec<String> {
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | ")?.split('|').next());
    let names = rows.filter(|cell| cell.contains('`')).flat_map(|cell| cell.split(','));
    Vec::from_iter(names.map(|name| name.trim().trim_matches(['[', '`', ']']).to_owned()))
}

/// `x` of `pub mod x;`
fn module(line: &str) -> Option<&str> {
    line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';')
}

/// Where a file of room `from` names a room that stands after it.
fn upward(order: &[String], from: &str, text: &str) -> Vec<Upward> {
    let Some(own) = order.iter().position(|room| room == from) else { return Vec::new() };
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let uses = code.flat_map(|(index, line)| {
        line.split("crate::").skip(1).map(move |rest| {
            (
                index + 1,
                rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
                    .next()
                    .unwrap_or_default(),
            )
        })
    });
    let later = uses.filter(|(_, to)| {
        order.iter().position(|room| room == to).is_some_and(|place| place > own) || ABOVE_ALL.contains(to)
    });
    Vec::from_iter(later.map(|(line, to)| Upward { line, from: from.to_owned(), to: to.to_owned() }))
}

/// The lines that read this process's environment.
fn of_process(text: &str) -> impl Iterator<Item = usize> {
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| line.contains("env::var") || line.contains("env::home_dir"))
        .map(|(index, _)| index + 1)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! | room | question |\n//! | --- | --- |\n//! | `text` | words? |\n//! | [`node`], [`report`] | x? |\n";

    #[test]
    fn a_room_uses_what_stands_before_it_and_nothing_after() {
        let order = order(LIB);
        assert_eq!(order, ["text", "node", "report"]);
        let text = "use crate::text::clean;\n// crate::report is only named\nuse crate::report::{a, b};\n";
        let found = upward(&order, "node", text);
        assert_eq!(found, [Upward { line: 3, from: "node".to_owned(), to: "report".to_owned() }]);
        assert!(upward(&order, "report", text).is_empty());
    }

    #[test]
    fn a_line_that_reads_the_environment_is_found() {
        let text = "let a = env!(\"X\");\nlet b = std::env::var_os(\"X\");\n// std::env::var\nlet c = here.env.get(\"X\");\n";
        assert_eq!(Vec::from_iter(of_process(text)), [2]);
    }

    #[test]
    fn the_rooms_of_this_project_keep_their_order() {
        check().unwrap();
    }
}
