//! Which rows are in a file that [`crate::writer`] wrote? What other writers write is refused where it differs.

use crate::chunk::{PLAIN, ZSTD};
use crate::levels;
use crate::schema::{Cell, Column, Kind};
use crate::thrift::{self, Value};
use crate::writer::MAGIC;

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

fn wrong(why: impl Into<String>) -> ReadError {
    ReadError(why.into())
}

/// The most that a page may unpack to: a row group is cut long before.
const MOST_BYTES: usize = 1 << 30;

/// Reads a whole file.
pub fn read(bytes: &[u8]) -> Result<Table, ReadError> {
    let body = bytes
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_suffix(MAGIC))
        .ok_or_else(|| wrong("it does not begin and end with PAR1"))?;
    let (before, length) = body.split_last_chunk::<4>().ok_or_else(|| wrong("it has no footer"))?;
    let length = u32::from_le_bytes(*length) as usize;
    let start = before.len().checked_sub(length).ok_or_else(|| wrong("its footer is longer than itself"))?;
    let footer = thrift::read(&mut &before[start..]).ok_or_else(|| wrong("its footer is broken"))?;
    let columns = columns(footer.list(2))?;
    let mut rows = Vec::new();
    for group in footer.list(4) {
        let count =
            usize::try_from(group.number(3).unwrap_or(-1)).map_err(|_| wrong("a row group has no length"))?;
        if group.list(1).len() != columns.len() {
            return Err(wrong("a row group lacks a column"));
        }
        let first = rows.len();
        for (column, chunk) in columns.iter().zip(group.list(1)) {
            let cells = cells(bytes, column, chunk)
                .ok_or_else(|| wrong(format!("column `{}` is broken", column.name)))?;
            if cells.len() != count {
                return Err(wrong(format!(
                    "column `{}` has {} rows, its group {count}",
                    column.name,
                    cells.len()
                )));
            }
            for (row, cell) in cells.into_iter().enumerate() {
                match rows.get_mut(first + row) {
                    None => rows.push(vec![cell]),
                    Some(cells) => cells.push(cell),
                }
            }
        }
    }
    if footer.number(3) != i64::try_from(rows.len()).ok() {
        return Err(wrong("its footer counts other rows than it has"));
    }
    let notes = footer.list(5).iter();
    let notes = notes.filter_map(|note| Some((note.text(1)?.to_owned(), note.text(2)?.to_owned()))).collect();
    Ok(Table { columns, rows, notes })
}

fn columns(elements: &[Value]) -> Result<Vec<Column>, ReadError> {
    let mut columns = Vec::new();
    let mut rest = elements.get(1..).unwrap_or_default();
    while let Some((element, after)) = rest.split_first() {
        rest = after;
        let name = element.text(4).ok_or_else(|| wrong("a column has no name"))?.to_owned();
        let unknown = || wrong(format!("column `{name}` has a type that is not read"));
        let is_list = element.number(6) == Some(3);
        let physical = if is_list {
            let inner = rest.get(1).ok_or_else(unknown)?;
            rest = rest.get(2..).unwrap_or_default();
            inner.number(1)
        } else {
            element.number(1)
        };
        let kind = match (physical, is_list) {
            (Some(1), false) => Kind::Int32,
            (Some(1), true) => Kind::Int32s,
            (Some(2), false) => Kind::Int64,
            (Some(4), false) => Kind::Float,
            (Some(4), true) => Kind::Floats,
            (Some(5), false) => Kind::Double,
            (Some(6), false) => Kind::Text,
            _ => return Err(unknown()),
        };
        columns.push(Column { name, kind, optional: element.number(3) == Some(1) });
    }
    Ok(columns)
}

fn cells(file: &[u8], column: &Column, chunk: &Value) -> Option<Vec<Cell>> {
    let about = chunk.field(3)?;
    if about.number(4)? != i64::from(ZSTD) {
        return None;
    }
    let mut page = file.get(usize::try_from(about.number(9)?).ok()?..)?;
    let header = thrift::read(&mut page)?;
    let plain_length = usize::try_from(header.number(2)?).ok().filter(|length| *length <= MOST_BYTES)?;
    let compressed = page.get(..usize::try_from(header.number(3)?).ok()?)?;
    if header.number(4)? != i64::from(crc32fast::hash(compressed).cast_signed()) {
        return None;
    }
    let of_page = header.field(5)?;
    if of_page.number(2)? != i64::from(PLAIN) {
        return None;
    }
    let entries = usize::try_from(of_page.number(1)?).ok()?;
    let plain = zstd::bulk::decompress(compressed, plain_length).ok()?;
    let mut values = plain.as_slice();
    let repetitions =
        if column.kind.is_list() { levels::decode(&mut values, entries)? } else { vec![0; entries] };
    let deepest = column.deepest();
    let definitions = if deepest > 0 { levels::decode(&mut values, entries)? } else { vec![0; entries] };
    let mut cells = Vec::new();
    for (repetition, definition) in repetitions.into_iter().zip(definitions) {
        let there = definition == deepest;
        let cell = match column.kind {
            Kind::Int32s | Kind::Floats if repetition > 0 => {
                match cells.last_mut()? {
                    Cell::Int32s(list) => list.push(i32::from_le_bytes(number(&mut values)?)),
                    Cell::Floats(list) => list.push(f32::from_le_bytes(number(&mut values)?)),
                    _ => return None,
                }
                continue;
            }
            _ if definition == 0 && deepest > 0 => Cell::Null,
            Kind::Text => {
                let length = u32::from_le_bytes(number(&mut values)?) as usize;
                let (text, rest) = values.split_at_checked(length)?;
                values = rest;
                Cell::Text(std::str::from_utf8(text).ok()?.to_owned())
            }
            Kind::Int32 => Cell::Int32(i32::from_le_bytes(number(&mut values)?)),
            Kind::Int64 => Cell::Int64(i64::from_le_bytes(number(&mut values)?)),
            Kind::Float => Cell::Float(f32::from_le_bytes(number(&mut values)?)),
            Kind::Double => Cell::Double(f64::from_le_bytes(number(&mut values)?)),
            Kind::Int32s if there => Cell::Int32s(vec![i32::from_le_bytes(number(&mut values)?)]),
            Kind::Int32s => Cell::Int32s(Vec::new()),
            Kind::Floats if there => Cell::Floats(vec![f32::from_le_bytes(number(&mut values)?)]),
            Kind::Floats => Cell::Floats(Vec::new()),
        };
        cells.push(cell);
    }
    values.is_empty().then_some(cells)
}

fn number<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (number, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*number)
}
