//! How do cells become a column of arrow's?

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_array::builder::{
    Float32Builder, Float64Builder, Int32Builder, Int64Builder, ListBuilder, StringBuilder,
};
use arrow_schema::{DataType, Field};

use crate::schema::{Cell, ELEMENT, Kind};

/// A column that grows by a cell at a time.
#[derive(Debug)]
pub(crate) enum Build {
    Text(StringBuilder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float(Float32Builder),
    Double(Float64Builder),
    Int32s(ListBuilder<Int32Builder>),
    Floats(ListBuilder<Float32Builder>),
}

impl Build {
    pub(crate) fn new(kind: Kind) -> Self {
        let element = |kind| Arc::new(Field::new(ELEMENT, kind, false));
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Int32 => Self::Int32(Int32Builder::new()),
            Kind::Int64 => Self::Int64(Int64Builder::new()),
            Kind::Float => Self::Float(Float32Builder::new()),
            Kind::Double => Self::Double(Float64Builder::new()),
            Kind::Int32s => {
                Self::Int32s(ListBuilder::new(Int32Builder::new()).with_field(element(DataType::Int32)))
            }
            Kind::Floats => {
                Self::Floats(ListBuilder::new(Float32Builder::new()).with_field(element(DataType::Float32)))
            }
        }
    }

    /// Adds a cell that fits the column: any other is a null.
    pub(crate) fn push(&mut self, cell: &Cell) {
        match (self, cell) {
            (Self::Text(build), Cell::Text(text)) => build.append_value(text),
            (Self::Text(build), _) => build.append_null(),
            (Self::Int32(build), Cell::Int32(number)) => build.append_value(*number),
            (Self::Int32(build), _) => build.append_null(),
            (Self::Int64(build), Cell::Int64(number)) => build.append_value(*number),
            (Self::Int64(build), _) => build.append_null(),
            (Self::Float(build), Cell::Float(number)) => build.append_value(*number),
            (Self::Float(build), _) => build.append_null(),
            (Self::Double(build), Cell::Double(number)) => build.append_value(*number),
            (Self::Double(build), _) => build.append_null(),
            (Self::Int32s(build), Cell::Int32s(list)) => {
                build.values().append_slice(list);
                build.append(true);
            }
            (Self::Int32s(build), _) => build.append(false),
            (Self::Floats(build), Cell::Floats(list)) => {
                build.values().append_slice(list);
                build.append(true);
            }
            (Self::Floats(build), _) => build.append(false),
        }
    }

    /// The column so far; the next one begins empty.
    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(build) => Arc::new(build.finish()),
            Self::Int32(build) => Arc::new(build.finish()),
            Self::Int64(build) => Arc::new(build.finish()),
            Self::Float(build) => Arc::new(build.finish()),
            Self::Double(build) => Arc::new(build.finish()),
            Self::Int32s(build) => Arc::new(build.finish()),
            Self::Floats(build) => Arc::new(build.finish()),
        }
    }
}
