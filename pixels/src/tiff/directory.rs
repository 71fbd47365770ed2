//! A TIFF's directory of tags: classic or `BigTIFF`, of either order of bytes. Values are read where they lie.

use std::collections::BTreeMap;

use super::damaged;
use crate::Result;

/// The tags of the first page.
#[derive(Debug, Clone)]
pub(crate) struct Directory<'a> {
    file: File<'a>,
    entries: BTreeMap<u16, Values<'a>>,
}

/// The whole file and how it is to be read.
#[derive(Debug, Clone, Copy)]
struct File<'a> {
    bytes: &'a [u8],
    order: Order,
    big: bool,
}

/// Order of the bytes in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Little,
    Big,
}

/// A tag's values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) bytes: &'a [u8],
    kind: Kind,
    order: Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unsigned(usize),
    Float,
    Double,
    /// Text, rationals, signed numbers: only their bytes are of use here.
    Other(usize),
}

impl Order {
    fn number(self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
        match self {
            Self::Little => bytes.iter().rev().fold(0, add),
            Self::Big => bytes.iter().fold(0, add),
        }
    }
}

impl Kind {
    /// By its number in the specification.
    fn of(number: u64) -> Option<Self> {
        Some(match number {
            1 | 7 => Self::Unsigned(1),
            3 => Self::Unsigned(2),
            4 | 13 => Self::Unsigned(4),
            16 | 18 => Self::Unsigned(8),
            11 => Self::Float,
            12 => Self::Double,
            2 | 6 => Self::Other(1),
            8 => Self::Other(2),
            9 => Self::Other(4),
            5 | 10 | 17 => Self::Other(8),
            _ => return None,
        })
    }

    fn size(self) -> usize {
        match self {
            Self::Unsigned(size) | Self::Other(size) => size,
            Self::Float => 4,
            Self::Double => 8,
        }
    }
}

impl Values<'_> {
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.kind.size()
    }

    /// One of them as a whole number, where it is one.
    pub(crate) fn unsigned(&self, index: usize) -> Option<u64> {
        let Kind::Unsigned(size) = self.kind else { return None };
        self.bytes.get(index.checked_mul(size)?..)?.get(..size).map(|bytes| self.order.number(bytes))
    }

    /// All of them as floating-point numbers, where they are some.
    pub(crate) fn floats(&self) -> Option<Vec<f64>> {
        let numbers = self.bytes.chunks_exact(self.kind.size());
        match self.kind {
            Kind::Double => Some(numbers.map(|bytes| f64::from_bits(self.order.number(bytes))).collect()),
            Kind::Float => {
                let float = |bytes| u32::try_from(self.order.number(bytes)).map(f32::from_bits);
                Some(numbers.map(|bytes| float(bytes).map_or(f64::NAN, f64::from)).collect())
            }
            Kind::Other(8) => Some(
                // Rationals: two numbers of four bytes.
                numbers
                    .map(|bytes| {
                        let (over, under) = bytes.split_at(4);
                        self.order.number(over) as f64 / self.order.number(under) as f64
                    })
                    .collect(),
            ),
            Kind::Unsigned(_) | Kind::Other(_) => None,
        }
    }

    /// As a text, up to its first NUL.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
    }
}

impl<'a> File<'a> {
    fn open(bytes: &'a [u8]) -> Option<(Self, u64)> {
        let order = match bytes.get(..2)? {
            b"II" => Order::Little,
            b"MM" => Order::Big,
            _ => return None,
        };
        let file = Self { bytes, order, big: order.number(bytes.get(2..4)?) == 43 };
        let first = if file.big { file.number(8, 8) } else { file.number(4, 4) };
        first.map(|first| (file, first))
    }

    fn at(&self, offset: u64, length: u64) -> Option<&'a [u8]> {
        let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        self.bytes.get(offset..offset.checked_add(length)?)
    }

    fn number(&self, offset: u64, length: u64) -> Option<u64> {
        self.at(offset, length).map(|bytes| self.order.number(bytes))
    }

    fn directory(self, offset: u64) -> Option<Directory<'a>> {
        // Widths of the number of entries, of a number in an entry, and of an entry.
        let (head, wide, entry) = if self.big { (8, 8, 20) } else { (2, 4, 12) };
        let count = self.number(offset, head)?;
        let first = offset.checked_add(head)?;
        let length = count.checked_mul(entry)?;
        // All of them lie in the file: that bounds them.
        self.at(first, length)?;
        let mut entries = BTreeMap::new();
        for index in 0..count {
            let at = first + index * entry;
            let tag = u16::try_from(self.number(at, 2)?).ok()?;
            let Some(kind) = Kind::of(self.number(at + 2, 2)?) else { continue };
            let length = self.number(at + 4, wide)?.checked_mul(kind.size() as u64)?;
            let place = at + 4 + wide;
            let place = if length <= wide { place } else { self.number(place, wide)? };
            // One whose values lie outside of the file is as good as none; what is needed says so.
            if let Some(bytes) = self.at(place, length) {
                entries.entry(tag).or_insert(Values { bytes, kind, order: self.order });
            }
        }
        Some(Directory { file: self, entries })
    }
}

impl<'a> Directory<'a> {
    /// The first page, as GDAL and Pillow take it: smaller ones and masks follow it, and chains and loops of pages do nothing.
    pub(crate) fn of_first_page(bytes: &'a [u8]) -> Result<Self> {
        let directory = File::open(bytes).and_then(|(file, first)| file.directory(first));
        directory.ok_or_else(|| damaged("its directory is not in the file"))
    }

    pub(crate) fn values(&self, tag: u16) -> Option<&Values<'a>> {
        self.entries.get(&tag)
    }

    /// A tag's first value as a whole number.
    pub(crate) fn number(&self, tag: u16) -> Option<u64> {
        self.values(tag)?.unsigned(0)
    }

    pub(crate) fn floats(&self, tag: u16) -> Option<Vec<f64>> {
        self.values(tag)?.floats()
    }

    pub(crate) fn order(&self) -> Order {
        self.file.order
    }

    /// Bytes of the whole file.
    pub(crate) fn length(&self) -> u64 {
        self.file.bytes.len() as u64
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self, offset: u64, length: u64) -> Option<&'a [u8]> {
        self.file.at(offset, length)
    }

    /// Bytes of the file from `offset` on.
    pub(crate) fn rest(&self, offset: u64) -> Option<&'a [u8]> {
        self.file.bytes.get(usize::try_from(offset).ok()?..)
    }
}
