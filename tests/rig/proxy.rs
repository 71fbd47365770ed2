//! A bad network on loopback: a TCP proxy that delays, limits, cuts at an exact byte, or goes silent.
//!
//! Two threads a direction: one reads and stamps each chunk with the time at which it is due, the other waits for that
//! time and passes it on. So delay is pipelined, as on a long wire, and order is kept.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

const CHUNK: usize = 64 << 10;
/// Chunks on the wire in one direction: 64 MiB, more than any rate times delay in a test.
const ON_THE_WIRE: usize = 1024;
/// How soon a thread notices that the proxy ends.
const TICK: Duration = Duration::from_millis(20);

/// Which bytes a [`Cut`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Up,
    Down,
    Both,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// In order, as by a program that ends.
    Fin,
    /// With a reset, as by a firewall.
    Reset,
}

/// The end of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// This many bytes are delivered, and not one more.
    pub after: u64,
    /// Which of them are counted.
    pub counting: Direction,
    /// How both ends learn of it.
    pub how: How,
}

/// What kind of network it is; the default is a perfect one.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Time from one end to the other: half a round trip. Setting up a connection costs what it does on such a wire.
    pub one_way: Duration,
    /// Bytes a second in each direction.
    pub rate: Option<u64>,
    /// The first connection gets the first cut, the next one the next, until there is none left.
    pub cuts: Vec<Cut>,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: u16,
    network: Network,
    ended: AtomicBool,
    black_hole: AtomicBool,
    connections: AtomicU64,
    cut: AtomicU64,
    up: AtomicU64,
    down: AtomicU64,
}

impl Proxy {
    /// A proxy to a loopback port.
    pub fn to(server: u16, network: Network) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("its number").port();
        let zero = || AtomicU64::new(0);
        let shared = Arc::new(Shared {
            server,
            network,
            ended: AtomicBool::new(false),
            black_hole: AtomicBool::new(false),
            connections: zero(),
            cut: zero(),
            up: zero(),
            down: zero(),
        });
        let for_thread = Arc::clone(&shared);
        let accepting = Some(std::thread::spawn(move || accept(&listener, &for_thread)));
        Self { port, shared, accepting }
    }

    /// A wire with this round trip time.
    pub fn with_round_trip(server: u16, round_trip: Duration) -> Self {
        Self::to(server, Network { one_way: round_trip / 2, ..Network::default() })
    }

    /// Where to connect to instead of the server, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    pub fn cuts(&self) -> u64 {
        self.shared.cut.load(Ordering::Relaxed)
    }

    /// Bytes delivered so far, of all connections.
    pub fn delivered(&self, direction: Direction) -> u64 {
        let (up, down) = (self.shared.up.load(Ordering::Relaxed), self.shared.down.load(Ordering::Relaxed));
        match direction {
            Direction::Up => up,
            Direction::Down => down,
            Direction::Both => up + down,
        }
    }

    /// Delivers nothing any more, and closes nothing; or goes on where it stopped.
    pub fn black_hole(&self, silent: bool) {
        self.shared.black_hole.store(silent, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut cuts = shared.network.cuts.clone().into_iter();
    let mut connections = Vec::new();
    while !shared.ended.load(Ordering::Relaxed) {
        let limit = Timespec::try_from(TICK).ok();
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        if !poll(&mut fds, limit.as_ref()).is_ok_and(|ready| ready > 0) {
            continue;
        }
        if let Ok((client, _)) = listener.accept() {
            shared.connections.fetch_add(1, Ordering::Relaxed);
            let (shared, cut) = (Arc::clone(shared), cuts.next());
            connections.push(std::thread::spawn(move || connect(client, cut, &shared)));
        }
    }
    for connection in connections {
        let _ = connection.join();
    }
}

/// One connection, from its beginning to its end.
fn connect(client: TcpStream, cut: Option<Cut>, shared: &Arc<Shared>) {
    // The kernel has greeted the client already; a real wire would have taken one and a half round trips to get
    // the server to accept.
    std::thread::sleep(shared.network.one_way * 3);
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.server)) else { return };
    let wire = Arc::new(Wire {
        client,
        server,
        left: Mutex::new(cut.map(|cut| cut.after)),
        cut,
        shared: Arc::clone(shared),
    });
    for stream in [&wire.client, &wire.server] {
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(TICK));
        let _ = stream.set_write_timeout(Some(TICK));
    }
    let threads = [Direction::Up, Direction::Down].map(|direction| {
        let (on_wire, arriving) = sync_channel(ON_THE_WIRE);
        let (reading, writing) = (Arc::clone(&wire), Arc::clone(&wire));
        [
            std::thread::spawn(move || reading.take_in(direction, &on_wire)),
            std::thread::spawn(move || writing.deliver(direction, &arriving)),
        ]
    });
    for thread in threads.into_iter().flatten() {
        let _ = thread.join();
    }
}

