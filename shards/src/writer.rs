//! How do rows become a file?

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use crate::build::Build;
use crate::schema::{Cell, Column};

/// Bytes of cells that wait to be written together.
const BATCH_BYTES: usize = 4 << 20;

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
    /// Columns could not be made.
    #[error("failed to make columns of the rows before row {row}")]
    Columns {
        /// The first that was not among them.
        row: usize,
        /// Why.
        #[source]
        source: ArrowError,
    },
    /// The file could not be made.
    #[error("failed to write the rows before row {row}")]
    File {
        /// The first that was not among them.
        row: usize,
        /// Why.
        #[source]
        source: ParquetError,
    },
}

/// Writes a table into memory: zstd, plain values, and of the first column the least and the greatest value of each
/// group, for readers that look for a key.
#[derive(Debug)]
pub struct TableWriter {
    columns: Vec<Column>,
    schema: SchemaRef,
    builds: Vec<Build>,
    batch_bytes: usize,
    group_bytes: usize,
    rows: usize,
    file: Option<ArrowWriter<Vec<u8>>>,
    notes: Vec<KeyValue>,
}

impl TableWriter {
    /// A table with these columns; a row group ends once it takes about `group_bytes`.
    pub fn new(columns: Vec<Column>, group_bytes: usize) -> Self {
        let schema = Schema::new(Vec::from_iter(columns.iter().map(Column::field)));
        let builds = Vec::from_iter(columns.iter().map(|column| Build::new(column.kind)));
        Self {
            columns,
            schema: Arc::new(schema),
            builds,
            batch_bytes: 0,
            group_bytes,
            rows: 0,
            file: None,
            notes: Vec::new(),
        }
    }

    /// Adds a pair to the file's key-value metadata.
    pub fn note(&mut self, key: &str, value: &str) {
        self.notes.push(KeyValue { key: key.to_owned(), value: Some(value.to_owned()) });
    }

    /// Adds a row: a cell for each column.
    pub fn push(&mut self, row: &[Cell]) -> Result<(), WriteError> {
        if row.len() != self.columns.len() {
            return Err(WriteError::Cells { row: self.rows, found: row.len(), wanted: self.columns.len() });
        }
        if let Some((column, _)) = self.columns.iter().zip(row).find(|(column, cell)| !cell.fits(column)) {
            return Err(WriteError::Row { row: self.rows, column: column.name.clone() });
        }
        for (build, cell) in self.builds.iter_mut().zip(row) {
            build.push(cell);
        }
        self.rows += 1;
        self.batch_bytes += row.iter().map(Cell::bytes).sum::<usize>();
        if self.batch_bytes >= BATCH_BYTES.min(self.group_bytes) {
            self.end_batch()?;
        }
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The file.
    pub fn finish(mut self) -> Result<Vec<u8>, WriteError> {
        self.end_batch()?;
        let row = self.rows;
        let wrong = |source| WriteError::File { row, source };
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.begin().map_err(wrong)?,
        };
        for note in self.notes {
            file.append_key_value_metadata(note);
        }
        file.into_inner().map_err(wrong)
    }

    fn begin(&self) -> Result<ArrowWriter<Vec<u8>>, ParquetError> {
        let properties = WriterProperties::builder()
            .set_created_by(concat!("gpu-harness version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_dictionary_enabled(false)
            .set_max_row_group_row_count(None)
            .set_max_row_group_bytes(Some(self.group_bytes))
            .set_offset_index_disabled(true)
            .set_statistics_enabled(EnabledStatistics::None);
        let properties = match self.columns.first() {
            Some(key) => properties.set_column_statistics_enabled(
                ColumnPath::new(vec![key.name.clone()]),
                EnabledStatistics::Chunk,
            ),
            None => properties,
        };
        let options = ArrowWriterOptions::new()
            .with_properties(properties.build())
            // Parquet's own types say all that these columns are.
            .with_skip_arrow_metadata(true);
        ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&self.schema), options)
    }

    fn end_batch(&mut self) -> Result<(), WriteError> {
        if self.batch_bytes == 0 && self.rows == 0 {
            return Ok(());
        }
        let row = self.rows;
        let arrays = Vec::from_iter(self.builds.iter_mut().map(Build::finish));
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|source| WriteError::Columns { row, source })?;
        self.batch_bytes = 0;
        let wrong = |source| WriteError::File { row, source };
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.begin().map_err(wrong)?,
        };
        file.write(&batch).map_err(wrong)?;
        self.file = Some(file);
        Ok(())
    }
}
