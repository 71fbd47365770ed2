//! Which columns does a table have, and what is in a cell?

use std::sync::Arc;

use arrow_schema::{DataType, Field};

/// What Parquet's own documents call the column within a list.
pub(crate) const ELEMENT: &str = "element";

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

    /// The same as arrow has it. A list's elements are never null.
    pub(crate) fn field(&self) -> Field {
        let list = |kind| DataType::List(Arc::new(Field::new(ELEMENT, kind, false)));
        let kind = match self.kind {
            Kind::Text => DataType::Utf8,
            Kind::Int32 => DataType::Int32,
            Kind::Int64 => DataType::Int64,
            Kind::Float => DataType::Float32,
            Kind::Double => DataType::Float64,
            Kind::Int32s => list(DataType::Int32),
            Kind::Floats => list(DataType::Float32),
        };
        Field::new(&self.name, kind, self.optional || self.kind.is_list())
    }

    /// The column of a file, where it is of a kind that is read.
    pub(crate) fn of(field: &Field) -> Option<Self> {
        let kind = match field.data_type() {
            DataType::Utf8 => Kind::Text,
            DataType::Int32 => Kind::Int32,
            DataType::Int64 => Kind::Int64,
            DataType::Float32 => Kind::Float,
            DataType::Float64 => Kind::Double,
            DataType::List(element) => match element.data_type() {
                DataType::Int32 => Kind::Int32s,
                DataType::Float32 => Kind::Floats,
                _ => return None,
            },
            _ => return None,
        };
        Some(Self { name: field.name().clone(), kind, optional: field.is_nullable() })
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

impl Kind {
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Int32s | Self::Floats)
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

    /// Bytes of its values.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Text(text) => text.len() + size_of::<i32>(),
            Self::Int32(_) | Self::Float(_) => 4,
            Self::Int64(_) | Self::Double(_) => 8,
            Self::Int32s(list) => size_of_val(list.as_slice()),
            Self::Floats(list) => size_of_val(list.as_slice()),
        }
    }
}
