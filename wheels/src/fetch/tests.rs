//! Against a server on this machine that behaves as servers do.

mod server;
mod zip;

use std::collections::BTreeMap;

use server::{Answer, Server};
use zip::Made;

use super::*;

/// Noise, so that packed it is as large.
fn noise(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..bytes).map(|_| next()).collect()
}

/// A wheel with a large library, small files beside it, and one that nobody wants.
fn wheel() -> Made {
    Made::of(&[
        ("x/lib/large.so", noise(20 << 20, 1)),
        ("x/not/wanted", noise(3 << 20, 2)),
        ("x/include/a.h", b"// a\n".repeat(50)),
        ("x/include/b.h", b"// b\n".repeat(50)),
        ("x/empty", Vec::new()),
    ])
}

fn wanted(member: &str) -> Option<PathBuf> {
    (member != "x/not/wanted").then(|| member.strip_prefix("x/").map(PathBuf::from)).flatten()
}

fn get(made: &Made, server: &Server, into: &Path) -> Result<Progress, FetchError> {
    let source = Source { web: Web::connect().impatient(), index: Index::at(&server.index()).unwrap() };
    let mut last = Progress::default();
    let order = Order { wheel: &made.wheel, place: &wanted };
    fetch(&[order], into, &source, &mut |progress| last = progress)?;
    Ok(last)
}

fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in fs::read_dir(at).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let name = entry.path().strip_prefix(folder).unwrap().to_owned();
                found.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    found
}

#[track_caller]
fn is_whole(made: &Made, folder: &Path) {
    let members = made.members.iter().filter_map(|(name, content)| Some((wanted(name)?, content.clone())));
    assert!(files(folder) == members.collect(), "{:?}", files(folder).keys());
}

#[test]
fn what_is_wanted_comes_and_nothing_else_is_asked_for() {
    let made = wheel();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&made, |_| Answer::Range);
    let progress = get(&made, &server, folder.path()).unwrap();
    is_whole(&made, folder.path());
    assert_eq!(progress.bytes, progress.total);
    let sent = server.sent();
    assert!(sent < made.bytes.len() as u64 - (2 << 20), "{sent} bytes were sent of {}", made.bytes.len());
}

#[test]
fn cut_connections_cost_no_byte_twice() {
    let made = wheel();
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::start(&made, |asked| if asked % 3 == 2 { Answer::Range } else { Answer::Cut(700_001) });
    get(&made, &server, folder.path()).unwrap();
    is_whole(&made, folder.path());
    assert!(server.sent() < made.bytes.len() as u64, "{}", server.sent());
}

#[test]
fn a_try_that_was_given_up_is_gone_on_with() {
    let made = wheel();
    let folder = tempfile::tempdir().unwrap();
    let down = Server::start(&made, down_after_a_while);
    let first = get(&made, &down, folder.path()).unwrap_err();
    assert!(matches!(first, FetchError::Web(WebError::Cut { .. })), "{first}");
    let left = files(folder.path());
    assert!(left.keys().any(|name| name.starts_with(PIECES)) && !folder.path().join("lib").exists());
    let server = Server::start(&made, |_| Answer::Range);
    let progress = get(&made, &server, folder.path()).unwrap();
    is_whole(&made, folder.path());
    assert!(progress.found > 0 && progress.bytes == progress.total, "{progress:?}");
    assert!(server.sent() < made.bytes.len() as u64 - progress.found, "{} {progress:?}", server.sent());
    // All is there: nothing but the table is asked for.
    let again = Server::start(&made, |_| Answer::Range);
    get(&made, &again, folder.path()).unwrap();
    assert!(again.sent() < 4 << 10, "{}", again.sent());
}

/// After the table come some parts, and then nothing.
fn down_after_a_while(asked: usize) -> Answer {
    match asked {
        0 => Answer::Range,
        1..8 => Answer::Cut(700_001),
        _ => Answer::Cut(0),
    }
}

