//! What is told to a test, and how much of it may wait: a test that reads slowly slows its node down, and one that reads
//! nothing any more has its case ended and hears no more than that.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use gpu_suites::event::Record;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::time::timeout;

use super::wire::{Response, line};

/// Bytes that may wait for a test before its node is read more slowly.
const ROOM: usize = 8 << 20;
/// How long a test may read nothing while that much waits: its case holds a GPU meanwhile.
pub(super) const UNREAD: Duration = Duration::from_secs(60);

enum Words {
    Record(String),
    Answer(String),
}

struct State {
    waiting: Cell<usize>,
    /// The test reads nothing any more.
    is_unread: watch::Sender<bool>,
}

impl State {
    fn has_room(&self) -> bool {
        *self.is_unread.borrow() || self.waiting.get() < ROOM
    }
}

/// The end at which it is said.
#[derive(Clone)]
pub(super) struct Responder {
    words: UnboundedSender<Words>,
    state: Rc<State>,
}

/// The end at which it is written to the test.
pub(super) struct Outbox {
    words: UnboundedReceiver<Words>,
    state: Rc<State>,
}

pub(super) fn responder() -> (Responder, Outbox) {
    let (words, waiting) = unbounded_channel();
    let state = Rc::new(State { waiting: Cell::new(0), is_unread: watch::Sender::new(false) });
    (Responder { words, state: Rc::clone(&state) }, Outbox { words: waiting, state })
}

impl Responder {
    pub(super) fn record(&self, record: &Record) {
        if !*self.state.is_unread.borrow() {
            self.say(format!("{}\n", record.to_line()), Words::Record);
        }
    }

    pub(super) fn answer(&self, said: &Response) {
        self.say(line(said), Words::Answer);
    }

    fn say(&self, text: String, kind: fn(String) -> Words) {
        let bytes = text.len();
        // A test that has ended reads no more.
        if self.words.send(kind(text)).is_ok() {
            self.state.waiting.update(|waiting| waiting + bytes);
        }
    }

    /// Whether the test is to be told more: else whoever makes it waits.
    pub(super) fn has_room(&self) -> bool {
        self.words.is_closed() || self.state.has_room()
    }

    /// Comes when the test reads nothing any more.
    pub(super) async fn unread(&self) {
        let mut is_unread = self.state.is_unread.subscribe();
        let _ = is_unread.wait_for(|is_unread| *is_unread).await;
    }
}

impl Outbox {
    /// Writes what is said to the test until no more is; `patience`: how long it may read nothing while there is no room.
    pub(super) async fn write_to(mut self, mut test: impl AsyncWrite + Unpin, patience: Duration) {
        while let Some(words) = self.words.recv().await {
            let text = match words {
                Words::Record(_) if *self.state.is_unread.borrow() => continue,
                Words::Record(text) | Words::Answer(text) => text,
            };
            if self.write(&mut test, text.as_bytes(), patience).await.is_err() {
                return;
            }
            self.state.waiting.update(|waiting| waiting.saturating_sub(text.len()));
        }
    }

    async fn write(
        &self,
        test: &mut (impl AsyncWrite + Unpin),
        text: &[u8],
        patience: Duration,
    ) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            match timeout(patience, test.write(rest)).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written?..],
                Err(_) if self.state.has_room() => {}
                // What is left of this line is written all the same: what comes after it can be read then.
                Err(_) => drop(self.state.is_unread.send_replace(true)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gpu_suites::event::{Log, Stream};

    use super::*;

    /// As much as a socket holds, about.
    const SOCKET: usize = 64 << 10;

    fn record(seq: u64) -> Record {
        let log = Log { case: "s::c".into(), stream: Stream::Stdout, text: "x".repeat(16 << 10), raw: None };
        Record { seq, at: jiff::Timestamp::UNIX_EPOCH, from: None, event: log.into() }
    }

    /// Says records from a number on, for as long as there is room; the number of the next.
    fn fill(responder: &Responder, from: u64) -> u64 {
        let mut seq = from;
        while responder.has_room() && seq < 100_000 {
            responder.record(&record(seq));
            seq += 1;
        }
        assert!(responder.state.waiting.get() < ROOM + (32 << 10), "{} wait", responder.state.waiting.get());
        seq
    }

    async fn read(mut from: impl tokio::io::AsyncRead + Unpin) -> Vec<String> {
        let mut bytes = Vec::new();
        tokio::io::copy(&mut from, &mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn a_test_that_reads_slowly_has_its_node_wait_and_misses_nothing() {
        let (responder, outbox) = responder();
        let (here, there) = tokio::io::duplex(SOCKET);
        let read = async {
            let mut count = fill(&responder, 0);
            // The socket takes some of it. As long as nothing is read there is no more room then, and nobody takes it ill
            // before that is long.
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                count = fill(&responder, count);
            }
            assert!(!responder.has_room() && count < 600, "{count} records");
            responder.answer(&Response::Accepted { pid: 1 });
            drop(responder);
            (read(there).await, count)
        };
        let ((), (lines, count)) = tokio::join!(outbox.write_to(here, Duration::from_secs(60)), read);
        assert_eq!(lines.len() as u64, count + 1);
        let seqs = lines[..lines.len() - 1].iter().map(|line| Record::parse(line).unwrap().seq);
        assert!(seqs.eq(0..count));
    }

    #[tokio::test]
    async fn a_test_that_reads_nothing_hears_how_it_ended_and_no_more() {
        let (responder, outbox) = responder();
        let (here, there) = tokio::io::duplex(SOCKET);
        let read = async {
            let mut count = fill(&responder, 0);
            tokio::time::sleep(Duration::from_millis(10)).await;
            count = fill(&responder, count);
            responder.unread().await;
            assert!(responder.has_room(), "nobody waits for it any more");
            let waiting = responder.state.waiting.get();
            responder.record(&record(count));
            assert_eq!(responder.state.waiting.get(), waiting);
            responder.answer(&Response::Refused { reason: "the end".into() });
            drop(responder);
            read(there).await
        };
        let ((), lines) = tokio::join!(outbox.write_to(here, Duration::from_millis(50)), read);
        let (last, records) = lines.split_last().unwrap();
        assert!(last.contains("the end"), "{last}");
        assert!(!records.is_empty() && records.len() < 10, "{} records", records.len());
        assert!(records.iter().all(|line| Record::parse(line).is_ok()), "each of them whole");
    }

    #[tokio::test]
    async fn nobody_waits_for_a_test_that_is_gone() {
        let (responder, outbox) = responder();
        let (here, there) = tokio::io::duplex(SOCKET);
        fill(&responder, 0);
        drop(there);
        outbox.write_to(here, Duration::from_secs(60)).await;
        assert!(responder.has_room());
        let waiting = responder.state.waiting.get();
        responder.record(&record(0));
        assert_eq!(responder.state.waiting.get(), waiting);
    }
}
