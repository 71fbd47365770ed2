//! Which columns does a table have, and what is in a cell?

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What its cells hold.
    pub kind: Kind,
    /// Whether a cell may be null. A list may always be.
    pub optional: bool,
}

impl Column {
    /// A column without nulls.
    pub fn required(name: &str, kind: Kind) -> Self {
        Self { name: name.into(), kind, optional: false }
    }

    /// A column that may have nulls.
    pub fn optional(name: &str, kind: Kind) -> Self {
        Self { name: name.into(), kind, optional: true }
    }

    /// The definition level of a value that is there.
    pub(crate) fn deepest(&self) -> u8 {
        match (self.kind.is_list(), self.optional) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => 0,
        }
    }
}

/// What the cells of a column hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// Whole numbers of 32 bits.
    Int32,
    /// Whole numbers of 64 bits.
    Int64,
    /// IEEE 754 single precision.
    Float,
    /// IEEE 754 double precision.
    Double,
    /// A list of whole numbers of 32 bits.
    Int32s,
    /// A list of numbers of single precision.
    Floats,
}

/// The types of Parquet itself, by their numbers in `parquet.thrift`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Physical {
    Int32 = 1,
    Int64 = 2,
    Float = 4,
    Double = 5,
    ByteArray = 6,
}

impl Kind {
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Int32s | Self::Floats)
    }

    pub(crate) fn physical(self) -> Physical {
        match self {
            Self::Text => Physical::ByteArray,
            Self::Int32 | Self::Int32s => Physical::Int32,
            Self::Int64 => Physical::Int64,
            Self::Float | Self::Floats => Physical::Float,
            Self::Double => Physical::Double,
        }
    }
}

/// A cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// UTF-8.
    Text(String),
    /// A whole number of 32 bits.
    Int32(i32),
    /// A whole number of 64 bits.
    Int64(i64),
    /// A number of single precision.
    Float(f32),
    /// A number of double precision.
    Double(f64),
    /// Whole numbers.
    Int32s(Vec<i32>),
    /// Numbers.
    Floats(Vec<f32>),
}

impl Cell {
    /// Whether it may stand in this column.
    pub(crate) fn fits(&self, column: &Column) -> bool {
        match (self, column.kind) {
            (Self::Null, kind) => column.optional || kind.is_list(),
            (Self::Text(_), Kind::Text)
            | (Self::Int32(_), Kind::Int32)
            | (Self::Int64(_), Kind::Int64)
            | (Self::Float(_), Kind::Float)
            | (Self::Double(_), Kind::Double)
            | (Self::Int32s(_), Kind::Int32s)
            | (Self::Floats(_), Kind::Floats) => true,
            _ => false,
        }
    }
}
