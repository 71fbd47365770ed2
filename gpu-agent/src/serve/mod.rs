//! Talks to one harness over standard input and output. See `gpu_suites::wire` for the language.
//!
//! Two threads: one hears requests and passes renewals on at once, so that a reader who is slow to take the journal
//! does not lose its lease; the other one answers and sends the journal. A slow reader costs no memory: the journal
//! is read from disk as fast as it is taken.

mod admit;
mod follow;
mod hear;
mod start;

use std::fs;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use gpu_suites::plan::PROTOCOL;
use gpu_suites::seal::Key;
use gpu_suites::wire::{Refusal, Reply, Request};
use jiff::Timestamp;

use crate::control::Control;
use crate::folder::{Folder, RunDir};
use crate::lock::Lock;
use crate::orders::Orders;
use crate::{store, strays};
use follow::{Follower, Step};
use hear::{Heard, Hearing};

/// A supervisor takes this long at most to remove its run's folder.
const BYE: Duration = Duration::from_secs(3);

#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The harness is gone, or the machine cannot do what every machine can.
    #[error("failed to {doing}")]
    Io { doing: &'static str, source: io::Error },
}

fn to<T>(doing: &'static str, result: io::Result<T>) -> Result<T, ServeError> {
    result.map_err(|source| ServeError::Io { doing, source })
}

/// Serves until the input ends or the harness says bye.
pub(crate) fn serve(folder: &Folder) -> Result<(), ServeError> {
    let hearing = to("start listening", Hearing::begin(folder.clone()))?;
    let mut conversation = Conversation { folder, hearing, opened: false, following: None, answered: 0 };
    match conversation.hold() {
        // The reader went away, which is how most conversations end.
        Err(ServeError::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        ended => ended,
    }
}

struct Conversation<'a> {
    folder: &'a Folder,
    hearing: Hearing,
    opened: bool,
    following: Option<Follower>,
    /// Renewals answered so far.
    answered: u64,
}

impl Conversation<'_> {
    fn hold(&mut self) -> Result<(), ServeError> {
        loop {
            while let Some(heard) = self.hearing.next() {
                match heard {
                    Heard::Request(Request::Bye) => {
                        self.bye();
                        return Ok(());
                    }
                    Heard::Request(request) => self.answer(request)?,
                    Heard::Nonsense(cause) => refuse(Refusal::BadRequest { cause })?,
                    Heard::End => return Ok(()),
                }
            }
            self.answer_renewals()?;
            let step = match &mut self.following {
                Some(follower) => to("send the journal", follower.step())?,
                None => Step::Idle,
            };
            match step {
                Step::Sent => {}
                Step::Idle => {
                    let journal = self.following.as_ref().and_then(Follower::watch);
                    let patience = self.following.as_ref().map(Follower::patience);
                    to("wait for events", self.hearing.wait(journal, patience))?;
                }
                Step::Gone => {
                    if let Some(follower) = self.following.take() {
                        strays::end(&follower.dir);
                        // Why it died, where it could still say so.
                        let log = fs::read_to_string(follower.dir.log()).unwrap_or_default();
                        crate::streams::tell(log.trim_end());
                    }
                    say(&Reply::Gone)?;
                }
            }
        }
    }

    fn answer_renewals(&mut self) -> Result<(), ServeError> {
        let renewals = self.hearing.renewals();
        while self.answered < renewals {
            self.answered += 1;
            say(&Reply::Alive)?;
        }
        Ok(())
    }

    fn answer(&mut self, request: Request) -> Result<(), ServeError> {
        match request {
            Request::Open { protocol: PROTOCOL, .. } => {
                self.opened = true;
                say(&Reply::Hello {
                    protocol: PROTOCOL,
                    agent: env!("CARGO_PKG_VERSION").to_owned(),
                    at: Timestamp::now(),
                })
            }
            Request::Open { protocol, .. } => {
                refuse(Refusal::Protocol { agent: PROTOCOL, harness: protocol })
            }
            _ if !self.opened => {
                refuse(Refusal::BadRequest { cause: "the first request must be `open`".to_owned() })
            }
            Request::Start { plan, key } => match self.start(Orders { plan: *plan, key }) {
                Ok(None) => Ok(()),
                Ok(Some(reply)) => say(&reply),
                Err(error) => refuse(error),
            },
            Request::Attach { run, from, key } => {
                let dir = self.folder.run(&run);
                if !run.is_valid() || !dir.journal().is_file() {
                    return refuse(Refusal::NoSuchRun { run });
                }
                self.follow(dir, from, key).map_or_else(refuse, |()| Ok(()))
            }
            Request::Cancel { reason, limit } => {
                // Heard before the run was attended to, it is passed on here; twice does no harm.
                self.hearing.pass_on(Control::Cancel { reason, limit });
                Ok(())
            }
            Request::Renew | Request::Bye => Ok(()),
        }
    }

    /// `None` where the journal follows, else what to say.
    fn start(&mut self, orders: Orders) -> Result<Option<Reply>, Refusal> {
        let plan = &orders.plan;
        admit::admit(plan)?;
        let unwritable = |(path, error): (std::path::PathBuf, io::Error)| Refusal::Unwritable {
            path: path.display().to_string(),
            cause: error.to_string(),
        };
        self.folder.prepare().map_err(unwritable)?;
        let dir = self.folder.run(&plan.run);
        if !dir.journal().is_file() {
            let blobs = store::missing(self.folder, &plan.blobs());
            if !blobs.is_empty() {
                return Ok(Some(Reply::Missing { blobs }));
            }
        }
        start::start(&dir, &orders).map_err(|error| unwritable((dir.path().to_owned(), error)))?;
        self.follow(dir, 0, orders.key)?;
        Ok(None)
    }

    fn follow(&mut self, dir: RunDir, from: u64, key: Key) -> Result<(), Refusal> {
        let path = dir.journal();
        let attended = self.hearing.attend(&dir, key);
        // Whoever asks for a run wants it to go on.
        self.hearing.pass_on(Control::Renew);
        let follower = attended.and_then(|()| Follower::open(dir, from)).map_err(|error| {
            Refusal::Unwritable { path: path.display().to_string(), cause: error.to_string() }
        })?;
        self.following = Some(follower);
        Ok(())
    }

    /// The supervisor removes the folder, if the run has ended; where it is dead, this does.
    fn bye(&self) {
        let Some(dir) = self.hearing.attended() else { return };
        if !Lock::is_held(&dir) {
            strays::end(&dir);
            let _ = fs::remove_dir_all(dir.path());
            return;
        }
        self.hearing.pass_on(Control::Bye);
        let begun = Instant::now();
        while dir.path().exists() && follow::has_finished(&dir) && begun.elapsed() < BYE {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn refuse(error: Refusal) -> Result<(), ServeError> {
    say(&Reply::Refused { error })
}

fn say(reply: &Reply) -> Result<(), ServeError> {
    let line = serde_json::to_string(reply).map_err(io::Error::from).map(|line| line + "\n");
    let mut out = io::stdout().lock();
    to("answer", line.and_then(|line| out.write_all(line.as_bytes()).and_then(|()| out.flush())))
}
