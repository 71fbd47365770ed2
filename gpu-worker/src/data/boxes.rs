//! Boxes of what is on an image, from a CSV file.

use std::path::Path;

use crate::error::{Result, WorkerError};

/// A box in pixels of the image: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rect {
    pub(crate) xmin: f64,
    pub(crate) ymin: f64,
    pub(crate) xmax: f64,
    pub(crate) ymax: f64,
}

const COLUMNS: [&str; 4] = ["xmin", "ymin", "xmax", "ymax"];

impl Rect {
    pub(crate) fn centre(self) -> (f64, f64) {
        (f64::midpoint(self.xmin, self.xmax), f64::midpoint(self.ymin, self.ymax))
    }

    pub(crate) fn longer_side(self) -> f64 {
        (self.xmax - self.xmin).max(self.ymax - self.ymin)
    }

    /// The same box on an image that is `factor_x` times as wide and `factor_y` times as high.
    pub(crate) fn scaled(self, factor_x: f64, factor_y: f64) -> Self {
        Self {
            xmin: self.xmin * factor_x,
            ymin: self.ymin * factor_y,
            xmax: self.xmax * factor_x,
            ymax: self.ymax * factor_y,
        }
    }

    pub(crate) fn overlap(self, other: Self) -> f64 {
        let width = self.xmax.min(other.xmax) - self.xmin.max(other.xmin);
        let height = self.ymax.min(other.ymax) - self.ymin.max(other.ymin);
        width.max(0.0) * height.max(0.0)
    }
}

/// Reads the boxes of a CSV file with a header; other columns than xmin, ymin, xmax and ymax are ignored. Each has to lie on the
/// image, whose width and height are `on`: a box at its edge may reach beyond it, and one beside it belongs to something else.
pub(crate) fn read(path: &Path, on: [u32; 2]) -> Result<Vec<Rect>> {
    let unreadable = |cause: String| WorkerError::Boxes { path: path.to_owned(), cause };
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .map_err(|error| unreadable(error.to_string()))?;
    let header = reader.headers().map_err(|error| unreadable(error.to_string()))?.clone();
    let column = |name: &str| {
        header.iter().position(|found| found.eq_ignore_ascii_case(name)).ok_or_else(|| {
            unreadable(format!(
                "its header has no column `{name}` but {}",
                header.iter().collect::<Vec<_>>().join(", ")
            ))
        })
    };
    let columns = [column(COLUMNS[0])?, column(COLUMNS[1])?, column(COLUMNS[2])?, column(COLUMNS[3])?];
    let mut boxes = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| match error.position().map(csv::Position::line) {
            Some(line) => wrong_line(path, line, &error.to_string()),
            None => unreadable(error.to_string()),
        })?;
        let line = record.position().map_or(0, csv::Position::line);
        let rect = rect(&record, columns).and_then(|rect| lies_on(rect, on).map(|()| rect));
        boxes.push(rect.map_err(|cause| wrong_line(path, line, &cause))?);
    }
    if boxes.is_empty() {
        return Err(unreadable("it has a header and no box".into()));
    }
    Ok(boxes)
}

fn wrong_line(path: &Path, line: u64, cause: &str) -> WorkerError {
    WorkerError::BoxesLine { path: path.to_owned(), line, cause: cause.to_owned() }
}

/// Less of a box than this on the image, and it is not the image's.
const ON_IT: f64 = 0.5;

fn lies_on(rect: Rect, on: [u32; 2]) -> std::result::Result<(), String> {
    let [width, height] = on.map(f64::from);
    let Rect { xmin, ymin, xmax, ymax } = rect;
    let (across, down) = (xmax - xmin, ymax - ymin);
    let of = |width: f64, height: f64| {
        rect.overlap(Rect { xmin: 0.0, ymin: 0.0, xmax: width, ymax: height }) / (across * down)
    };
    if across < 1.0 || down < 1.0 {
        return Err(format!(
            "the box {xmin},{ymin},{xmax},{ymax} is less than a pixel: are these shares of the image, or metres?"
        ));
    }
    if of(width, height) >= ON_IT {
        return Ok(());
    }
    let swapped = if of(height, width) >= ON_IT { ": are x and y swapped?" } else { "" };
    Err(format!(
        "the box {xmin},{ymin},{xmax},{ymax} lies beside the image of {width} × {height} pixels{swapped}"
    ))
}

fn rect(record: &csv::StringRecord, columns: [usize; 4]) -> std::result::Result<Rect, String> {
    let mut sides = [0.0_f64; 4];
    for ((side, column), name) in sides.iter_mut().zip(columns).zip(COLUMNS) {
        let text = record.get(column).unwrap_or_default();
        *side = text.parse().map_err(|_| format!("`{name}` is `{text}` and not a number"))?;
        if !side.is_finite() {
            return Err(format!("`{name}` is `{text}` and not a finite number"));
        }
    }
    let [xmin, ymin, xmax, ymax] = sides;
    if xmax <= xmin || ymax <= ymin {
        return Err(format!(
            "the box {xmin},{ymin},{xmax},{ymax} is empty: xmax and ymax must be the larger ones"
        ));
    }
    Ok(Rect { xmin, ymin, xmax, ymax })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Rect>> {
        let path = std::env::temp_dir().join(format!("boxes-{}-{:p}.csv", std::process::id(), text.as_ptr()));
        std::fs::write(&path, text).unwrap();
        let read = read(&path, [400, 100]);
        std::fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn columns_are_found_by_name() {
        let boxes = read_text("image_path,xmin,ymin,xmax,ymax,label\na.tif,203,67,227,90,Tree\n").unwrap();
        assert_eq!(boxes, [Rect { xmin: 203.0, ymin: 67.0, xmax: 227.0, ymax: 90.0 }]);
    }

    #[test]
    fn a_box_at_the_edge_may_reach_beyond_it() {
        let boxes = read_text("xmin,ymin,xmax,ymax\n-2,-3,18,20\n390,90,404,103\n").unwrap();
        assert_eq!(boxes.len(), 2);
    }

    #[test]
    fn a_bad_line_is_named_with_its_number() {
        for (text, wanted) in [
            ("xmin,ymin,xmax,ymax\n1,2,3,4\n1,x,3,4\n", "line 3: `ymin` is `x` and not a number"),
            ("xmin,ymin,xmax,ymax\n5,2,3,4\n", "line 2: the box 5,2,3,4 is empty"),
            ("xmin,ymin,xmax,ymax\n1,2,3\n", "line 2: "),
            ("xmin,ymin,xmax,ymax\n1,2,3,NaN\n", "line 2: `ymax` is `NaN`"),
            (
                "xmin,ymin,xmax,ymax\n10,10,20,20\n500,10,520,20\n",
                "line 3: the box 500,10,520,20 lies beside the image of 400 × 100",
            ),
            ("xmin,ymin,xmax,ymax\n-30,10,-5,20\n", "line 2: the box -30,10,-5,20 lies beside"),
            (
                "xmin,ymin,xmax,ymax\n10,150,30,190\n",
                "line 2: the box 10,150,30,190 lies beside the image of 400 × 100 pixels: are x and y swapped?",
            ),
            (
                "xmin,ymin,xmax,ymax\n0.1,0.2,0.3,0.4\n",
                "line 2: the box 0.1,0.2,0.3,0.4 is less than a pixel",
            ),
            ("xmin,ymin,xmax\n1,2,3\n", "no column `ymax` but xmin, ymin, xmax"),
            ("xmin,ymin,xmax,ymax\n", "a header and no box"),
            ("", "no column `xmin`"),
        ] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{text:?}: {error}");
        }
    }
}
