//! Which rows are in a file? Files of other columns than [`crate::schema`] knows are refused.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use crate::schema::{Cell, Column, Kind};

/// A file that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a whole Parquet file of this kind: {0}")]
pub struct ReadError(String);

/// A table in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, a cell for each column.
    pub rows: Vec<Vec<Cell>>,
    /// The file's key-value metadata.
    pub notes: Vec<(String, String)>,
}

impl Table {
    /// Where a column is.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "`map_err` hands errors over by value")]
fn wrong(why: impl ToString) -> ReadError {
    ReadError(why.to_string())
}

/// Reads a whole file.
pub fn read(bytes: &[u8]) -> Result<Table, ReadError> {
    let bytes = Bytes::copy_from_slice(bytes);
    // The decoders take lengths in a file at their word: what is damaged may end one in the middle of its work.
    catch_unwind(AssertUnwindSafe(|| read_whole(bytes)))
        .unwrap_or_else(|_| Err(wrong("it is damaged where it can be seen only by reading it")))
}

fn read_whole(bytes: Bytes) -> Result<Table, ReadError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options).map_err(wrong)?;
    let about = reader.metadata().file_metadata();
    let counted = about.num_rows();
    let notes = about.key_value_metadata().into_iter().flatten();
    let notes = notes.filter_map(|note| Some((note.key.clone(), note.value.clone()?))).collect();
    let columns = reader.schema().fields().iter().map(|field| {
        Column::of(field)
            .ok_or_else(|| wrong(format!("column `{}` has a type that is not read", field.name())))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let mut rows = Vec::new();
    for batch in reader.build().map_err(wrong)? {
        let batch = batch.map_err(wrong)?;
        let first = rows.len();
        rows.extend((0..batch.num_rows()).map(|_| Vec::with_capacity(columns.len())));
        for (column, array) in columns.iter().zip(batch.columns()) {
            let cells = cells(column.kind, array);
            for (row, cell) in rows[first..].iter_mut().zip(cells) {
                row.push(cell);
            }
        }
    }
    if usize::try_from(counted) != Ok(rows.len()) || rows.iter().any(|row| row.len() != columns.len()) {
        return Err(wrong("its footer counts other rows than it has"));
    }
    Ok(Table { columns, rows, notes })
}

fn cells(kind: Kind, array: &ArrayRef) -> Vec<Cell> {
    let all = 0..array.len();
    let of = |cell: &dyn Fn(usize) -> Cell| {
        Vec::from_iter(all.map(|row| if array.is_null(row) { Cell::Null } else { cell(row) }))
    };
    match kind {
        Kind::Text => of(&|row| Cell::Text(array.as_string::<i32>().value(row).to_owned())),
        Kind::Int32 => of(&|row| Cell::Int32(array.as_primitive::<Int32Type>().value(row))),
        Kind::Int64 => of(&|row| Cell::Int64(array.as_primitive::<Int64Type>().value(row))),
        Kind::Float => of(&|row| Cell::Float(array.as_primitive::<Float32Type>().value(row))),
        Kind::Double => of(&|row| Cell::Double(array.as_primitive::<Float64Type>().value(row))),
        Kind::Int32s => of(&|row| Cell::Int32s(list::<Int32Type>(array, row))),
        Kind::Floats => of(&|row| Cell::Floats(list::<Float32Type>(array, row))),
    }
}

fn list<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> Vec<T::Native> {
    array.as_list::<i32>().value(row).as_primitive::<T>().values().to_vec()
}
