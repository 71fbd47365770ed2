//! A Python index on this machine, from a folder that `cargo xtask setup` filled, and what may go wrong with one.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// An index, served for as long as the value lives.
#[derive(Debug)]
pub struct Index {
    address: SocketAddr,
    served: Arc<Served>,
}

#[derive(Debug)]
struct Served {
    folder: PathBuf,
    weather: Weather,
    asked: AtomicUsize,
    sent: AtomicU64,
    over: AtomicBool,
}

/// What befalls an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Every answer's connection is cut after so many bytes.
    Cuts(usize),
    /// Every answer takes this long for each mebibyte.
    Slow(Duration),
}

impl Index {
    /// The index of the machine's cache.
    ///
    /// # Panics
    /// Where the cache has none.
    pub fn start(weather: Weather) -> Self {
        let folder = gpu_harness::files::cache::folder(&gpu_harness::here::Env::of_process())
            .expect("a cache folder")
            .join("index");
        assert!(
            folder.join("simple/torch/index.html").is_file(),
            "{} is not there: run `cargo xtask setup`",
            folder.display()
        );
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let served = Served { folder, weather, asked: 0.into(), sent: 0.into(), over: false.into() };
        let served = Arc::new(served);
        let serving = Arc::clone(&served);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.over.load(Ordering::SeqCst) {
                    return;
                }
                let serving = Arc::clone(&serving);
                thread::spawn(move || while serving.answer(&stream) == Some(()) {});
            }
        });
        Self { address, served }
    }

    /// Its address for `index:`.
    pub fn address(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// How many requests it had.
    pub fn asked(&self) -> usize {
        self.served.asked.load(Ordering::SeqCst)
    }

    /// Bytes that it sent.
    pub fn sent(&self) -> u64 {
        self.served.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.served.over.store(true, Ordering::SeqCst);
        // So that it hears of it.
        let _ = TcpStream::connect(self.address);
    }
}

impl Served {
    /// Answers one request; `None`: the connection is over.
    fn answer(&self, mut stream: &TcpStream) -> Option<()> {
        let mut lines = BufReader::new(stream).lines();
        let first = lines.next()?.ok()?;
        let head = Vec::from_iter(lines.map_while(Result::ok).take_while(|line| !line.is_empty()));
        self.asked.fetch_add(1, Ordering::SeqCst);
        let path = first.split(' ').nth(1)?.trim_start_matches('/');
        let found = self.folder.join(path.trim_end_matches('/'));
        let found = if path.ends_with('/') { found.join("index.html") } else { found };
        let inside = !path.split('/').any(|part| part == "..") && Path::new(&found).is_file();
        let (true, Ok(mut file)) = (inside, File::open(&found)) else {
            let none = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
            return stream.write_all(none.as_bytes()).ok();
        };
        let bytes = fs::metadata(&found).ok()?.len();
        let range =
            head.iter().find_map(|line| Some(line.to_lowercase().strip_prefix("range: bytes=")?.to_owned()));
        let range = range.as_deref().and_then(|range| range.split_once('-'));
        let range = range.and_then(|(from, to)| Some((from.parse().ok()?, to.parse::<u64>().ok()?)));
        let (status, from, length, more) = match range {
            Some((from, to)) => {
                let to = to.min(bytes - 1);
                (
                    "206 Partial Content",
                    from,
                    to + 1 - from,
                    format!("content-range: bytes {from}-{to}/{bytes}\r\n"),
                )
            }
            None => ("200 OK", 0, bytes, String::new()),
        };
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        file.seek(SeekFrom::Start(from)).ok()?;
        self.send(stream, file.take(length))
    }

    fn send(&self, mut stream: &TcpStream, mut from: impl std::io::Read) -> Option<()> {
        let (mut buffer, mut sent) = (vec![0; 64 << 10], 0);
        loop {
            let count = from.read(&mut buffer).ok()?;
            if count == 0 {
                return Some(());
            }
            stream.write_all(&buffer[..count]).ok()?;
            self.sent.fetch_add(count as u64, Ordering::SeqCst);
            sent += count;
            match self.weather {
                Weather::Cuts(most) if sent >= most => {
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    return None;
                }
                Weather::Slow(each) => thread::sleep(each / 16),
                Weather::Fair | Weather::Cuts(_) => {}
            }
        }
    }
}
