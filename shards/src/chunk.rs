//! The values of one column within a row group: gathered cell by cell, then written as one page.

use crate::levels;
use crate::schema::{Cell, Column};
use crate::thrift::Writer;

/// `parquet.thrift`: `CompressionCodec.ZSTD`, `Encoding.PLAIN` and `.RLE`, `PageType.DATA_PAGE`.
pub(crate) const ZSTD: i32 = 6;
pub(crate) const PLAIN: i32 = 0;
pub(crate) const RLE: i32 = 3;
const DATA_PAGE: i32 = 0;

/// zstd's own default; higher ones cost a core's time for a few per cent.
const LEVEL: i32 = 3;

/// A column's values on their way into a page.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    values: Vec<u8>,
    definitions: Vec<u8>,
    repetitions: Vec<u8>,
    /// Values and nulls: what the format counts.
    entries: usize,
}

/// A page with its header, and what the footer has to say of it.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) bytes: Vec<u8>,
    pub(crate) entries: usize,
    /// Size of header and values before compression.
    pub(crate) plain_bytes: usize,
}

impl Chunk {
    /// Bytes that it holds, before compression.
    pub(crate) fn bytes(&self) -> usize {
        self.values.len() + self.definitions.len() + self.repetitions.len()
    }

    pub(crate) fn push(&mut self, column: &Column, cell: &Cell) {
        let there = column.deepest();
        match cell {
            Cell::Null => self.entry(column, 0, 0),
            Cell::Text(text) => {
                self.entry(column, there, 0);
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                self.values.extend_from_slice(&length.to_le_bytes());
                self.values.extend_from_slice(&text.as_bytes()[..length as usize]);
            }
            Cell::Int32(value) => self.number(column, &value.to_le_bytes()),
            Cell::Int64(value) => self.number(column, &value.to_le_bytes()),
            Cell::Float(value) => self.number(column, &value.to_le_bytes()),
            Cell::Double(value) => self.number(column, &value.to_le_bytes()),
            Cell::Int32s(values) => self.list(column, values.iter().map(|value| value.to_le_bytes())),
            Cell::Floats(values) => self.list(column, values.iter().map(|value| value.to_le_bytes())),
        }
    }

    fn number(&mut self, column: &Column, bytes: &[u8]) {
        self.entry(column, column.deepest(), 0);
        self.values.extend_from_slice(bytes);
    }

    fn list(&mut self, column: &Column, values: impl ExactSizeIterator<Item = [u8; 4]>) {
        if values.len() == 0 {
            self.entry(column, 1, 0);
        }
        for (index, value) in values.enumerate() {
            self.entry(column, 2, u8::from(index > 0));
            self.values.extend_from_slice(&value);
        }
    }

    fn entry(&mut self, column: &Column, definition: u8, repetition: u8) {
        self.entries += 1;
        if column.deepest() > 0 {
            self.definitions.push(definition);
        }
        if column.kind.is_list() {
            self.repetitions.push(repetition);
        }
    }

    /// The page, compressed, with a checksum.
    pub(crate) fn into_page(self, column: &Column) -> std::io::Result<Page> {
        let mut plain = Vec::with_capacity(self.bytes());
        if column.kind.is_list() {
            levels::encode(&self.repetitions, &mut plain);
        }
        if column.deepest() > 0 {
            levels::encode(&self.definitions, &mut plain);
        }
        plain.extend_from_slice(&self.values);
        let compressed = zstd::bulk::compress(&plain, LEVEL)?;
        let entries = i32::try_from(self.entries).map_err(std::io::Error::other)?;
        let (before, after) = (i32::try_from(plain.len()), i32::try_from(compressed.len()));
        let (before, after) = (before.map_err(std::io::Error::other)?, after.map_err(std::io::Error::other)?);
        let mut bytes = Writer::structure(|header| {
            header.i32(1, DATA_PAGE);
            header.i32(2, before);
            header.i32(3, after);
            header.i32(4, crc32fast::hash(&compressed).cast_signed());
            header.inside(5, |page| {
                page.i32(1, entries);
                page.i32(2, PLAIN);
                page.i32(3, RLE);
                page.i32(4, RLE);
            });
        });
        let plain_bytes = bytes.len() + plain.len();
        bytes.extend_from_slice(&compressed);
        Ok(Page { bytes, entries: self.entries, plain_bytes })
    }
}
