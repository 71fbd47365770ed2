//! How rows become a file.

use crate::chunk::{Chunk, PLAIN, Page, RLE, ZSTD};
use crate::schema::{Cell, Column, Kind};
use crate::thrift::Writer;

pub(crate) const MAGIC: &[u8; 4] = b"PAR1";
const VERSION: i32 = 1;
/// `parquet.thrift`: `FieldRepetitionType`.
const REQUIRED: i32 = 0;
const OPTIONAL: i32 = 1;
const REPEATED: i32 = 2;
/// `parquet.thrift`: `ConvertedType`, for readers from before logical types.
const UTF8: i32 = 0;
const LIST: i32 = 3;

/// A row or a file that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// A row does not fit the columns.
    #[error("row {row} does not fit column `{column}`")]
    Row {
        /// Its number, from 0.
        row: usize,
        /// The first column that it does not fit.
        column: String,
    },
    /// A row has more or fewer cells than there are columns.
    #[error("row {row} has {found} cells, the table has {wanted} columns")]
    Cells {
        /// Its number, from 0.
        row: usize,
        /// Its cells.
        found: usize,
        /// The columns.
        wanted: usize,
    },
    /// A column could not be compressed.
    #[error("failed to write column `{column}`")]
    Column {
        /// Its name.
        column: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Writes a table into memory.
#[derive(Debug)]
pub struct TableWriter {
    columns: Vec<Column>,
    notes: Vec<(String, String)>,
    group_bytes: usize,
    chunks: Vec<Chunk>,
    rows_in_group: usize,
    rows: usize,
    groups: Vec<Group>,
    file: Vec<u8>,
}

#[derive(Debug)]
struct Group {
    rows: usize,
    pages: Vec<Placed>,
}

#[derive(Debug)]
struct Placed {
    offset: usize,
    entries: usize,
    bytes: usize,
    plain_bytes: usize,
}

impl TableWriter {
    /// A table with these columns; a row group ends once its values take `group_bytes` before compression.
    pub fn new(columns: Vec<Column>, group_bytes: usize) -> Self {
        let chunks = Vec::from_iter(columns.iter().map(|_| Chunk::default()));
        Self {
            columns,
            notes: Vec::new(),
            group_bytes,
            chunks,
            rows_in_group: 0,
            rows: 0,
            groups: Vec::new(),
            file: MAGIC.to_vec(),
        }
    }

    /// Adds a pair to the file's key-value metadata.
    pub fn note(&mut self, key: &str, value: &str) {
        self.notes.push((key.to_owned(), value.to_owned()));
    }

    /// Adds a row: a cell for each column.
    pub fn push(&mut self, row: &[Cell]) -> Result<(), WriteError> {
        if row.len() != self.columns.len() {
            return Err(WriteError::Cells { row: self.rows, found: row.len(), wanted: self.columns.len() });
        }
        if let Some((column, _)) = self.columns.iter().zip(row).find(|(column, cell)| !cell.fits(column)) {
            return Err(WriteError::Row { row: self.rows, column: column.name.clone() });
        }
        for ((column, cell), chunk) in self.columns.iter().zip(row).zip(&mut self.chunks) {
            chunk.push(column, cell);
        }
        self.rows += 1;
        self.rows_in_group += 1;
        if self.chunks.iter().map(Chunk::bytes).sum::<usize>() >= self.group_bytes {
            self.end_group()?;
        }
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The file.
    pub fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        if self.rows_in_group > 0 {
            self.end_group()?;
        }
        let footer = self.footer();
        self.file.extend_from_slice(&footer);
        self.file.extend_from_slice(&u32::try_from(footer.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.file.extend_from_slice(MAGIC);
        Ok(self.file)
    }

    fn end_group(&mut self) -> Result<(), WriteError> {
        let mut pages = Vec::new();
        for (column, chunk) in self.columns.iter().zip(&mut self.chunks) {
            let failed = |source| WriteError::Column { column: column.name.clone(), source };
            let Page { bytes, entries, plain_bytes } =
                std::mem::take(chunk).into_page(column).map_err(failed)?;
            pages.push(Placed { offset: self.file.len(), entries, bytes: bytes.len(), plain_bytes });
            self.file.extend_from_slice(&bytes);
        }
        self.groups.push(Group { rows: self.rows_in_group, pages });
        self.rows_in_group = 0;
        Ok(())
    }

    /// `parquet.thrift`: `FileMetaData`.
    fn footer(&self) -> Vec<u8> {
        let elements = Vec::from_iter(self.columns.iter().flat_map(elements));
        Writer::structure(|file| {
            file.i32(1, VERSION);
            let root = Element { name: "schema", children: self.columns.len(), ..Element::default() };
            let all = Vec::from_iter(std::iter::once(root).chain(elements));
            file.structs(2, &all, |writer, element| element.write(writer));
            file.i64(3, as_i64(self.rows));
            file.structs(4, &self.groups, |writer, group| self.group(writer, group));
            if !self.notes.is_empty() {
                file.structs(5, &self.notes, |note, (key, value)| {
                    note.text(1, key);
                    note.text(2, value);
                });
            }
            file.text(6, concat!("gpu-harness version ", env!("CARGO_PKG_VERSION")));
        })
    }

    /// `parquet.thrift`: `RowGroup`.
    fn group(&self, writer: &mut Writer, group: &Group) {
        let columns = Vec::from_iter(self.columns.iter().zip(&group.pages));
        writer.structs(1, &columns, |chunk, (column, page)| {
            chunk.i64(2, 0);
            chunk.inside(3, |about| {
                about.i32(1, column.kind.physical() as i32);
                about.i32s(2, &[PLAIN, RLE]);
                if column.kind.is_list() {
                    about.texts(3, &[&column.name, "list", "element"]);
                } else {
                    about.texts(3, &[&column.name]);
                }
                about.i32(4, ZSTD);
                about.i64(5, as_i64(page.entries));
                about.i64(6, as_i64(page.plain_bytes));
                about.i64(7, as_i64(page.bytes));
                about.i64(9, as_i64(page.offset));
            });
        });
        let total = |of: fn(&Placed) -> usize| as_i64(group.pages.iter().map(of).sum());
        writer.i64(2, total(|page| page.plain_bytes));
        writer.i64(3, as_i64(group.rows));
        writer.i64(5, group.pages.first().map_or(0, |page| as_i64(page.offset)));
        writer.i64(6, total(|page| page.bytes));
    }
}

fn as_i64(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// `parquet.thrift`: `SchemaElement`.
#[derive(Debug, Default)]
struct Element<'a> {
    name: &'a str,
    physical: Option<i32>,
    repetition: Option<i32>,
    children: usize,
    converted: Option<i32>,
}

impl Element<'_> {
    fn write(&self, writer: &mut Writer) {
        if let Some(physical) = self.physical {
            writer.i32(1, physical);
        }
        if let Some(repetition) = self.repetition {
            writer.i32(3, repetition);
        }
        writer.text(4, self.name);
        if self.children > 0 {
            writer.i32(5, i32::try_from(self.children).unwrap_or(i32::MAX));
        }
        if let Some(converted) = self.converted {
            writer.i32(6, converted);
            // LogicalType: STRING is its first variant, LIST its third.
            writer.inside(10, |logical| logical.inside(if converted == UTF8 { 1 } else { 3 }, |_| ()));
        }
    }
}

fn elements(column: &Column) -> Vec<Element<'_>> {
    let physical = Some(column.kind.physical() as i32);
    let repetition = Some(if column.optional || column.kind.is_list() { OPTIONAL } else { REQUIRED });
    if column.kind.is_list() {
        return vec![
            Element { name: &column.name, repetition, children: 1, converted: Some(LIST), physical: None },
            Element { name: "list", repetition: Some(REPEATED), children: 1, ..Element::default() },
            Element { name: "element", physical, repetition: Some(REQUIRED), ..Element::default() },
        ];
    }
    let converted = (column.kind == Kind::Text).then_some(UTF8);
    vec![Element { name: &column.name, physical, repetition, children: 0, converted }]
}
