//! What a test and the holder say to each other: a request is a line, and so is each answer.
//!
//! The answers to a request for a case are [`Response::Accepted`], the records of the case as they come, each as it stands
//! in the node's journal, and a [`Response::Ended`]. A request is over when its connection ends: the case is then cancelled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use gpu_suites::id::CaseId;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::{Case, InputPath};
use gpu_suites::wire::Answer;
use serde::{Deserialize, Serialize};

/// The longest line of an answer: a node's longest record, and what the holder adds to it.
pub(super) const LONGEST_ANSWER: usize = 16 << 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    Case {
        project: PathBuf,
        /// Suite files and folders of them; none means `suites/`.
        suites: Vec<PathBuf>,
        case: CaseId,
        /// The runner's place in its test group: which of the node's GPUs the case sees.
        slot: Option<u32>,
    },
    Program(Box<Program>),
    /// Give the node back and end. The connection ends when that is done.
    Stop,
}

/// A program to run on the node, and the files that it needs there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Program {
    pub id: CaseId,
    pub root: PathBuf,
    pub spec: Case,
    /// Where the content of each of its files lies here.
    pub files: BTreeMap<InputPath, PathBuf>,
    /// Those that it cannot do without.
    #[serde(default)]
    pub needs: BTreeSet<InputPath>,
    /// Where each of its links leads.
    #[serde(default)]
    pub links: BTreeMap<InputPath, String>,
    pub slot: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "said", rename_all = "kebab-case")]
pub enum Response {
    /// The request is understood and waits for its turn.
    Accepted { pid: u32 },
    /// The request was carried out.
    Ended(Verdict),
    /// The holder gives its node back and ends.
    Ending {
        /// The folder of its run, where anything was run.
        run_dir: Option<PathBuf>,
    },
    /// What is asked for cannot be run at all: the suites or their files are wrong.
    Refused { reason: String },
}

impl Answer for Response {
    const TAG: &'static str = "said";
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    pub outcome: Outcome,
    pub reason: Option<String>,
    pub run_dir: PathBuf,
}

/// The line of a request or an answer.
pub(super) fn line(said: &impl Serialize) -> String {
    let mut line =
        serde_json::to_string(said).unwrap_or_else(|error| unreachable!("this is plain data: {error}"));
    line.push('\n');
    line
}
