//! A real S3 server on this machine, and bad weather on the way to it.
//!
//! The server is moto's, out of the Python environment that the test EC2 has. Requests of the test itself go straight to
//! it; those of the program under test go through [`Weather`], which answers some of them by itself.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Names the Python that has what the server imports; `cargo xtask test` sets it.
const PYTHON: &str = "GPU_HARNESS_EC2_PYTHON";
/// How long the server may take to import itself.
const START: Duration = Duration::from_secs(60);
/// It ends when its standard input does, so that none outlives a test that was killed.
const SERVER: &str = "import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(sys.argv[1:])";

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A running S3 with one bucket.
pub struct S3 {
    server: Child,
    port: u16,
}

pub const BUCKET: &str = "tiles";

/// What AWS's chain finds, and what it is not to look for.
pub const KEYS: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "AKIATESTTESTTESTTEST"),
    ("AWS_SECRET_ACCESS_KEY", "not-a-secret"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_CONFIG_FILE", "/nowhere"),
    ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
];

impl S3 {
    /// Starts one, and waits until it answers.
    pub fn start() -> Self {
        let python = std::env::var(PYTHON).expect("`cargo xtask test` sets it");
        let port = free_port();
        let mut command = Command::new(python);
        command.args(["-c", SERVER, "-H", "127.0.0.1", "-p", &port.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let s3 = Self { server: command.spawn().expect("the S3 server starts"), port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < START, "the S3 server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(s3.ask("PUT", "", &[]).0, 200, "a bucket");
        s3
    }

    /// Writes an object.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        assert_eq!(self.ask("PUT", key, bytes).0, 200, "{key}");
    }

    /// Reads an object, where there is one.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (status, body) = self.ask("GET", key, &[]);
        (status == 200).then_some(body)
    }

    fn ask(&self, method: &str, key: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let path = utf8_percent_encode(key, ESCAPED);
        // Who asks without any name sees what is public alone; whose it is, this server does not check.
        let head = format!(
            "{method} /{BUCKET}/{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        let answer = exchange(self.port, &[head.as_bytes(), body].concat()).expect("the S3 server answers");
        let status = status(&answer).expect("it answers in HTTP");
        (status, answer[head_length(&answer).expect("an answer has a head")..].to_vec())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// What goes wrong on the way, until it is changed.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Share of the requests that are answered `503 SlowDown`.
    pub slow_down: f64,
    /// Share of the reads whose body breaks off in the middle.
    pub cut: f64,
    /// Of keys that have this in them, half of the bytes come, as if that were all.
    pub short: Option<&'static str>,
    /// Keys that have this in them come at 1 KB/s.
    pub slow: Option<&'static str>,
    /// Keys that have the first in them are answered with this status and document, as often as they are asked for.
    pub refused: Option<(&'static str, &'static str, &'static str)>,
    /// Every request is answered with this status, this header and document.
    pub all: Option<(&'static str, &'static str, &'static str)>,
    pub read_only: bool,
    /// So many requests are answered, and all after them refused.
    pub refused_after: Option<u64>,
    /// No connection is answered.
    pub down: bool,
}

/// The way to a server.
pub struct Weather {
    port: u16,
    faults: Arc<Mutex<Faults>>,
    passed: Arc<Passed>,
}

/// What went through so far.
#[derive(Default)]
struct Passed {
    requests: AtomicU64,
    writes: AtomicU64,
}

impl Weather {
    /// A way to this server.
    pub fn on_the_way_to(s3: &S3, seed: u64) -> Self {
        Self::before(s3.port, seed)
    }

    /// A way to the server on this port of this machine. Its threads end with the test's process.
    pub fn before(server: u16, seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let faults = Arc::new(Mutex::new(Faults::default()));
        let passed = Arc::<Passed>::default();
        let random = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
        let (to, counted) = (Arc::clone(&faults), Arc::clone(&passed));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (faults, random, passed) = (Arc::clone(&to), Arc::clone(&random), Arc::clone(&counted));
                std::thread::spawn(move || {
                    // A client that goes away in the middle is its own business.
                    let _ = pass_on(client, server, &faults, &random, &passed);
                });
            }
        });
        Self { port, faults, passed }
    }

    /// What `AWS_ENDPOINT_URL_S3` has to be.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Changes what goes wrong.
    pub fn set(&self, faults: Faults) {
        *locked(&self.faults) = faults;
    }

    /// Writes that went through so far.
    pub fn writes(&self) -> u64 {
        self.passed.writes.load(Ordering::Relaxed)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SLOW_DOWN: &str =
    "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";

/// One request, its answer, and what the weather makes of it.
fn pass_on(
    mut client: TcpStream,
    server: u16,
    faults: &Mutex<Faults>,
    random: &Mutex<StdRng>,
    passed: &Passed,
) -> std::io::Result<()> {
    if locked(faults).down {
        return client.shutdown(Shutdown::Both);
    }
    let request = read_request(&mut client)?;
    let faults = locked(faults).clone();
    let line =
        String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let (write, read) = (line.starts_with("PUT "), line.starts_with("GET ") && !line.contains("list-type"));
    let by_chance = |share: f64| share > 0.0 && locked(random).random_bool(share);
    let named = |part: Option<&str>| part.is_some_and(|part| read && line.contains(part));
    if by_chance(faults.slow_down) {
        return answer(&mut client, "503 Slow Down", SLOW_DOWN);
    }
    if let Some((status, header, document)) = faults.all {
        let length = document.len();
        return write!(
            client,
            "HTTP/1.1 {status}\r\n{header}Connection: close\r\nContent-Length: {length}\r\n\r\n{document}"
        );
    }
    if let Some((key, status, document)) = faults.refused
        && named(Some(key))
    {
        return answer(&mut client, status, document);
    }
    let requests = passed.requests.load(Ordering::Relaxed);
    if write && faults.read_only || faults.refused_after.is_some_and(|most| requests >= most) {
        return answer(&mut client, "403 Forbidden", DENIED);
    }
    let whole = exchange(server, &request)?;
    passed.requests.fetch_add(1, Ordering::Relaxed);
    passed.writes.fetch_add(u64::from(write), Ordering::Relaxed);
    let Some(head) = head_length(&whole) else { return Ok(()) };
    let body = whole.len() - head;
    if named(faults.short) {
        let told = String::from_utf8_lossy(&whole[..head])
            .replace(&format!("Content-Length: {body}\r\n"), &format!("Content-Length: {}\r\n", body / 2));
        client.write_all(told.as_bytes())?;
        return client.write_all(&whole[head..head + body / 2]);
    }
    if named(faults.slow) {
        client.write_all(&whole[..head])?;
        for part in whole[head..].chunks(100) {
            client.write_all(part)?;
            std::thread::sleep(Duration::from_millis(100));
        }
        return Ok(());
    }
    if read && by_chance(faults.cut) {
        return client.write_all(&whole[..head + body / 2]);
    }
    client.write_all(&whole)
}

fn answer(client: &mut TcpStream, status: &str, document: &str) -> std::io::Result<()> {
    let length = document.len();
    write!(client, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{document}")
}

/// The request with its body, told to end the connection after the answer.
fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(client);
    let (mut request, mut length) = (Vec::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            request.extend_from_slice(b"Connection: close\r\n\r\n");
            break;
        }
        if !lower.starts_with("connection:") {
            request.extend_from_slice(line.as_bytes());
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request.extend_from_slice(&body);
    Ok(request)
}

fn exchange(port: u16, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    server.write_all(request)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

fn status(answer: &[u8]) -> Option<u16> {
    std::str::from_utf8(answer.get(9..12)?).ok()?.parse().ok()
}

fn head_length(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}
