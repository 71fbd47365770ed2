//! A run's artifacts as they come from its node: a tar archive compressed with zstd.
//!
//! What comes is untrusted: only the files are taken that were announced, only below the folder that is meant for them, and
//! whatever the stream unpacks to.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use gpu_suites::id::Sha256;
use sha2::{Digest as _, Sha256 as Hasher};

use crate::files::announced::{Announced, Announcement, LONGEST_PATH, MOST_BYTES, MOST_FILES};
use crate::text::clean::one_line;

/// What the archive may have beside the files' contents: headers, names, padding, the zeros at its end.
const MOST_OVERHEAD: u64 = MOST_FILES as u64 * (LONGEST_PATH as u64 + 4 * 512) + (1 << 20);
/// The largest window that a frame may ask for (a power of two): the agent's level needs 2 MiB.
const WINDOW_LOG: u32 = 23;

/// Unpacks what a node's artifacts are announced to be, `CASE/PATH` each, to `folder/CASE/artifacts/PATH`.
///
/// Whatever comes, it takes a few MiB of memory, as much disk as was announced, and the work of unpacking that once.
/// What was not announced is passed over; that a file is missing or has another content is an error that names it.
pub(crate) fn unpack(from: impl Read, announced: &Announced, folder: &Path) -> io::Result<()> {
    // One frame: a stream of empty ones would have no end.
    let mut decoder = zstd::Decoder::new(from)?.single_frame();
    decoder.window_log_max(WINDOW_LOG)?;
    let mut tar = tar::Archive::new(Bounded { from: decoder, left: MOST_BYTES + MOST_OVERHEAD });
    let (announced, mut arrived) = (announced.in_archive(), BTreeSet::new());
    let mut long_name = None;
    // Raw: as it stands, tar reads names into memory whatever their length, before it shows an entry.
    for (count, entry) in tar.entries()?.raw(true).enumerate() {
        let mut entry = entry?;
        if count >= 2 * MOST_FILES {
            return Err(bad(format!("more than {MOST_FILES} artifacts")));
        }
        let kind = entry.header().entry_type();
        if kind.is_gnu_longname() {
            long_name = Some(long_path(&mut entry)?);
            continue;
        }
        let name = long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned());
        let name = PathBuf::from(OsString::from_vec(name));
        let shown = || one_line(&name.to_string_lossy(), SHOWN);
        if !kind.is_file() {
            return Err(bad(format!("{} is no regular file", shown())));
        }
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(bad(format!("the artifact {} leaves its folder", shown())));
        }
        let Some(wanted) = announced.get(&name) else { continue };
        if entry.size() != wanted.bytes {
            let (is, was) = (entry.size(), wanted.bytes);
            return Err(bad(format!(
                "the artifact {} has {is} bytes, and was announced with {was}",
                shown()
            )));
        }
        if arrived.insert(name.clone()) {
            let target = target(folder, &name);
            if take_in(&mut entry, wanted, &target)? != wanted.sha256 {
                fs::remove_file(&target)?;
                return Err(bad(format!(
                    "the artifact {} is not what was announced: its sha256 differs",
                    shown()
                )));
            }
        }
    }
    end_of(tar.into_inner())?;
    let missing = Vec::from_iter(announced.keys().filter(|path| !arrived.contains(*path)));
    match missing.as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
            let first = one_line(&first.to_string_lossy(), SHOWN);
            Err(bad(format!("the artifact {first}{more} was announced and did not come")))
        }
    }
}

/// How much of a path is shown.
const SHOWN: usize = 200;

/// Where the artifact `CASE/PATH` goes.
fn target(folder: &Path, name: &Path) -> PathBuf {
    let mut parts = name.components();
    let case = parts.next().map_or(OsStr::new(""), Component::as_os_str);
    folder.join(case).join("artifacts").join(parts.as_path())
}

