//! One command's channel: opened, started, fed, drained, closed; each step as far as it goes without waiting.
//!
//! libssh2 sends whole packets only: a call that could send a packet only by half must be made again, with the same
//! data, before any other call can send. Hence the flags `writing` and `reading`: such a call is made again even where
//! its outcome is not wanted any more.

use std::io::{self, Read as _, Write as _};

use ssh2::{Channel, ErrorCode, Session};
use tokio::sync::mpsc::error::TryRecvError;

use super::preface::Preface;
use super::worker::{Request, Turn, What};
use crate::transport::exec::FarSide;
use crate::transport::{ExitStatus, LostCause, Peer, TransportError};

/// How much output the far side may send before we have read it; 4 MiB are 100 MiB/s at a round trip of 40 ms.
const WINDOW: u32 = 4 << 20;
/// The largest packet that OpenSSH sends.
const PACKET: u32 = 32 << 10;
/// Reads or writes of one command before it is the next one's turn.
const BURST: usize = 32;

/// libssh2's error codes that concern a channel and not the connection.
mod code {
    pub(super) const EAGAIN: i32 = -37;
    pub(super) const CHANNEL_FAILURE: i32 = -21;
    pub(super) const CHANNEL_REQUEST_DENIED: i32 = -22;
    pub(super) const CHANNEL_CLOSED: i32 = -26;
    pub(super) const CHANNEL_EOF_SENT: i32 = -27;
}

enum Stage {
    /// `asked`: the request is on its way.
    Opening {
        asked: bool,
    },
    /// The command is being asked for. Input has to wait: OpenSSH opens a channel with a window of 0.
    Starting(Channel),
    Running(Channel),
    Closing(Channel),
    Done,
}

pub(super) struct Job {
    peer: Peer,
    what: What,
    label: String,
    /// What stands before the command's own output.
    preface: Preface,
    /// What was done last, for a message.
    doing: &'static str,
    /// Gone once the command's end was told.
    far: Option<FarSide>,
    stage: Stage,
    /// The chunk that is being written, and how much of it was.
    chunk: Vec<u8>,
    written: usize,
    eof_sent: bool,
    writing: bool,
    reading: bool,
    /// Output that had to be read although there was no room for it.
    left: Vec<u8>,
}

impl Job {
    pub(super) fn new(request: Request, peer: Peer) -> Self {
        let Request { what, label, far } = request;
        let preface = match &what {
            What::Command { mark, .. } => Preface::before(mark.text()),
            What::Tunnel { .. } => Preface::none(),
        };
        Self {
            peer,
            what,
            label,
            preface,
            doing: "opening a channel for",
            far: Some(far),
            stage: Stage::Opening { asked: false },
            chunk: Vec::new(),
            written: 0,
            eof_sent: false,
            writing: false,
            reading: false,
            left: Vec::new(),
        }
    }