struct Wire {
    client: TcpStream,
    server: TcpStream,
    cut: Option<Cut>,
    /// Bytes until the cut; `None` where there is none.
    left: Mutex<Option<u64>>,
    shared: Arc<Shared>,
}

impl Wire {
    fn ends(&self, direction: Direction) -> (&TcpStream, &TcpStream) {
        if direction == Direction::Up { (&self.client, &self.server) } else { (&self.server, &self.client) }
    }

    fn over(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed) || self.is_used_up()
    }

    fn take_in(&self, direction: Direction, on_wire: &SyncSender<(Instant, Vec<u8>)>) {
        let (mut from, _) = self.ends(direction);
        let mut buffer = vec![0; CHUNK];
        let began = Instant::now();
        while !self.over() {
            match from.read(&mut buffer) {
                Ok(count @ 1..) => {
                    // What the client had sent before the server accepted has arrived with its acceptance.
                    let early = direction == Direction::Up && began.elapsed() < TICK / 4;
                    let due =
                        Instant::now() + if early { Duration::ZERO } else { self.shared.network.one_way };
                    if on_wire.send((due, buffer[..count].to_vec())).is_err() {
                        return;
                    }
                }
                Err(error) if waits(&error) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    fn deliver(&self, direction: Direction, arriving: &Receiver<(Instant, Vec<u8>)>) {
        let (_, to) = self.ends(direction);
        loop {
            let (due, chunk) = match arriving.recv_timeout(TICK) {
                Ok(arrived) => arrived,
                Err(RecvTimeoutError::Timeout) if self.over() => return,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => {
                    // The far end has closed its half.
                    let _ = to.shutdown(Shutdown::Write);
                    return;
                }
            };
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            while self.shared.black_hole.load(Ordering::Relaxed) && !self.over() {
                std::thread::sleep(TICK);
            }
            if !self.pass(direction, to, &chunk) {
                return;
            }
            if let Some(rate) = self.shared.network.rate {
                std::thread::sleep(Duration::from_secs_f64(chunk.len() as f64 / rate as f64));
            }
        }
    }

    /// Passes on what may be passed; returns whether the connection stands.
    fn pass(&self, direction: Direction, to: &TcpStream, chunk: &[u8]) -> bool {
        let Some(cut) = self.cut.filter(|cut| cut.counting == Direction::Both || cut.counting == direction)
        else {
            return self.write(direction, to, chunk);
        };
        let allowed = {
            let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
            let room = left.unwrap_or(0);
            let allowed = usize::try_from(room).unwrap_or(usize::MAX).min(chunk.len());
            *left = Some(room - allowed as u64);
            if room == 0 {
                return false;
            }
            allowed
        };
        let written = self.write(direction, to, &chunk[..allowed]);
        if self.is_used_up() {
            self.shared.cut.fetch_add(1, Ordering::Relaxed);
            self.end(cut.how);
            return false;
        }
        written
    }

    fn is_used_up(&self) -> bool {
        *self.left.lock().unwrap_or_else(PoisonError::into_inner) == Some(0)
    }

    fn write(&self, direction: Direction, mut to: &TcpStream, mut chunk: &[u8]) -> bool {
        let counter = if direction == Direction::Up { &self.shared.up } else { &self.shared.down };
        while !chunk.is_empty() {
            match to.write(chunk) {
                Ok(count @ 1..) => {
                    counter.fetch_add(count as u64, Ordering::Relaxed);
                    chunk = &chunk[count..];
                }
                Err(error) if waits(&error) && !self.shared.ended.load(Ordering::Relaxed) => {}
                Ok(_) | Err(_) => return false,
            }
        }
        true
    }

    fn end(&self, how: How) {
        for stream in [&self.client, &self.server] {
            let _ = match how {
                How::Fin => stream.shutdown(Shutdown::Both),
                // Disconnecting a TCP socket by "no address" sends a reset at once.
                How::Reset => rustix::net::connect_unspec(stream).map_err(Into::into),
            };
        }
    }
}

fn waits(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), WouldBlock | TimedOut | Interrupted)
}
