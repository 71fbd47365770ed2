//! What cargo's own configuration says that changes where tests run, or what they find: targets, runners, `[env]`.
//!
//! As cargo reads it (<https://doc.rust-lang.org/cargo/reference/config.html>): `.cargo/config.toml` in the working folder and
//! those above it, the one in cargo's home, and `--config`. A file that is no TOML is for cargo to complain about.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What is said, by the files and by the command line.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// Triples, or files that describe a target, that something may be built for.
    pub(super) targets: BTreeSet<String>,
    /// Names of `[env]`.
    pub(super) env: BTreeSet<String>,
    /// `target.….runner` of files, which ours takes the place of.
    pub(super) runners: BTreeSet<String>,
    /// `target.….runner` of the command line, which takes the place of ours.
    pub(super) final_runners: BTreeSet<String>,
}

impl Config {
    /// Of cargo with these arguments in this folder.
    pub(super) fn read(cwd: &Path, home: Option<&Path>, arguments: &[OsString]) -> Self {
        let mut config = Self::default();
        let folders = cwd.ancestors().map(|folder| folder.join(".cargo")).chain(home.map(Path::to_owned));
        for folder in folders {
            // Where both are, cargo takes the older name.
            let file =
                ["config", "config.toml"].iter().map(|name| folder.join(name)).find(|path| path.is_file());
            if let Some(table) = file.and_then(|path| table(&path)) {
                let runners = config.take(&table);
                config.runners.extend(runners);
            }
        }
        for said in values(arguments, "--config") {
            let inline = said.to_str().filter(|text| text.contains('=')).and_then(|text| text.parse().ok());
            if let Some(table) = inline.or_else(|| table(&cwd.join(said))) {
                let runners = config.take(&table);
                config.final_runners.extend(runners);
            }
        }
        config
            .targets
            .extend(values(arguments, "--target").filter_map(|target| target.to_str().map(str::to_owned)));
        config
    }

    /// Takes in a table; gives the runners that it sets.
    fn take(&mut self, table: &Table) -> Vec<String> {
        let build = table.get("build").and_then(|build| build.get("target"));
        self.targets.extend(texts(build));
        self.env
            .extend(table.get("env").and_then(Value::as_table).into_iter().flat_map(Table::keys).cloned());
        let targets = table.get("target").and_then(Value::as_table);
        let runners = targets.into_iter().flatten().filter_map(|(target, table)| {
            let runner = texts(table.get("runner"));
            (!runner.is_empty()).then(|| format!("target.{target}.runner = {:?}", runner.join(" ")))
        });
        runners.collect()
    }
}

fn table(path: &Path) -> Option<Table> {
    std::fs::read_to_string(path).ok()?.parse().ok()
}

/// A text, or a list of them.
fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => vec![text.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    }
}

/// What is given to a flag of cargo's, each time that it is there: what is behind `--` is not cargo's.
fn values<'a>(arguments: &'a [OsString], flag: &'a str) -> impl Iterator<Item = &'a OsStr> {
    let own = arguments.iter().take_while(|word| *word != "--");
    let own = Vec::from_iter(own.map(OsString::as_os_str));
    let found = (0..own.len()).filter_map(move |at| {
        let word = own[at].to_str();
        if word == Some(flag) {
            own.get(at + 1).copied()
        } else {
            word.and_then(|word| word.strip_prefix(flag)?.strip_prefix('=')).map(OsStr::new)
        }
    });
    found.collect::<Vec<_>>().into_iter()
}

/// cargo's own command, such as `test`, and the word behind it.
pub(super) fn verb(arguments: &[OsString]) -> (Option<&str>, Option<&str>) {
    let mut words = arguments.iter().filter_map(|word| word.to_str());
    let mut verb = None;
    while let Some(word) = words.next() {
        match word {
            "--config" | "--color" | "-Z" | "-C" => {
                words.next();
            }
            _ if word.starts_with(['-', '+']) => {}
            _ => {
                verb = Some(word);
                break;
            }
        }
    }
    (verb, words.find(|word| !word.starts_with('-')))
}

/// The name that cargo has for a target: of a file that describes one, its own.
pub(super) fn short_name(target: &str) -> String {
    let path = PathBuf::from(target);
    match path.extension() {
        Some(extension) if extension == "json" => {
            path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
        }
        _ => target.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn files_above_cargos_home_and_the_command_line_are_all_heard() {
        let folder = tempfile::tempdir().unwrap();
        let (cwd, home) = (folder.path().join("a/b"), folder.path().join("home"));
        for (path, text) in [
            (
                "a/b/.cargo/config.toml",
                "[build]\ntarget = \"x86_64-unknown-linux-musl\"\n[env]\nNEAR = \"1\"\nNEAR.force = true\n",
            ),
            (
                "a/.cargo/config.toml",
                "[env]\nMODEL = { value = \"data\", relative = true }\n[target.'cfg(unix)']\nrunner = \"sudo -E\"\n",
            ),
            (
                "home/config.toml",
                "build.target = [\"one\", \"spec/two.json\"]\n[target.three]\nrunner = [\"a\", \"b c\"]\nlinker = \"x\"\n",
            ),
        ] {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let arguments =
            words("test --config build.target='four' --target five --target=six -- --target seven");
        let config = Config::read(&cwd, Some(&home), &arguments);
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        assert_eq!(
            list(&config.targets),
            "five, four, one, six, spec/two.json",
            "a broken file is cargo's to tell"
        );
        assert_eq!(list(&config.env), "MODEL");
        assert_eq!(
            list(&config.runners),
            "target.cfg(unix).runner = \"sudo -E\", target.three.runner = \"a b c\""
        );
        assert!(config.final_runners.is_empty(), "{config:?}");
        let config = Config::read(&cwd, None, &words(r#"test --config target.x.runner="mine""#));
        assert_eq!(list(&config.final_runners), "target.x.runner = \"mine\"");
        assert_eq!(short_name("spec/two.json"), "two");
    }

    #[test]
    fn cargos_own_command_is_found_behind_its_flags() {
        assert_eq!(
            verb(&words("+nightly --config a=1 -q nextest run --all")),
            (Some("nextest"), Some("run"))
        );
        assert_eq!(verb(&words("test")), (Some("test"), None));
        assert_eq!(verb(&words("--version")), (None, None));
    }
}