    /// Whether somebody waits for this command.
    pub(super) fn is_wanted(&self) -> bool {
        self.far.as_ref().is_some_and(|far| !far.abandoned())
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    /// Ends the command with the connection.
    pub(super) fn fail(mut self, lost: impl Fn(String) -> TransportError) {
        let doing = format!("{} `{}`", self.doing, self.label);
        if let Some(far) = self.far.take() {
            far.fail(|| lost(doing.clone()));
        }
    }

    /// Goes as far as it goes. An error is the connection's.
    pub(super) fn pump(&mut self, turn: &mut Turn<'_>) -> Result<(), LostCause> {
        if let Stage::Opening { asked } = self.stage {
            self.stage = self.open(asked, turn)?;
        }
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Starting(channel) => self.stage = self.start(channel, turn)?,
            other => self.stage = other,
        }
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Running(channel) => self.stage = self.serve(channel, turn)?,
            other => self.stage = other,
        }
        if let Stage::Closing(channel) = &mut self.stage {
            match channel.close() {
                Err(error) if is(&error, code::EAGAIN) => {
                    turn.blocked();
                }
                Err(error) if concerns_connection(&error) => return Err(cut(&error)),
                Ok(()) | Err(_) => self.stage = Stage::Done,
            }
        }
        Ok(())
    }

    fn open(&mut self, asked: bool, turn: &mut Turn<'_>) -> Result<Stage, LostCause> {
        if !asked && !self.is_wanted() {
            return Ok(Stage::Done);
        }
        if turn.opening {
            return Ok(Stage::Opening { asked });
        }
        let opened = match &self.what {
            What::Command { .. } => turn.session.channel_open("session", WINDOW, PACKET, None),
            What::Tunnel { host, port } => turn.session.channel_direct_tcpip(host, *port, None),
        };
        match opened {
            Ok(channel) => {
                (turn.moved, turn.opened) = (true, true);
                self.doing = "starting";
                Ok(match &self.what {
                    What::Command { .. } => Stage::Starting(channel),
                    What::Tunnel { .. } => Stage::Running(channel),
                })
            }
            Err(error) if is(&error, code::EAGAIN) => {
                turn.blocked();
                turn.opening = true;
                Ok(Stage::Opening { asked: true })
            }
            Err(error) if is(&error, code::CHANNEL_FAILURE) => {
                self.refused(&error, turn);
                Ok(Stage::Done)
            }
            Err(error) => Err(cut(&error)),
        }
    }

    /// The far side opens no channel. A server that lets a connection have few commands at once (`MaxSessions`) may let another
    /// connection have this one.
    fn refused(&mut self, error: &ssh2::Error, turn: &Turn<'_>) {
        let may_be_elsewhere = !turn.alone && matches!(self.what, What::Command { .. });
        if let Some(far) = self.far.take_if(|_| may_be_elsewhere) {
            (turn.elsewhere)(Request { what: self.what.clone(), label: self.label.clone(), far });
            return;
        }
        let (peer, command, reason) = (self.peer.clone(), self.label.clone(), error.message().to_owned());
        let is_tunnel = matches!(self.what, What::Tunnel { .. });
        self.tell(|| {
            let (peer, command, reason) = (peer.clone(), command.clone(), reason.clone());
            if is_tunnel {
                TransportError::Forward { peer, to: command, reason }
            } else {
                TransportError::OpenChannel { peer, command, reason }
            }
        });
    }

    fn start(&mut self, mut channel: Channel, turn: &mut Turn<'_>) -> Result<Stage, LostCause> {
        let What::Command { line, .. } = &self.what else { return Ok(Stage::Running(channel)) };
        match channel.exec(line) {
            Ok(()) => {
                turn.moved = true;
                self.doing = "running";
                Ok(Stage::Running(channel))
            }
            Err(error) if is(&error, code::EAGAIN) => {
                turn.blocked();
                Ok(Stage::Starting(channel))
            }
            Err(error) if concerns_connection(&error) => Err(cut(&error)),
            Err(error) => {
                let (peer, command) = (self.peer.clone(), self.label.clone());
                self.tell(|| TransportError::Start {
                    peer: peer.clone(),
                    command: command.clone(),
                    source: ssh2::Error::from_errno(error.code()),
                });
                Ok(Stage::Closing(channel))
            }
        }
    }

    fn serve(&mut self, mut channel: Channel, turn: &mut Turn<'_>) -> Result<Stage, LostCause> {
        let wanted = self.is_wanted();
        if wanted || self.writing {
            self.feed(&mut channel, turn)?;
        }
        self.drain(&mut channel, turn)?;
        if !wanted {
            return Ok(if self.writing || self.reading {
                Stage::Running(channel)
            } else {
                Stage::Closing(channel)
            });
        }
        if !channel.eof() || !self.left.is_empty() {
            return Ok(Stage::Running(channel));
        }
        // The end of the output is not the command's end: it may go on reading. Only the far side's close is.
        if let Some(far) = &mut self.far {
            self.preface.end(&far.noise);
            far.stdout = None;
        }
        match channel.wait_close() {
            Ok(()) => {
                if let Some(far) = self.far.take() {
                    let _ = far.ended.send(Ok(status_of(&channel)));
                }
                turn.moved = true;
                Ok(Stage::Closing(channel))
            }
            Err(error) if is(&error, code::EAGAIN) => {
                turn.blocked();
                Ok(Stage::Running(channel))
            }
            Err(error) => Err(cut(&error)),
        }
    }

    /// Writes what the caller has written, and the end of it.
    fn feed(&mut self, channel: &mut Channel, turn: &mut Turn<'_>) -> Result<(), LostCause> {
        let Some(far) = &mut self.far else { return Ok(()) };
        for _ in 0..BURST {
            if self.written == self.chunk.len() {
                match far.stdin.try_recv() {
                    Ok(chunk) => (self.chunk, self.written) = (chunk, 0),
                    Err(TryRecvError::Empty) => return Ok(()),
                    Err(TryRecvError::Disconnected) => {
                        self.chunk = Vec::new();
                        self.written = 0;
                        return self.send_eof(channel, turn);
                    }
                }
                continue;
            }
            match channel.write(&self.chunk[self.written..]) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    self.written += count;
                    self.writing = false;
                    turn.moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writing = turn.blocked();
                    return Ok(());
                }
                Err(error) => return self.input_refused(turn.session, &error),
            }
        }
        Ok(())
    }

    fn send_eof(&mut self, channel: &mut Channel, turn: &mut Turn<'_>) -> Result<(), LostCause> {
        if self.eof_sent {
            return Ok(());
        }
        match channel.send_eof() {
            Err(error) if is(&error, code::EAGAIN) => {
                self.writing = turn.blocked();
                Ok(())
            }
            Err(error) if concerns_connection(&error) => Err(cut(&error)),
            Ok(()) | Err(_) => {
                (self.eof_sent, self.writing) = (true, false);
                Ok(())
            }
        }
    }

    /// A write that failed because the far side reads no more is no trouble: the command's end will tell.
    fn input_refused(&mut self, session: &Session, error: &io::Error) -> Result<(), LostCause> {
        let known = ssh2::Error::last_session_error(session);
        if known.is_some_and(|known| !concerns_connection(&known)) {
            if let Some(far) = &mut self.far {
                far.stdin.close();
                while far.stdin.try_recv().is_ok() {}
            }
            (self.chunk, self.written, self.writing) = (Vec::new(), 0, false);
            return Ok(());
        }
        Err(LostCause::Closed(error.to_string()))
    }

    /// Reads what the command writes, as long as the caller has room for it. Reading standard error also makes
    /// libssh2 take in whatever the socket has, for all channels; so it is done in every turn.
    fn drain(&mut self, channel: &mut Channel, turn: &mut Turn<'_>) -> Result<(), LostCause> {
        let Some(far) = &self.far else { return Ok(()) };
        let mut reading = false;
        for _ in 0..BURST {
            match channel.stderr().read(turn.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    far.stderr.push(&turn.buffer[..count]);
                    turn.moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    reading |= turn.blocked();
                    break;
                }
                Err(error) => return Err(LostCause::Closed(error.to_string())),
            }
        }
        if !self.left.is_empty() && far.has_room() {
            far.put(&std::mem::take(&mut self.left));
            turn.moved = true;
        }
        for _ in 0..BURST {
            let has_room = far.has_room() && self.left.is_empty();
            if !has_room && !self.reading {
                break;
            }
            match channel.read(turn.buffer) {
                Ok(0) => break,
                Ok(count) => {
                    self.reading = false;
                    let own = self.preface.pass(&turn.buffer[..count], &far.noise);
                    if !has_room {
                        self.left.extend_from_slice(&own);
                    } else if !own.is_empty() {
                        far.put(&own);
                    }
                    turn.moved = true;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    reading |= turn.blocked();
                    break;
                }
                Err(error) => return Err(LostCause::Closed(error.to_string())),
            }
        }
        self.reading = reading;
        Ok(())
    }

    fn tell(&mut self, error: impl FnMut() -> TransportError) {
        if let Some(far) = self.far.take() {
            far.fail(error);
        }
    }
}

fn is(error: &ssh2::Error, code: i32) -> bool {
    error.code() == ErrorCode::Session(code)
}

fn concerns_connection(error: &ssh2::Error) -> bool {
    let of_channel =
        [code::CHANNEL_FAILURE, code::CHANNEL_REQUEST_DENIED, code::CHANNEL_CLOSED, code::CHANNEL_EOF_SENT];
    !of_channel.iter().any(|code| is(error, *code))
}

fn cut(error: &ssh2::Error) -> LostCause {
    LostCause::Closed(error.message().to_owned())
}

fn status_of(channel: &Channel) -> ExitStatus {
    let signal = channel.exit_signal().ok().and_then(|ended| ended.exit_signal);
    match signal {
        // The name comes from the far side and is shown to people.
        Some(name) => ExitStatus::Signal(name.chars().filter(char::is_ascii_graphic).take(32).collect()),
        None => ExitStatus::Code(channel.exit_status().unwrap_or(-1)),
    }
}
