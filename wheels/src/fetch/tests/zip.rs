//! A wheel that a test makes.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use sha2::{Digest, Sha256};

use crate::wheel::Wheel;

#[derive(Clone)]
pub(super) struct Made {
    pub(super) wheel: Wheel,
    pub(super) bytes: Vec<u8>,
    pub(super) members: Vec<(&'static str, Vec<u8>)>,
    at: Vec<u64>,
}

pub(super) fn sha256(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

impl Made {
    /// Its members in order, and RECORD.
    pub(super) fn of(members: &[(&'static str, Vec<u8>)]) -> Self {
        const RECORD: &str = "x-1.0.dist-info/RECORD";
        let line = |(name, content): &(&str, Vec<u8>)| {
            format!("{name},sha256={},{}\n", URL_SAFE_NO_PAD.encode(sha256(content)), content.len())
        };
        let record = members.iter().map(line).collect::<String>() + RECORD + ",,\n";
        let (mut bytes, mut table, mut at) = (Vec::new(), Vec::new(), Vec::new());
        let all = members.iter().map(|(name, content)| (*name, content.as_slice()));
        for (name, content) in all.chain([(RECORD, record.as_bytes())]) {
            at.push(bytes.len() as u64);
            let mut packed = DeflateEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(content).unwrap();
            let packed = packed.finish().unwrap();
            let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
            let name_length = u16::try_from(name.len()).unwrap().to_le_bytes();
            // Version, flags, method, time, date and a CRC that nobody reads.
            let common =
                [&[20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0][..], &size(&packed), &size(content)].concat();
            table.extend([&b"PK\x01\x02\x14\0"[..], &common, &name_length, &[0; 12]].concat());
            table.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
            table.extend(name.as_bytes());
            bytes.extend(
                [&b"PK\x03\x04"[..], &common, &name_length, &[0; 2], name.as_bytes(), &packed].concat(),
            );
        }
        let begin = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let size = u32::try_from(table.len()).unwrap().to_le_bytes();
        bytes.extend(table);
        bytes.extend([&b"PK\x05\x06"[..], &[0; 8], &size, &begin, &[0; 2]].concat());
        let wheel = Wheel {
            project: "x",
            file: "x-1.0-py3-none-any.whl",
            bytes: bytes.len() as u64,
            record_at: *at.last().unwrap(),
            record: Box::leak(hex::encode(sha256(record.as_bytes())).into_boxed_str()),
        };
        Self { wheel, bytes, members: members.to_vec(), at }
    }

    /// Where a member's own header begins.
    pub(super) fn content_of(&self, name: &str) -> u64 {
        self.at[self.members.iter().position(|(member, _)| *member == name).unwrap()]
    }
}
