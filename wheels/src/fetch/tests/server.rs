//! An index with one wheel.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use super::zip::Made;

/// What it does with a request.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    /// Gives the range.
    Range,
    /// The same, and closes after so many bytes of it.
    Cut(usize),
    /// Gives all, whatever was asked for.
    Whole,
    Status(&'static str),
}

pub(super) struct Server {
    address: SocketAddr,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    asked: AtomicUsize,
    sent: AtomicU64,
}

impl Server {
    /// Answers the requests for the wheel as `answer` says, by their number; the page is given always, unless no request is
    /// answered well.
    pub(super) fn start(made: &Made, answer: fn(usize) -> Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let count = Arc::new(Count::default());
        let (counted, bytes, file) = (Arc::clone(&count), made.bytes.clone(), made.wheel.file);
        thread::spawn(move || {
            let bytes = Arc::new(bytes);
            for stream in listener.incoming().flatten() {
                let (bytes, count) = (Arc::clone(&bytes), Arc::clone(&counted));
                thread::spawn(move || serve(stream, &bytes, file, answer, &count));
            }
        });
        Self { address, count }
    }

    pub(super) fn index(&self) -> String {
        format!("http://{}/simple", self.address)
    }

    /// Requests that it had.
    pub(super) fn asked(&self) -> usize {
        self.count.asked.load(Ordering::SeqCst)
    }

    /// Bytes of the wheel that it sent.
    pub(super) fn sent(&self) -> u64 {
        self.count.sent.load(Ordering::SeqCst)
    }
}

fn serve(mut stream: TcpStream, bytes: &[u8], file: &str, answer: fn(usize) -> Answer, count: &Count) {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let head = Vec::from_iter(lines.take_while(|line| !line.is_empty()));
    let Some(first) = head.first() else { return };
    let mut head_of = |status: &str, length: usize, more: &str| {
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{more}\r\n");
        let _ = stream.write_all(head.as_bytes());
    };
    let number = count.asked.fetch_add(1, Ordering::SeqCst);
    if first.starts_with("GET /simple/x/ ") {
        count.asked.fetch_sub(1, Ordering::SeqCst);
        if let Answer::Status(status) = answer(number) {
            count.asked.fetch_add(1, Ordering::SeqCst);
            return head_of(status, 0, "");
        }
        let page = format!("<a href=\"../../files/{file}#sha256=00\">{file}</a>");
        head_of("200 OK", page.len(), "");
        let _ = stream.write_all(page.as_bytes());
        return;
    }
    let range =
        head.iter().find_map(|line| Some(line.to_lowercase().strip_prefix("range: bytes=")?.to_owned()));
    let (from, to) = range.as_deref().and_then(|range| range.split_once('-')).unwrap();
    let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
    let part = &bytes[from..=to];
    let more = format!("content-range: bytes {from}-{to}/{}\r\n", bytes.len());
    let sent = match answer(number) {
        Answer::Status(status) => return head_of(status, 0, ""),
        Answer::Whole => {
            head_of("200 OK", bytes.len(), "");
            bytes
        }
        Answer::Range => {
            head_of("206 Partial Content", part.len(), &more);
            part
        }
        Answer::Cut(most) => {
            head_of("206 Partial Content", part.len(), &more);
            &part[..most.min(part.len())]
        }
    };
    for chunk in sent.chunks(64 << 10) {
        if stream.write_all(chunk).is_err() {
            return;
        }
        count.sent.fetch_add(chunk.len() as u64, Ordering::SeqCst);
    }
}
