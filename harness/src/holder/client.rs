//! How a test has a case run: by the holder of its test run, which it starts where there is none yet.

use std::io::{self, BufReader, Write as _};
use std::ops::ControlFlow;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use gpu_suites::event::Record;
use gpu_suites::exit::Exit;
use gpu_suites::id::CaseId;
use gpu_suites::lines::{End, Reader, TooLong};
use gpu_suites::wire::Heard;

use super::address::{Address, NoPlace};
use super::owner::Owner;
use super::serve::Order;
use super::start::{self, StartError};
use super::wire::{LONGEST_ANSWER, Program, Request, Response, Verdict, line};
use crate::here::Env;
use crate::text::Explain;

/// How often a holder that ends just when it is asked is replaced.
const TRIES: u32 = 3;

/// A way to the holder of one node.
#[derive(Debug, Clone)]
pub struct Client {
    holder: Holder,
    project: PathBuf,
    suites: Vec<PathBuf>,
}

#[derive(Debug, Clone)]
enum Holder {
    /// Somebody has started it.
    At(PathBuf),
    /// The first that needs it starts it.
    Ours(Box<Order>, Env),
}

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// It cannot be told for whom the node is to be held.
    #[error("failed to find the process above the tests")]
    Owner(#[source] io::Error),
    #[error(transparent)]
    NoPlace(#[from] NoPlace),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("failed to reach the node holder at {}", socket.display())]
    Reach { socket: PathBuf, source: io::Error },
    #[error(
        "the node holder{} ended while the case ran; its node ends by its own lease and time to live, and the \
         next test run starts another",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Gone { pid: Option<u32> },
    #[error("the node holder says what cannot be understood: {0}")]
    Odd(String),
    /// The asker wants to hear no more: the case is cancelled.
    #[error("nobody reads what it says any more")]
    Unheard,
    /// What was asked for cannot be run.
    #[error("{reason}")]
    Refused {
        reason: String,
        /// Whose fault that is: the user's, or the holder's machine's.
        exit: Exit,
    },
}

impl Explain for ClientError {
    fn exit(&self) -> Exit {
        match self {
            Self::Start(error) => error.exit(),
            Self::Refused { exit, .. } => *exit,
            _ => Exit::Infrastructure,
        }
    }
}

impl Client {
    pub fn at(socket: PathBuf, project: PathBuf, suites: Vec<PathBuf>) -> Self {
        Self { holder: Holder::At(socket), project, suites }
    }

    /// To the holder of the test run that this process belongs to. `settings`: all that makes another node of it.
    pub fn of_this_run(
        node: Option<String>,
        settings: &str,
        project: PathBuf,
        suites: Vec<PathBuf>,
        idle: Duration,
        env: &Env,
    ) -> Result<Self, ClientError> {
        let owner = Owner::above().map_err(ClientError::Owner)?;
        let address = Address::of(&owner, &format!("{node:?}\n{settings}"), env)?;
        let order = Order { address, owner, node, project: project.clone(), idle: Some(idle), tells: true };
        Ok(Self { holder: Holder::Ours(Box::new(order), env.clone()), project, suites })
    }

    /// Has the case run; `heard` takes its records as they come.
    pub fn run(
        &self,
        case: &CaseId,
        slot: Option<u32>,
        mut heard: impl FnMut(&Record) -> ControlFlow<()>,
    ) -> Result<Verdict, ClientError> {
        let ask = Request::Case {
            project: self.project.clone(),
            suites: self.suites.clone(),
            case: case.clone(),
            slot,
        };
        self.ask(&ask, &mut heard)
    }

    /// Has a program run; `heard` takes its records as they come.
    pub fn program(
        &self,
        program: Program,
        mut heard: impl FnMut(&Record) -> ControlFlow<()>,
    ) -> Result<Verdict, ClientError> {
        self.ask(&Request::Program(Box::new(program)), &mut heard)
    }

    fn ask(
        &self,
        ask: &Request,
        mut heard: &mut impl FnMut(&Record) -> ControlFlow<()>,
    ) -> Result<Verdict, ClientError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match converse(self.connect()?, ask, &mut heard) {
                // It took no notice of the request: it was just about to end.
                Err(ClientError::Gone { pid: None }) if tries < TRIES => {}
                ended => return ended,
            }
        }
    }

    fn connect(&self) -> Result<UnixStream, ClientError> {
        match &self.holder {
            Holder::At(socket) => UnixStream::connect(socket)
                .map_err(|source| ClientError::Reach { socket: socket.clone(), source }),
            Holder::Ours(order, env) => Ok(start::connect(order, env)?),
        }
    }
}

fn converse(
    mut stream: UnixStream,
    ask: &Request,
    heard: &mut impl FnMut(&Record) -> ControlFlow<()>,
) -> Result<Verdict, ClientError> {
    let mut pid = None;
    if stream.write_all(line(ask).as_bytes()).is_err() {
        return Err(ClientError::Gone { pid });
    }
    let mut lines = Reader::new(BufReader::new(stream), LONGEST_ANSWER);
    while let Ok(Some((line, end))) = lines.next_line() {
        let text = match (end, std::str::from_utf8(line)) {
            (End::Newline, Ok(text)) => text,
            (End::TooLong, _) => return Err(ClientError::Odd(TooLong { most: LONGEST_ANSWER }.to_string())),
            (_, Err(_)) => return Err(ClientError::Odd("a line that is not UTF-8".to_owned())),
            (End::Stream, _) => break,
        };
        let said = match Heard::parse(text).map_err(|error| ClientError::Odd(error.to_string()))? {
            Heard::Answer(said) => said,
            Heard::Record(record) if heard(&record).is_break() => return Err(ClientError::Unheard),
            Heard::Record(_) => continue,
        };
        match said {
            Response::Accepted { pid: its } => pid = Some(its),
            Response::Ended(verdict) => return Ok(verdict),
            Response::Refused { reason, exit } => return Err(ClientError::Refused { reason, exit }),
            Response::Ending { .. } => {
                return Err(ClientError::Odd("an answer to what was not asked".to_owned()));
            }
        }
    }
    Err(ClientError::Gone { pid })
}
