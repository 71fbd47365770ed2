//! `exit-status`: the program ended with the wanted exit status.
//!
//! A signal that the program brought on itself is its failure. A signal that comes from outside says nothing about
//! the program: the case errors. A worker that does not end well is the fault of what it runs only where it says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metrics::Blame;

use super::observations::Observations;
use super::ruling::{Kind, Ruling};
use super::text::clip;
use super::{CaseFacts, Check, Fold, LastWord, ProcessEnd};

/// The exit status that the program must end with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExitStatus {
    /// The wanted code.
    pub code: u8,
}

impl Check for ExitStatus {
    fn start(self, _: CaseFacts<'_>) -> Box<dyn Fold> {
        Box::new(self)
    }
}

/// What a case writes says nothing of how its process ends: the evaluator asks [`of_command`] and [`of_worker`].
impl Fold for ExitStatus {
    fn conclude(&self, _: &Observations) -> Vec<Ruling> {
        Vec::new()
    }
}

/// Signals by which somebody else ends a program, and who that usually is.
const FROM_OUTSIDE: [(&str, &str); 6] = [
    (
        "SIGKILL",
        "the kernel's OOM killer (the node has too little memory for the case), or somebody on the node",
    ),
    ("SIGTERM", "somebody, or a shutdown of the node, ended it"),
    ("SIGINT", "somebody interrupted it on the node"),
    ("SIGHUP", "its terminal or session on the node went away"),
    ("SIGQUIT", "somebody asked it to quit on the node"),
    ("SIGPWR", "the node is losing power"),
];

/// Signals that a program brings on itself, and what usually does.
const OWN_DOING: [(&str, &str); 9] = [
    (
        "SIGSEGV",
        "a wild pointer in native code: an extension built for another version, or an index out of bounds",
    ),
    (
        "SIGABRT",
        "a failed assertion, an uncaught C++ exception, or memory that could not be had; the log's last lines say which",
    ),
    ("SIGBUS", "a file that was cut short while it was mapped, or /dev/shm is full"),
    ("SIGILL", "built for instructions that this CPU does not have"),
    ("SIGFPE", "an integer division by zero in native code"),
    ("SIGTRAP", "a failed assertion in native code"),
    ("SIGSYS", "a system call that the node forbids"),
    ("SIGPIPE", "it wrote to a pipe that nobody reads"),
    ("SIGXCPU", "it used up its CPU time limit"),
];

pub(crate) fn of_command(end: &ProcessEnd, wanted: ExitStatus) -> Ruling {
    let target = format!("exit code {}", wanted.code);
    match end {
        ProcessEnd::Exited(code) => {
            Ruling::of(*code == i32::from(wanted.code), format!("exit code {code}"), target)
                .because(cause_of_code(*code))
        }
        ProcessEnd::Signalled { signal, name } => {
            let known =
                |table: &[(&str, &'static str)]| table.iter().find(|row| row.0 == name).map(|row| row.1);
            if let Some(cause) = known(&FROM_OUTSIDE) {
                let observed = format!("killed from outside by {name}");
                return Ruling { cause: Some(usually(cause)), ..Ruling::skipped(observed, target) };
            }
            let cause = known(&OWN_DOING).unwrap_or("the log's last lines may say more");
            Ruling::broke(format!("ended by {} (signal {signal})", clip(name, 32)), target).because(cause)
        }
        ProcessEnd::Aborted => Ruling::skipped("the case was stopped", target),
    }
}

/// Nothing where the worker ended well.
pub(crate) fn of_worker(end: &ProcessEnd, error: Option<&LastWord>) -> Option<Ruling> {
    let wanted = "exit code 0 of the worker";
    let errored =
        |observed: String, cause: String| Ruling { cause: Some(cause), ..Ruling::skipped(observed, wanted) };
    if let Some(LastWord { what, hint, fault }) = error {
        let hint = hint.clone().unwrap_or_else(|| "the log says more".into());
        return Some(match fault {
            Blame::Node => errored(format!("the worker cannot go on: {what}"), hint),
            Blame::Code => Ruling::broke(what, "a case that can be run").because(hint),
        });
    }
    match end {
        ProcessEnd::Exited(0) | ProcessEnd::Aborted => None,
        ProcessEnd::Exited(code) => Some(errored(
            format!("exit code {code} of the worker"),
            "a fault of the worker or of the node, not of what is trained; the log's last lines say more"
                .into(),
        )),
        ProcessEnd::Signalled { signal, name } => {
            let outside = FROM_OUTSIDE.iter().find(|row| row.0 == name);
            Some(match outside {
                Some((_, cause)) => errored(format!("the worker was killed from outside by {name}"), usually(cause)),
                None => errored(
                    format!("the worker was ended by {} (signal {signal})", clip(name, 32)),
                    "a crash inside libtorch, the driver or the model's own kernels; the log's last lines say more".into(),
                ),
            })
        }
    }
}

fn usually(cause: &str) -> String {
    format!("usually {cause}")
}

/// Whether the process was ended by somebody else, so that the program cannot be blamed.
pub(crate) fn is_from_outside(ruling: &Ruling) -> bool {
    ruling.kind == Kind::Skipped && ruling.cause.is_some()
}

fn cause_of_code(code: i32) -> String {
    match code {
        5 => "pytest ends with 5 where it collects no test; else the log says why".into(),
        101 => "a Rust program that panicked; the log's last lines say where".into(),
        126 => "the program is not executable: chmod +x, or name its interpreter in `run`".into(),
        127 => "a program that is not there: is it installed on the node and on the PATH?".into(),
        129..=192 => {
            format!("a child of it was ended by signal {}; 9 is usually the kernel's OOM killer", code - 128)
        }
        _ => "the program says so itself: its log's last lines say why".into(),
    }
}
