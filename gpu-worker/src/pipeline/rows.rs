//! Predictions as rows of a table.

use gpu_shards::{Cell, Column, Kind};
use gpu_stores::Object;
use gpu_suites::spec::Output;

use super::picture::About;

const MOST_ERROR: usize = 500;

pub(super) struct Row {
    pub(super) input: usize,
    about: Option<About>,
    said: Result<Prediction, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Prediction {
    /// The likeliest classes with their probabilities.
    Classes { classes: Vec<i32>, scores: Vec<f32> },
    /// The numbers as they are.
    Embedding(Vec<f32>),
    /// Lengths of runs, down the columns, of background and foreground in turn (COCO's uncompressed RLE).
    Mask { width: i32, height: i32, counts: Vec<i32> },
}

impl Row {
    pub(super) fn predicted(input: usize, about: About, prediction: Prediction) -> Self {
        Self { input, about: Some(about), said: Ok(prediction) }
    }

    pub(super) fn failed(input: usize, about: Option<About>, why: &str) -> Self {
        let why = why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST_ERROR).collect();
        Self { input, about, said: Err(why) }
    }

    pub(super) fn is_error(&self) -> bool {
        self.said.is_err()
    }

    /// The cells, in the order of [`columns`].
    pub(super) fn cells(&self, object: &Object, output: Output) -> Vec<Cell> {
        let side = |side: u32| Cell::Int32(i32::try_from(side).unwrap_or(i32::MAX));
        let geo = self.about.and_then(|about| about.geo);
        let place = |number: Option<f64>| number.map_or(Cell::Null, Cell::Double);
        let origin = geo.and_then(|geo| geo.place).map(|place| place.origin);
        let pixel = geo.and_then(|geo| geo.place).map(|place| place.pixel);
        let mut cells = vec![
            Cell::Text(object.key.clone()),
            if object.etag.is_empty() { Cell::Null } else { Cell::Text(object.etag.clone()) },
            Cell::Int64(i64::try_from(object.size).unwrap_or(i64::MAX)),
            self.about.map_or(Cell::Null, |about| side(about.width)),
            self.about.map_or(Cell::Null, |about| side(about.height)),
            place(origin.map(|[x, _]| x)),
            place(origin.map(|[_, y]| y)),
            place(pixel.map(|[width, _]| width)),
            place(pixel.map(|[_, height]| height)),
            geo.and_then(|geo| geo.epsg).map_or(Cell::Null, Cell::Int32),
            self.said.as_ref().err().map_or(Cell::Null, |why| Cell::Text(why.clone())),
        ];
        match (&self.said, output) {
            (Ok(Prediction::Classes { classes, scores }), Output::Classify) => {
                cells.extend([Cell::Int32s(classes.clone()), Cell::Floats(scores.clone())]);
            }
            (Ok(Prediction::Embedding(numbers)), Output::Embed) => cells.push(Cell::Floats(numbers.clone())),
            (Ok(Prediction::Mask { width, height, counts }), Output::Segment) => {
                cells.extend([Cell::Int32(*width), Cell::Int32(*height), Cell::Int32s(counts.clone())]);
            }
            _ => cells.resize(columns(output).len(), Cell::Null),
        }
        cells
    }
}

/// The columns of the table; docs/pipeline.md says what they hold.
pub(super) fn columns(output: Output) -> Vec<Column> {
    let mut columns = vec![
        Column::required("key", Kind::Text),
        Column::optional("etag", Kind::Text),
        Column::required("size", Kind::Int64),
        Column::optional("width", Kind::Int32),
        Column::optional("height", Kind::Int32),
        Column::optional("origin_x", Kind::Double),
        Column::optional("origin_y", Kind::Double),
        Column::optional("pixel_width", Kind::Double),
        Column::optional("pixel_height", Kind::Double),
        Column::optional("epsg", Kind::Int32),
        Column::optional("error", Kind::Text),
    ];
    columns.extend(match output {
        Output::Classify => {
            vec![Column::optional("classes", Kind::Int32s), Column::optional("scores", Kind::Floats)]
        }
        Output::Embed => vec![Column::optional("embedding", Kind::Floats)],
        Output::Segment => vec![
            Column::optional("mask_width", Kind::Int32),
            Column::optional("mask_height", Kind::Int32),
            Column::optional("mask_counts", Kind::Int32s),
        ],
    });
    columns
}

/// Lengths of runs of a mask that lies row by row, counted down its columns, background first.
pub(super) fn runs(mask: &[u8], width: usize, height: usize) -> Vec<i32> {
    let mut counts = Vec::new();
    let (mut value, mut length) = (false, 0i32);
    for x in 0..width {
        for y in 0..height {
            let here = mask[y * width + x] != 0;
            if here != value {
                counts.push(length);
                (value, length) = (here, 0);
            }
            length += 1;
        }
    }
    counts.push(length);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_go_down_the_columns_and_begin_with_background() {
        // 1 0
        // 1 1
        // 0 1
        assert_eq!(runs(&[1, 0, 1, 1, 0, 1], 2, 3), [0, 2, 2, 2]);
        assert_eq!(runs(&[0; 6], 2, 3), [6]);
        assert_eq!(runs(&[1; 6], 2, 3), [0, 6]);
    }

    #[test]
    fn a_row_has_a_cell_for_each_column_whatever_became_of_it() {
        let object = Object { key: "a".into(), size: 1, etag: String::new() };
        let about = About { width: 2, height: 3, geo: None };
        let classes = Prediction::Classes { classes: vec![1], scores: vec![0.5] };
        for output in [Output::Classify, Output::Embed, Output::Segment] {
            for row in [Row::failed(0, None, "b\nad"), Row::predicted(0, about, classes.clone())] {
                assert_eq!(row.cells(&object, output).len(), columns(output).len());
            }
        }
        assert_eq!(
            Row::failed(0, None, "b\nad").cells(&object, Output::Embed)[10],
            Cell::Text("b ad".into())
        );
    }
}
