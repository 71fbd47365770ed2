//! Repetition and definition levels: small numbers that tell where nulls and lists are, in runs of equal ones
//! (Parquet's "RLE/bit-packing hybrid", of which only the first half is written).

use crate::thrift::{read_varint, varint};

/// Levels fit into one byte: none is greater than 2.
pub(crate) fn encode(levels: &[u8], bytes: &mut Vec<u8>) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; 4]);
    for run in levels.chunk_by(|one, other| one == other) {
        varint(bytes, (run.len() as u64) << 1);
        bytes.push(run[0]);
    }
    let length = u32::try_from(bytes.len() - start - 4).unwrap_or(u32::MAX);
    bytes[start..start + 4].copy_from_slice(&length.to_le_bytes());
}

/// Reads `count` levels from the front of `bytes`, which are advanced.
pub(crate) fn decode(bytes: &mut &[u8], count: usize) -> Option<Vec<u8>> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (mut runs, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let mut levels = Vec::new();
    while levels.len() < count {
        let header = read_varint(&mut runs)?;
        // A bit-packed run: nothing of ours.
        if header & 1 == 1 {
            return None;
        }
        let (level, after) = runs.split_first()?;
        runs = after;
        let run = usize::try_from(header >> 1).ok()?;
        if run == 0 || run > count - levels.len() {
            return None;
        }
        levels.extend(std::iter::repeat_n(*level, run));
    }
    *bytes = rest;
    Some(levels)
}
