//! A Rust test binary on a node, unchanged: what cargo and nextest start in its place.
//!
//! cargo calls a target's runner as `runner BINARY ARGUMENTS…`, in the package's folder. A listing is answered here, by the
//! binary itself; everything else runs on the node that `gpu-harness cargo …` holds, with the files beside the manifest and
//! the libraries that the binary needs, and ends as it did there.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`files`] | what does the binary need on the node? |
//! | [`variables`] | which of the environment goes along? |
//! | [`cargo`] | how does cargo come to call this? |
//! | `config` | what does cargo's own configuration change? |

pub mod cargo;
mod config;
pub mod files;
pub mod variables;

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use gpu_suites::event::Event;
use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, MAX_NAME};
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::{Case, Command as Spec, InputPath};
use gpu_suites::unit::Span;
use rustix::process::{Resource, Rlimit, Signal, getpid, kill_process, setrlimit};

use self::files::{Files, FilesError};
use crate::here::Here;
use crate::holder::SOCKET;
use crate::holder::client::{Client, ClientError};
use crate::holder::wire::Program;
use crate::report::terminal::Through;
use crate::run::exec::{INFRASTRUCTURE, name_of};
use crate::text::Explain;
use crate::text::clean::log_line;

/// The suite that test binaries are cases of.
const SUITE: &str = "cargo";
/// No test is timed out by us: cargo's user and nextest have their own limits.
const TIMEOUT: Span = Span(std::time::Duration::from_secs(24 * 3600));
/// Sets what cannot be known before the working folder is, and becomes the binary.
const START: &str = r#"export CARGO_MANIFEST_DIR="$PWD" LD_LIBRARY_PATH="$PWD/.gpu-harness/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"; "#;
const BECOME: &str = r#"exec "$@""#;

#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error(
        "no node is held for this: start it by `gpu-harness cargo test …` or `gpu-harness cargo nextest run …`"
    )]
    NoHolder,
    #[error("failed to start {}", path.display())]
    Here { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("an argument is not UTF-8: {0}")]
    Argument(String),
}

impl Explain for RunnerError {
    fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            _ => Exit::Usage,
        }
    }
}

/// Runs a test binary as cargo asks for it.
pub fn run(binary: &Path, arguments: &[OsString], here: &Here) -> Result<ExitCode, RunnerError> {
    let is_program = here.env.get(cargo::PROGRAM).is_some();
    if !is_program && arguments.iter().any(|argument| argument == "--list") {
        // The same machine's code: no node is needed for a list.
        let source = Command::new(binary).args(arguments).exec();
        return Err(RunnerError::Here { path: binary.to_owned(), source });
    }
    let socket = here.env.get(SOCKET).ok_or(RunnerError::NoHolder)?;
    let cwd = &here.folder;
    let files = Files::of(binary, here)?;
    let program = program(&files, binary, arguments, here)?;
    for note in &files.notes {
        here.console.tell(&format!("gpu-harness: {note}"));
    }
    let client = Client::at(socket.into(), cwd.clone(), Vec::new());
    let mut through = Through::of_test(&here.env);
    let mut ended = None;
    let verdict = client.program(program, |record| {
        if let Event::ProcessEnded(event) = &record.event {
            ended = Some((event.code, event.signal));
        }
        through.hear(&record.event);
        // The end of this connection ends the program there.
        if through.is_unheard() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    through.end();
    if through.is_unheard() {
        end_by(Signal::PIPE.as_raw());
    }
    let verdict = verdict?;
    match (verdict.outcome, ended) {
        (Outcome::Passed | Outcome::Failed, Some((Some(code), _))) => {
            Ok(ExitCode::from(code.to_le_bytes()[0]))
        }
        (_, Some((_, Some(signal)))) => {
            end_by(signal);
            Ok(ExitCode::from(128_u8.wrapping_add(signal.to_le_bytes()[0])))
        }
        (outcome, _) => {
            let reason = verdict.reason.as_deref().map(log_line).unwrap_or_default();
            here.console
                .tell(&format!("gpu-harness: {outcome}, which says nothing about the tests: {reason}"));
            Ok(ExitCode::from(INFRASTRUCTURE))
        }
    }
}

/// Ends this process as the one on the node ended, so that cargo and nextest tell a crash from a failure.
fn end_by(signal: i32) {
    // The core is not here.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = kill_process(getpid(), signal);
    }
}

fn program(
    files: &Files,
    binary: &Path,
    arguments: &[OsString],
    here: &Here,
) -> Result<Program, RunnerError> {
    let text = |argument: &OsString| {
        let shown = || RunnerError::Argument(argument.to_string_lossy().into_owned());
        argument.to_str().map(str::to_owned).ok_or_else(shown)
    };
    let (env, there) =
        variables::by_place(variables::of_tests(&here.env), &here.folder, binary, &files.binary);
    let script = [START, &there, BECOME].concat();
    let start = ["sh", "-c", &script, "sh"].map(str::to_owned).into_iter();
    let arguments = arguments.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let name = case_name(binary, &arguments);
    let run = start.chain([format!("./{}", files.binary)]).chain(arguments).collect();
    let spec = Spec {
        run,
        files: files.files.keys().cloned().collect::<Vec<InputPath>>(),
        bring: Vec::new(),
        junit: Vec::new(),
        env,
    };
    let mut case = Case::new(name.clone(), spec);
    case.timeout = TIMEOUT;
    let slot = here.env.get("NEXTEST_TEST_GROUP_SLOT").and_then(|slot| slot.parse().ok());
    Ok(Program {
        id: CaseId::new(SUITE, &name),
        root: here.folder.clone(),
        spec: case,
        files: files.files.clone(),
        needs: files.needs.clone(),
        links: files.links.clone(),
        slot,
    })
}

/// The binary, and the test where it is to run a single one.
fn case_name(binary: &Path, arguments: &[String]) -> String {
    let file = name_of(&binary.to_string_lossy());
    // cargo's own name of a binary has a hash at its end.
    let plain = match file.rsplit_once('-') {
        Some((name, hash)) if hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()) => name,
        _ => &file,
    };
    let exact =
        arguments.iter().position(|argument| argument == "--exact").and_then(|at| arguments.get(at + 1));
    let name = match exact.filter(|test| !test.starts_with('-')) {
        Some(test) => format!("{plain}.{}", name_of(&test.replace("::", "."))),
        None => plain.to_owned(),
    };
    name.chars().take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_called_as_the_binary_and_its_single_test() {
        let name = |binary: &str, arguments: &[&str]| {
            case_name(Path::new(binary), &arguments.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(name("/t/deps/gpu-0123456789abcdef", &[]), "gpu");
        assert_eq!(name("/t/deps/gpu-tests", &["--nocapture"]), "gpu-tests");
        assert_eq!(name("gpu-0123456789abcdef", &["--exact", "a::b c", "--nocapture"]), "gpu.a.b_c");
        let long = name(&"b".repeat(90), &["--exact", &"t".repeat(90)]);
        assert!(CaseId::new("s", &long).is_valid(), "{long}");
    }
}
