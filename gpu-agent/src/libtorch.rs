//! Where is libtorch on this node? The first usable one of: what the plan says, `$LIBTORCH`, one that was put there, a
//! Python torch of the right version, and a folder that somebody unpacked.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use gpu_wheels::libtorch::VERSION;

use crate::folder::Folder;
use crate::install::Wanted;

/// A Python that takes longer than this has other troubles.
const PYTHON_LIMIT: Duration = Duration::from_secs(20);
/// Finds torch without importing it: that would take seconds.
const PYTHON: &str = "import importlib.util, os
spec = importlib.util.find_spec('torch')
if spec and spec.origin:
    folder = os.path.dirname(spec.origin)
    facts = {}
    exec(open(os.path.join(folder, 'version.py')).read(), facts)
    print(facts['__version__'])
    print(folder)
";

/// A libtorch that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Libtorch {
    pub(crate) root: PathBuf,
    pub(crate) from: &'static str,
}

impl Libtorch {
    /// The folder of its shared libraries.
    pub(crate) fn libraries(&self) -> PathBuf {
        self.root.join("lib")
    }

    /// Whether another one may do what is wanted and this cannot: it has no CUDA, and nobody said that it is to be used.
    pub(crate) fn may_be_bettered(&self, wanted: Wanted) -> bool {
        let is_named = [NAMED, VARIABLE].contains(&self.from);
        wanted == Wanted::Cuda && !is_named && !self.root.join("lib/libtorch_cuda.so").is_file()
    }

    /// For a person: the folder and who named it.
    pub(crate) fn describe(&self) -> String {
        format!("{} ({})", self.root.display(), self.from)
    }
}

/// No libtorch: every place that was looked at, with what was there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "libtorch {VERSION} was not found on the node:\n{}\nhint: let it be fetched (`environment: {{ libtorch: auto }}` of the node), set LIBTORCH \
     there to an unpacked libtorch {VERSION}, or `pip install torch=={VERSION}` there",
    looked.join("\n")
)]
pub(crate) struct NotFound {
    looked: Vec<String>,
}

/// The places in which one is found, as they are told.
const NAMED: &str = "the node's `libtorch` setting";
const VARIABLE: &str = "$LIBTORCH";

pub(crate) fn find(explicit: Option<&Path>, folder: &Folder, wanted: Wanted) -> Result<Libtorch, NotFound> {
    let mut looked = Vec::new();
    let mut usable = |root: Result<PathBuf, String>, from: &'static str| match root {
        Ok(root) => match unusable(&root) {
            None => Some(Libtorch { root, from }),
            Some(why) => {
                looked.push(format!("  {from}: {}: {why}", root.display()));
                None
            }
        },
        Err(why) => {
            looked.push(format!("  {from}: {why}"));
            None
        }
    };
    let not_set = || "not set".to_owned();
    let variable = std::env::var_os("LIBTORCH").filter(|value| !value.is_empty()).map(PathBuf::from);
    let put = |wanted: Wanted| Ok(wanted.build().place(folder.path()));
    let found = usable(explicit.map(Path::to_owned).ok_or_else(not_set), NAMED)
        .or_else(|| usable(variable.ok_or_else(not_set), VARIABLE))
        .or_else(|| usable(put(wanted), "put there by gpu-harness"))
        .or_else(|| usable(python(), "Python's torch"))
        .or_else(|| usable(Ok(folder.path().join("libtorch").join(VERSION)), "the cache folder"));
    found.ok_or(NotFound { looked })
}

/// Why there is no libtorch of the right version in `root`, if so.
fn unusable(root: &Path) -> Option<String> {
    if !root.join("lib/libtorch_cpu.so").is_file() {
        return Some("there is no lib/libtorch_cpu.so".into());
    }
    // A Python torch has no such file; its version was asked for.
    let version = fs::read_to_string(root.join("build-version")).ok()?;
    (!is_right(&version)).then(|| format!("that is libtorch {}", version.trim()))
}

fn is_right(version: &str) -> bool {
    version.trim().split('+').next() == Some(VERSION)
}

fn python() -> Result<PathBuf, String> {
    let said = run(Command::new("python3").args(["-c", PYTHON]), PYTHON_LIMIT)?;
    let mut lines = said.lines();
    match (lines.next(), lines.next()) {
        (Some(version), Some(folder)) if is_right(version) => Ok(folder.into()),
        (Some(version), Some(folder)) => Err(format!("{folder} is {version}")),
        _ => Err("python3 has no torch".into()),
    }
}

/// What a program prints, unless it fails or takes too long.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
    let out = child.stdout.take();
    let reader = std::thread::spawn(move || out.map(std::io::read_to_string));
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => break,
            Ok(Some(status)) => return Err(format!("{program} ended with {status}")),
            Ok(None) if begun.elapsed() > limit => {
                // Not waited for: one that hangs in a driver does not die of this either.
                let _ = child.kill();
                return Err(format!("{program} did not answer within {} s", limit.as_secs()));
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => return Err(format!("{program}: {error}")),
        }
    }
    match reader.join() {
        Ok(Some(Ok(said))) => Ok(said),
        _ => Err(format!("{program} printed what is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_linked_version_is_taken() {
        for (version, right) in [
            ("2.11.0", true),
            ("2.11.0+cpu\n", true),
            ("2.11.0+cu128", true),
            ("2.11.1", false),
            ("2.1", false),
        ] {
            assert_eq!(is_right(version), right, "{version}");
        }
    }

    #[test]
    fn a_program_that_hangs_is_given_up() {
        let error = run(Command::new("sleep").arg("60"), Duration::from_millis(50)).unwrap_err();
        assert!(error.contains("did not answer"), "{error}");
    }
}
