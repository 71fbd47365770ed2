//! The thread that owns one ssh session and moves the bytes of all its commands.
//!
//! A turn lets every command move what it can without waiting, then waits for the socket, for a wake-up from the async
//! side, or for the moment at which the peer has to be asked whether it lives.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use ssh2::{BlockDirections, MethodType, Session};

use super::config::Way;
use super::dial::Stream;
use super::host_key::{HostKey, preference};
use super::job::Job;
use super::known_hosts::{self, Says, Verdict};
use super::login::log_in;
use super::target::Target;
use super::wake::Wakeup;
use super::{SshOptions, certificate, host_certificate};
use crate::transport::command::Mark;
use crate::transport::exec::FarSide;
use crate::transport::{Lost, LostCause, Peer, TransportError, UnknownKey};

/// The quickest ciphers of both libraries first: libssh2's `ChaCha20` is plain C, AES-GCM is the processor's.
const CIPHERS: &str =
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes128-ctr,aes256-ctr";
/// Bytes that are read from a command's output at once.
const READ: usize = 64 << 10;

/// A command to be started, or a connection to be passed on.
pub(super) struct Request {
    pub(super) what: What,
    pub(super) label: String,
    pub(super) far: FarSide,
}

#[derive(Clone)]
pub(super) enum What {
    /// A line for the far shell, which begins with writing the mark.
    Command { line: String, mark: Mark },
    /// A TCP connection from the far side to a third.
    Tunnel { host: String, port: u16 },
}

/// Takes a request to a connection of its own.
pub(super) type Elsewhere = Arc<dyn Fn(Request) + Send + Sync>;

/// What a turn shares among its commands.
pub(super) struct Turn<'a> {
    pub(super) session: &'a Session,
    pub(super) buffer: &'a mut [u8],
    /// Something was moved: another turn may move more at once.
    pub(super) moved: bool,
    /// A packet is stuck half-sent: the socket has to take more first.
    pub(super) wants_write: bool,
    /// A channel is being opened: libssh2 opens one at a time.
    pub(super) opening: bool,
    /// There is the wish for one channel, and there never was another: the server may count one a while after its end.
    pub(super) alone: bool,
    pub(super) opened: bool,
    pub(super) elsewhere: &'a Elsewhere,
}

impl Turn<'_> {
    /// To be called where libssh2 said that it would have to wait.
    /// Returns whether it waits to send, so that the very same call has to be made again before any other can send.
    pub(super) fn blocked(&mut self) -> bool {
        let sending =
            matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both);
        self.wants_write |= sending;
        sending
    }
}

pub(super) struct Worker {
    session: Session,
    socket: Arc<OwnedFd>,
    wakeup: Wakeup,
    requests: Receiver<Request>,
    elsewhere: Elsewhere,
    jobs: Vec<Job>,
    has_opened: bool,
    peer: Peer,
    made: Instant,
    /// When the peer was last heard, and last asked.
    heard: Instant,
    asked: Instant,
    silence_limit: Duration,
    /// What carries the stream lives as long as this; last, so that the stream is closed before.
    _carrier: Option<tokio::sync::oneshot::Sender<()>>,
}

/// How a worker hears from those who use its connection.
pub(super) struct Inbox {
    pub(super) wakeup: Wakeup,
    pub(super) requests: Receiver<Request>,
    pub(super) elsewhere: Elsewhere,
}

impl Worker {
    /// Shakes hands, checks the host's key and logs in. Blocks.
    pub(super) fn open(
        stream: Stream,
        target: &Target,
        options: &SshOptions,
        Inbox { wakeup, requests, elsewhere }: Inbox,
    ) -> Result<Self, TransportError> {
        let peer = target.peer.clone();
        let made = Instant::now();
        let known = match &options.pinned {
            Some(_) => Known::default(),
            None => Known::about(target)?,
        };
        let failed = |source| TransportError::Handshake { peer: peer.clone(), source };
        let Stream { socket, holds, .. } = stream;
        let socket = Arc::new(socket);
        let mut session = Session::new().map_err(failed)?;
        session.set_tcp_stream(Arc::clone(&socket));
        session.set_timeout(u32::try_from(target.limit.as_millis()).unwrap_or(u32::MAX));
        let wanted = match &options.pinned {
            Some(key) => preference([key]),
            // A host that is known by an authority alone has to show that authority's certificate.
            None if known.by_authority().is_some() => {
                Vec::from_iter(host_certificate::ALGORITHMS.into_iter().chain([preference([]).as_str()]))
                    .join(",")
            }
            None => preference(known.keys()),
        };
        for (method, names) in [
            (MethodType::HostKey, wanted.as_str()),
            (MethodType::CryptCs, CIPHERS),
            (MethodType::CryptSc, CIPHERS),
        ] {
            session.method_pref(method, names).map_err(failed)?;
        }
        session.handshake().map_err(failed)?;
        let shown =
            session.host_key().map_or_else(|| HostKey::from_blob([]), |(blob, _)| HostKey::from_blob(blob));
        trust(shown, target, options, &known)?;
        log_in(&session, target, options, made)?;
        session.set_blocking(false);
        // How often is decided here; libssh2 only has to be willing.
        session.set_keepalive(true, 2);
        let now = Instant::now();
        let silence_limit = options.silence_limit;
        Ok(Self {
            session,
            socket,
            wakeup,
            requests,
            elsewhere,
            jobs: Vec::new(),
            has_opened: false,
            peer,
            made,
            heard: now,
            asked: now,
            silence_limit,
            _carrier: holds,
        })
    }