/// The path that an entry of GNU's kind `L` holds for the entry after it.
fn long_path(entry: &mut impl Read) -> io::Result<Vec<u8>> {
    let most = LONGEST_PATH as u64 + 200;
    let mut path = Vec::new();
    entry.take(most + 1).read_to_end(&mut path)?;
    if path.len() as u64 > most {
        return Err(bad(format!("a path of more than {most} bytes")));
    }
    while path.pop_if(|byte| *byte == 0).is_some() {}
    Ok(path)
}

/// Writes an artifact's content; gives its sha256.
fn take_in(content: &mut impl Read, wanted: &Announcement, target: &Path) -> io::Result<Sha256> {
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(target)?;
    let (mut hasher, mut buffer, mut left) = (Hasher::new(), vec![0; 64 << 10], wanted.bytes);
    while left > 0 {
        match content.read(&mut buffer)? {
            0 => return Err(bad("the stream ends within an artifact".into())),
            count => {
                hasher.update(&buffer[..count]);
                file.write_all(&buffer[..count])?;
                left = left.saturating_sub(count as u64);
            }
        }
    }
    Ok(Sha256(hex::encode(hasher.finalize())))
}

/// An archive ends with zeros, and then the stream does.
fn end_of(mut rest: impl Read) -> io::Result<()> {
    let mut left = 1_usize << 20;
    let mut buffer = vec![0; 64 << 10];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            count if count <= left && buffer[..count].iter().all(|byte| *byte == 0) => left -= count,
            _ => return Err(bad("the stream goes on after the archive's end".into())),
        }
    }
}

/// A stream that may hold so many bytes.
struct Bounded<R> {
    from: R,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| bad(format!("more than {MOST_BYTES} bytes of artifacts")))?;
        Ok(count)
    }
}

