use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;

/// What a test's server does with one connection.
#[derive(Clone, Copy)]
enum Answer {
    /// Honours `Range`, but closes after this many bytes of the body.
    CutAfter(usize),
    /// Sends all from the start, whatever was asked for.
    WithoutRanges,
}

/// Serves `content` with one answer a connection; tells the `Range` that each asked for.
fn serve(content: &'static [u8], answers: Vec<Answer>) -> (String, Receiver<Option<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file", listener.local_addr().unwrap());
    let (asked, ranges) = channel();
    thread::spawn(move || {
        for answer in answers {
            let (stream, _) = listener.accept().unwrap();
            let range = requested_range(&stream);
            asked.send(range.clone()).unwrap();
            respond(stream, content, range.as_deref(), answer);
        }
    });
    (url, ranges)
}

fn requested_range(stream: &TcpStream) -> Option<String> {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    head.iter().find_map(|line| Some(line.to_lowercase().strip_prefix("range: ")?.to_owned()))
}

fn respond(mut stream: TcpStream, content: &[u8], range: Option<&str>, answer: Answer) {
    let start =
        range.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    let (status, start, limit) = match (answer, start) {
        (Answer::CutAfter(limit), Some(start)) => ("206 Partial Content", start, limit),
        (Answer::CutAfter(limit), None) => ("200 OK", 0, limit),
        (Answer::WithoutRanges, _) => ("200 OK", 0, usize::MAX),
    };
    let body = &content[start..];
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len())
        .unwrap();
    stream.write_all(&body[..limit.min(body.len())]).unwrap();
}

fn content() -> &'static [u8] {
    Box::leak((0..200_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<u8>>().into_boxed_slice())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn fetch(url: &str, wanted: &str, place: &Path) -> Result<String, DownloadError> {
    let download = Download { url, label: "a file", trust: Trust::Sha256(wanted), patience: Patience::Some };
    download.fetch(&Network::connect(), place)
}

#[test]
fn a_cut_download_goes_on_where_it_stopped() {
    let content = content();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("file");
    let cut = Answer::CutAfter;
    let (url, ranges) = serve(content, vec![cut(300_000), cut(0), cut(200_001), cut(usize::MAX)]);
    fetch(&url, &sha256(content), &place).expect("the fourth connection brings the rest");
    assert_eq!(fs::read(&place).unwrap(), content);
    let asked: Vec<_> = ranges.iter().collect();
    let wanted = [None, Some("bytes=300000-"), Some("bytes=300000-"), Some("bytes=500001-")];
    assert_eq!(asked, wanted.map(|range| range.map(str::to_owned)));
}

#[test]
fn a_later_run_goes_on_where_a_killed_one_stopped() {
    let content = content();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("file");
    fs::write(folder.path().join("file.part"), &content[..123_456]).unwrap();
    let (url, ranges) = serve(content, vec![Answer::CutAfter(usize::MAX)]);
    fetch(&url, &sha256(content), &place).expect("the rest arrives");
    assert_eq!(ranges.recv().unwrap().as_deref(), Some("bytes=123456-"));
    assert_eq!(fs::read(&place).unwrap(), content);
    assert!(!folder.path().join("file.part").exists());
}

#[test]
fn a_server_without_ranges_sends_the_whole_again_and_the_file_is_right() {
    let content = content();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("file");
    let (url, _ranges) = serve(content, vec![Answer::CutAfter(1000), Answer::WithoutRanges]);
    fetch(&url, &sha256(content), &place).expect("the second connection brings all");
    assert_eq!(fs::read(&place).unwrap(), content);
}

#[test]
fn a_file_with_another_sha256_is_refused_and_the_error_says_so() {
    let content = content();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("file");
    let (url, _ranges) = serve(content, vec![Answer::CutAfter(usize::MAX)]);
    let wanted = sha256(b"another file");
    let error = fetch(&url, &wanted, &place).expect_err("the sha256 differs").to_string();
    assert!(error.contains(&wanted) && error.contains(&sha256(content)), "{error}");
    assert!(error.contains("is not used"), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing of it stays");
}

#[test]
fn a_damaged_rest_of_an_earlier_run_is_fetched_anew() {
    let content = content();
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("file");
    fs::write(folder.path().join("file.part"), vec![7; 1000]).unwrap();
    let whole = Answer::CutAfter(usize::MAX);
    let (url, ranges) = serve(content, vec![whole, whole]);
    fetch(&url, &sha256(content), &place).expect("the second copy is right");
    assert_eq!(ranges.iter().collect::<Vec<_>>(), [Some("bytes=1000-".to_owned()), None]);
}

#[test]
fn a_server_that_sends_nothing_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = vec![Answer::CutAfter(0); FRUITLESS_ATTEMPTS as usize];
    let (url, _ranges) = serve(content(), nothing);
    let error = fetch(&url, &sha256(b""), &folder.path().join("file")).expect_err("no byte ever came");
    assert!(matches!(error, DownloadError::Cut { attempts: FRUITLESS_ATTEMPTS, .. }), "{error}");
}
