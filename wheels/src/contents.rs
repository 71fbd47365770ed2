//! Which members a wheel has: its table of contents, and the SHA-256 of each by its RECORD.
//!
//! Only RECORD is verified here, by what is pinned. The table says where members lie, and may lie itself: then they are not
//! what RECORD says of them.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::DeflateDecoder;
use sha2::{Digest, Sha256};

use crate::wheel::Wheel;

/// How the name of the member that vouches for the others ends.
const RECORD: &str = ".dist-info/RECORD";
/// The longest RECORD that is read: torch's has 1.3 MB.
const LONGEST_RECORD: u64 = 16 << 20;

/// How a member is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Stored,
    Deflated,
}

/// One file in a wheel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) name: String,
    /// Where its own header begins, and where what comes after it does.
    pub(crate) range: Range<u64>,
    pub(crate) packing: Packing,
    /// Its packed size.
    pub(crate) packed: u64,
    pub(crate) bytes: u64,
    pub(crate) sha256: [u8; 32],
}

/// What is wrong with the end of a wheel.
pub(crate) type Wrong = &'static str;

/// A wheel's members in the order in which they lie; `tail` is its bytes from RECORD on.
pub(crate) fn read(wheel: &Wheel, tail: &[u8]) -> Result<Vec<Member>, Wrong> {
    let (table, end) = table(wheel, tail)?;
    let record = table.iter().find(|entry| entry.at == wheel.record_at && entry.name.ends_with(RECORD));
    let named = vouched_for(wheel, record.ok_or("its RECORD is not where it should be")?, tail)?;
    let ends = table.iter().skip(1).map(|entry| entry.at).chain([end]);
    let mut members = Vec::new();
    for (entry, end) in table.iter().zip(ends) {
        let Some((sha256, bytes)) = named.get(entry.name.as_str()) else { continue };
        let packing = match entry.method {
            0 => Packing::Stored,
            8 => Packing::Deflated,
            _ => return Err("a member is packed in an unknown way"),
        };
        members.push(Member {
            name: entry.name.clone(),
            range: entry.at..end,
            packing,
            packed: entry.packed,
            bytes: *bytes,
            sha256: *sha256,
        });
    }
    Ok(members)
}

/// An entry of the table of contents.
struct Entry {
    name: String,
    at: u64,
    method: u16,
    packed: u64,
}

/// The entries by where they lie, and where they end.
fn table(wheel: &Wheel, tail: &[u8]) -> Result<(Vec<Entry>, u64), Wrong> {
    const END: &[u8] = b"PK\x05\x06";
    const NONE: Wrong = "it does not end with a table of contents";
    let end = tail.windows(END.len()).rposition(|window| window == END).ok_or(NONE)?;
    let (size, at) = (u32_at(tail, end + 12).ok_or(NONE)?, u32_at(tail, end + 16).ok_or(NONE)?);
    let begin = at.checked_sub(wheel.record_at).and_then(|at| usize::try_from(at).ok()).ok_or(NONE)?;
    let size = usize::try_from(size).map_err(|_| NONE)?;
    let mut rest = begin.checked_add(size).and_then(|end| tail.get(begin..end)).ok_or(NONE)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let entry = entry(&mut rest).ok_or("its table of contents is damaged")?;
        entries.push(entry);
    }
    entries.sort_by_key(|entry| entry.at);
    if entries.iter().any(|entry| entry.at > at) {
        return Err("its table of contents is damaged");
    }
    Ok((entries, at))
}

fn entry(rest: &mut &[u8]) -> Option<Entry> {
    const FIXED: usize = 46;
    let bytes = *rest;
    if !bytes.starts_with(b"PK\x01\x02") {
        return None;
    }
    let length = |at| u16_at(bytes, at).map(usize::from);
    let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
    let entry = Entry {
        name: String::from_utf8(bytes.get(FIXED..FIXED + name)?.to_vec()).ok()?,
        at: u32_at(bytes, 42)?,
        method: u16_at(bytes, 10)?,
        packed: u32_at(bytes, 20)?,
    };
    *rest = bytes.get(FIXED + name + extra + comment..)?;
    Some(entry)
}

/// The SHA-256 and size of each member, by RECORD, with which `tail` begins.
fn vouched_for(
    wheel: &Wheel,
    entry: &Entry,
    tail: &[u8],
) -> Result<BTreeMap<String, ([u8; 32], u64)>, Wrong> {
    let text = packed(tail).ok_or("its RECORD is damaged")?;
    let mut record = Vec::new();
    let unpacked = match entry.method {
        0 => text.take(entry.packed).read_to_end(&mut record),
        _ => DeflateDecoder::new(text).take(LONGEST_RECORD).read_to_end(&mut record),
    };
    if unpacked.is_err() || hex::encode(Sha256::digest(&record)) != wheel.record {
        return Err("its RECORD is not the one that is pinned");
    }
    let lines = String::from_utf8(record).map_err(|_| "its RECORD is no text")?;
    // NAME,sha256=DIGEST,SIZE. RECORD's own line has neither.
    let vouched = lines.lines().filter_map(|line| {
        let (rest, bytes) = line.rsplit_once(',')?;
        let (name, digest) = rest.rsplit_once(',')?;
        let digest = URL_SAFE_NO_PAD.decode(digest.strip_prefix("sha256=")?).ok()?;
        let name = name.strip_prefix('"').and_then(|name| name.strip_suffix('"')).unwrap_or(name);
        Some((name.to_owned(), (digest.try_into().ok()?, bytes.parse().ok()?)))
    });
    Ok(vouched.collect())
}

/// What comes after a member's own header.
fn packed(member: &[u8]) -> Option<&[u8]> {
    let length = header_length(member.get(..30)?.try_into().ok()?)?;
    member.get(usize::try_from(length).ok()?..)
}

/// How long a member's own header is, by its fixed part.
pub(crate) fn header_length(fixed: &[u8; 30]) -> Option<u64> {
    let is_one = fixed.starts_with(b"PK\x03\x04");
    let length = 30 + u64::from(u16_at(fixed, 26)?) + u64::from(u16_at(fixed, 28)?);
    is_one.then_some(length)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?).into())
}