fn bad(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive of these entries: a name, a kind, a size that is claimed, and a content.
    fn archive(entries: &[(&[u8], u8, u64, &[u8])]) -> Vec<u8> {
        let mut tar = Vec::new();
        for (name, kind, size, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name);
            header.set_entry_type(tar::EntryType::new(*kind));
            header.set_size(*size);
            header.set_mode(0o644);
            header.set_cksum();
            tar.extend_from_slice(header.as_bytes());
            tar.extend_from_slice(content);
            tar.resize(tar.len().next_multiple_of(512), 0);
        }
        tar.resize(tar.len() + 1024, 0);
        zstd::encode_all(&tar[..], 3).unwrap()
    }

    fn announced(files: &[(&str, &[u8])]) -> Announced {
        let mut announced = Announced::default();
        for (path, content) in files {
            let sha256 = Sha256(hex::encode(Hasher::digest(content)));
            let (case, path, bytes) = ("s::c".into(), (*path).to_owned(), content.len() as u64);
            announced
                .take(&gpu_suites::event::Artifact { case, path, bytes, sha256, executable: false })
                .unwrap();
        }
        announced
    }

    /// What comes of an archive where `a` with the content `ok` is announced: the files below the folder, or the error.
    fn unpacked(packed: &[u8]) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("run/cases");
        let done = unpack(packed, &announced(&[("a", b"ok")]), &below);
        let mut files = Vec::new();
        let mut folders = vec![folder.path().to_owned()];
        while let Some(at) = folders.pop() {
            for entry in fs::read_dir(at).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() { &mut folders } else { &mut files }
                    .push(entry.path());
            }
        }
        let names = files.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string());
        let names = Vec::from_iter(names);
        match done {
            Ok(()) => Ok(names),
            Err(error) => {
                assert!(names.is_empty() || names == ["run/cases/s.c/artifacts/a"], "{names:?}");
                Err(error.to_string())
            }
        }
    }

    #[test]
    fn what_was_announced_lands_in_its_case_and_nothing_else_anywhere() {
        const GOOD: (&[u8], u8, u64, &[u8]) = (b"s.c/a", b'0', 2, b"ok");
        let landed = Ok(vec!["run/cases/s.c/artifacts/a".to_owned()]);
        assert_eq!(unpacked(&archive(&[GOOD])), landed);
        assert_eq!(
            unpacked(&archive(&[GOOD, (b"s.c/b", b'0', 2, b"no"), (b"s.d/a", b'0', 2, b"no"), GOOD])),
            landed
        );
        for (entry, says) in [
            ((&b"../../a"[..], b'0', 2, &b"ok"[..]), "leaves its folder"),
            ((b"s.c/../../a", b'0', 2, b"ok"), "leaves its folder"),
            ((b"/tmp/escaped-from-a-node", b'0', 2, b"ok"), "leaves its folder"),
            ((b"s.c/a", b'0', 2, b"no"), "sha256 differs"),
            ((b"s.c/a", b'0', 3, b"ok?"), "has 3 bytes"),
            ((b"s.c/a", b'2', 0, b""), "no regular file"),
            ((b"s.c/a", b'5', 0, b""), "no regular file"),
            ((b"s.c/b", b'0', 2, b"ok"), "did not come"),
            ((b"x", b'x', 1 << 40, b""), "no regular file"),
            ((b"././@LongLink", b'L', 1 << 40, b""), "unexpected EOF"),
        ] {
            let error = unpacked(&archive(&[entry])).unwrap_err();
            assert!(error.contains(says), "{error} does not say {says:?}");
        }
        assert!(unpacked(b"nothing").is_err() && unpacked(b"").is_err());
    }

    #[test]
    fn a_long_path_comes_back_whole() {
        let path = "deep/".repeat(60) + "file";
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(2);
        tar.append_data(&mut header, Path::new("s.c").join(&path), &b"ok"[..]).unwrap();
        let packed = zstd::encode_all(&tar.into_inner().unwrap()[..], 3).unwrap();
        let folder = tempfile::tempdir().unwrap();
        unpack(&packed[..], &announced(&[(&path, b"ok")]), folder.path()).unwrap();
        assert_eq!(fs::read(folder.path().join("s.c/artifacts").join(&path)).unwrap(), b"ok");
    }

    #[test]
    fn what_goes_on_after_the_end_is_refused() {
        let mut packed = archive(&[(b"s.c/a", b'0', 2, b"ok")]);
        let mut tar = zstd::decode_all(&packed[..]).unwrap();
        tar.resize(tar.len() + (2 << 20), 0);
        packed = zstd::encode_all(&tar[..], 3).unwrap();
        assert!(unpacked(&packed).unwrap_err().contains("goes on"));
    }

    #[test]
    fn more_than_a_run_may_bring_is_refused_whatever_it_is() {
        let many = vec![(&b"s.c/b"[..], b'0', 0, &b""[..]); 2 * MOST_FILES + 1];
        let error = unpacked(&archive(&many)).unwrap_err();
        assert!(error.contains("more than 10000 artifacts"), "{error}");

        // A few hundred kilobytes: zeros, of which nothing was announced.
        let size = MOST_BYTES + MOST_OVERHEAD;
        let mut header = tar::Header::new_gnu();
        header.set_path("s.c/b").unwrap();
        header.set_size(size);
        header.set_cksum();
        let zeros = header.as_bytes().chain(io::repeat(0).take(size));
        let error = unpacked(&zstd::encode_all(zeros, 1).unwrap()).unwrap_err();
        assert!(error.contains("bytes of artifacts"), "{error}");
    }

    proptest::proptest! {
        /// Where a good archive is damaged, either all of it arrives or an error says so: never another content.
        #[test]
        fn a_damaged_archive_gives_the_announced_files_or_an_error(
            damage in proptest::collection::vec((0_usize..3000, 0_u8..=255), 1..8),
            cut in 0_usize..3000,
        ) {
            let mut tar = zstd::decode_all(&archive(&[(b"s.c/a", b'0', 2, b"ok")])[..]).unwrap();
            for (at, byte) in damage {
                let length = tar.len();
                tar[at % length] = byte;
            }
            tar.truncate(cut);
            if let Ok(files) = unpacked(&zstd::encode_all(&tar[..], 1).unwrap()) {
                proptest::prop_assert_eq!(files, ["run/cases/s.c/artifacts/a"]);
            }
        }
    }
}