    /// Serves commands until nobody can ask for one any more and none is left.
    pub(super) fn run(mut self) {
        let mut buffer = vec![0; READ];
        loop {
            let more_may_come = self.take_requests();
            if !more_may_come && !self.jobs.iter().any(Job::is_wanted) {
                let _ = self.session.disconnect(None, "done", None);
                return;
            }
            let mut turn = Turn {
                session: &self.session,
                buffer: &mut buffer,
                moved: false,
                wants_write: false,
                opening: false,
                alone: self.jobs.len() == 1 && !self.has_opened,
                opened: false,
                elsewhere: &self.elsewhere,
            };
            let turned = self.jobs.iter_mut().try_for_each(|job| job.pump(&mut turn));
            let (moved, wants_write) = (turn.moved, turn.wants_write);
            self.has_opened |= turn.opened;
            let lasts = turned.and_then(|()| {
                self.jobs.retain(|job| !job.is_done());
                self.pause(moved, wants_write)
            });
            if let Err(cause) = lasts {
                return self.lose(&cause);
            }
        }
    }

    /// Returns whether more may come.
    fn take_requests(&mut self) -> bool {
        loop {
            match self.requests.try_recv() {
                Ok(request) => {
                    if self.jobs.is_empty() {
                        // Nobody listened until now.
                        self.heard = Instant::now();
                    }
                    self.jobs.push(Job::new(request, self.peer.clone()));
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Waits until there may be something to do. Fails where the peer has been silent for too long.
    fn pause(&mut self, moved: bool, wants_write: bool) -> Result<(), LostCause> {
        let listening = !self.jobs.is_empty();
        if listening {
            self.check_on_peer(wants_write)?;
        }
        let limit = match (moved, listening) {
            (true, _) => Some(Duration::ZERO),
            (false, true) => Some(self.ask_interval().saturating_sub(self.heard.max(self.asked).elapsed())),
            // libssh2 reads the socket only for a channel's sake: without one, there is nothing to wait for there.
            (false, false) => None,
        };
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut interest = PollFlags::empty();
        interest.set(PollFlags::IN, listening);
        interest.set(PollFlags::OUT, wants_write);
        let mut fds = [PollFd::new(&self.wakeup, PollFlags::IN), PollFd::new(&*self.socket, interest)];
        let polled = poll(&mut fds[..if listening { 2 } else { 1 }], limit.as_ref());
        let (woken, heard) = (!fds[0].revents().is_empty(), !(fds[1].revents() - PollFlags::OUT).is_empty());
        match polled {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(LostCause::Closed(error.to_string())),
        }
        self.wakeup.clear(woken);
        if heard && listening {
            self.heard = Instant::now();
        }
        Ok(())
    }

    /// Four questions fit into the time that the peer may be silent.
    fn ask_interval(&self) -> Duration {
        self.silence_limit / 4
    }

    fn check_on_peer(&mut self, wants_write: bool) -> Result<(), LostCause> {
        let silent = self.heard.elapsed();
        if silent >= self.silence_limit {
            return Err(LostCause::Silent(self.silence_limit));
        }
        if silent < self.ask_interval() || self.asked.elapsed() < self.ask_interval() {
            return Ok(());
        }
        self.asked = Instant::now();
        // libssh2 cannot take a question back that was sent by half, so the socket must have room for all of it.
        if !wants_write && has_room(&self.socket) {
            self.session.keepalive_send().map_err(|error| LostCause::Closed(error.message().to_owned()))?;
        }
        Ok(())
    }

    /// Tells every command that its connection is gone, and those that are still asked for too.
    fn lose(self, cause: &LostCause) {
        let Self { session, socket, requests, jobs, peer, made, _carrier, .. } = self;
        let after = made.elapsed();
        let lost = |doing: String| {
            let (peer, cause) = (peer.clone(), cause.clone());
            TransportError::ConnectionLost(Box::new(Lost { peer, doing, after, cause }))
        };
        for job in jobs {
            job.fail(lost);
        }
        let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Both);
        drop(session);
        for Request { label, far, .. } in requests {
            far.fail(|| lost(format!("`{label}` was to start")));
        }
    }
}

fn has_room(socket: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let fd = socket.as_fd();
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::OUT)
}

/// What the files say about a host's keys.
#[derive(Default)]
struct Known {
    entries: Vec<known_hosts::Entry>,
    /// What they say about its name without the port: enough to trust, too little to refuse by.
    short: Vec<known_hosts::Entry>,
}

impl Known {
    fn about(target: &Target) -> Result<Self, TransportError> {
        let mut entries = known_hosts::revoked(&target.settings.revoked)?;
        entries.extend(known_hosts::entries(&target.known_hosts, &target.key_name)?);
        let short = match &target.short_name {
            Some(name) => known_hosts::entries(&target.known_hosts, name)?,
            None => Vec::new(),
        };
        Ok(Self { entries, short })
    }

    fn keys(&self) -> impl Iterator<Item = &HostKey> {
        self.all().filter(|entry| entry.says == Says::Its).map(|entry| &entry.known.key)
    }

    /// An authority that is trusted for the host, where no key of its own is known.
    fn by_authority(&self) -> Option<&known_hosts::Entry> {
        let authority = self.all().find(|entry| entry.says == Says::Authority);
        authority.filter(|_| self.keys().next().is_none())
    }

    fn all(&self) -> impl Iterator<Item = &known_hosts::Entry> {
        self.entries.iter().chain(&self.short)
    }

    fn judge(&self, shown: &HostKey) -> Verdict<'_> {
        match (known_hosts::judge(&self.entries, shown), known_hosts::judge(&self.short, shown)) {
            (_, Verdict::Revoked(entry)) => Verdict::Revoked(entry),
            (Verdict::Unknown, Verdict::Trusted) => Verdict::Trusted,
            (verdict, _) => verdict,
        }
    }
}

/// Refuses a host whose key is not the one that it must have.
fn trust(shown: HostKey, target: &Target, options: &SshOptions, known: &Known) -> Result<(), TransportError> {
    let peer = target.peer.clone();
    if let Some(pinned) = &options.pinned {
        if *pinned == shown {
            return Ok(());
        }
        return Err(TransportError::HostKeyNotPinned { peer, key: shown, pinned: pinned.clone() });
    }
    if certificate::is_type(shown.kind()) {
        let entries = Vec::from_iter(known.all().cloned());
        let host = target.settings.key_alias.as_ref().unwrap_or(&target.peer.host);
        let checked = host_certificate::check(&shown, host, &entries, SystemTime::now());
        return checked.map_err(|reason| TransportError::HostCertificate { peer, reason });
    }
    let name = target.key_name.clone();
    match known.judge(&shown) {
        Verdict::Trusted => Ok(()),
        Verdict::Revoked(entry) => {
            Err(TransportError::HostKeyRevoked { peer, key: shown, marked: Box::new(entry.known.clone()) })
        }
        Verdict::Changed(entry) => {
            Err(TransportError::HostKeyChanged { peer, key: shown, known: Box::new(entry.known.clone()) })
        }
        Verdict::Unknown => {
            let file =
                target.known_hosts.first().cloned().unwrap_or_else(|| options.home.join(".ssh/known_hosts"));
            let note = match (known.by_authority(), target.settings.not_followed.first()) {
                (Some(entry), _) => {
                    Some(format!("{} trusts an authority for it, and it shows no certificate", entry.known))
                }
                (None, Some(option)) => Some(format!(
                    "ssh may know it by {option}, which is not followed here: the key itself must be listed"
                )),
                (None, None) => None,
            };
            // Where ssh-keyscan asks, that is another machine, or the wrong name.
            let is_direct = target.settings.way == Way::Direct && !target.is_jump;
            let scan = is_direct && target.settings.key_alias.is_none();
            let unknown = UnknownKey { name, key: shown, file, scan, note };
            Err(TransportError::HostKeyUnknown { peer, unknown: Box::new(unknown) })
        }
    }
}