#[test]
fn what_an_earlier_try_left_damaged_comes_anew() {
    let made = wheel();
    let folder = tempfile::tempdir().unwrap();
    let down = Server::start(&made, down_after_a_while);
    get(&made, &down, folder.path()).unwrap_err();
    let left = files(folder.path());
    assert!(left.values().any(|bytes| !bytes.is_empty()), "{:?}", left.keys());
    for (piece, bytes) in left {
        fs::write(folder.path().join(piece), vec![7; bytes.len()]).unwrap();
    }
    let server = Server::start(&made, |_| Answer::Range);
    get(&made, &server, folder.path()).unwrap();
    is_whole(&made, folder.path());
}

#[test]
fn a_server_without_ranges_sends_the_whole_and_the_files_are_right() {
    let made = wheel();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&made, |_| Answer::Whole);
    get(&made, &server, folder.path()).unwrap();
    is_whole(&made, folder.path());
    assert!(
        server.sent() <= 2 * made.bytes.len() as u64,
        "once for the table, once for the rest: {}",
        server.sent()
    );
}

#[test]
fn a_wheel_with_other_content_is_refused_and_nothing_of_it_stays() {
    let made = wheel();
    for at in [made.content_of("x/lib/large.so") + 12_345_678, made.wheel.record_at + 60] {
        let folder = tempfile::tempdir().unwrap();
        let mut other = made.clone();
        other.bytes[usize::try_from(at).unwrap()] ^= 1;
        let server = Server::start(&other, |_| Answer::Range);
        let error = get(&made, &server, folder.path()).unwrap_err();
        assert!(matches!(error, FetchError::Other { .. }), "{error}");
        assert!(error.to_string().contains("is not x-1.0-py3-none-any.whl"), "{error}");
        assert!(!files(folder.path()).keys().any(|name| name.starts_with("lib")), "{error}");
    }
}

#[test]
fn a_table_of_contents_that_lies_is_refused_whatever_it_says() {
    let made = wheel();
    let begin = usize::try_from(made.wheel.record_at).unwrap();
    let tail = &made.bytes[begin..];
    assert_eq!(contents::read(&made.wheel, tail).unwrap().len(), made.members.len());
    let sound = Vec::from_iter(made.members.iter().map(|(_, content)| zip::sha256(content)));
    for at in 0..tail.len() {
        for bits in [1, 0x80, 0xff] {
            let mut other = tail.to_vec();
            other[at] ^= bits;
            // Whatever is read, RECORD vouches for each file.
            for member in contents::read(&made.wheel, &other).unwrap_or_default() {
                assert!(sound.contains(&member.sha256), "{member:?}");
            }
        }
        // What a zip ends with has 22 bytes, of which the last say nothing.
        assert!(at > tail.len() - 22 || contents::read(&made.wheel, &tail[..at]).is_err(), "{at}");
    }
}

#[test]
fn an_index_that_is_down_or_does_not_have_it_is_told_with_its_address() {
    let made = wheel();
    let folder = tempfile::tempdir().unwrap();
    let busy = Server::start(&made, |_| Answer::Status("503 Service Unavailable"));
    let error = get(&made, &busy, folder.path()).unwrap_err().to_string();
    assert!(error.contains("6 times in a row") && error.contains("503"), "{error}");
    let denied = Server::start(&made, |_| Answer::Status("401 Unauthorized"));
    let error = get(&made, &denied, folder.path()).unwrap_err().to_string();
    assert!(error.contains("401") && error.contains(".netrc"), "{error}");
    assert_eq!(denied.asked(), 1, "what will not pass is not tried again");
    let server = Server::start(&made, |_| Answer::Range);
    let mut other = made.clone();
    other.wheel.file = "y-1.whl";
    let error = get(&other, &server, folder.path()).unwrap_err().to_string();
    assert!(error.contains("failed to find y-1.whl on http://127.0.0.1:"), "{error}");
}
