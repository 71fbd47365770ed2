//! TIFFs as GDAL and Pillow read them: the bands as they are, as eight bits, in the order of the file's rows.

mod chunk;
mod colour;
mod compression;
pub(crate) mod directory;
mod layout;
mod samples;
mod work;
mod ycc;

use self::colour::Colour;
use self::directory::Directory;
use self::layout::Layout;
use super::{Result, Unusable};

/// The picture of a TIFF.
pub(super) struct Tiff<'a> {
    directory: Directory<'a>,
    layout: Layout,
    colour: Colour,
}

/// A part of the picture that one strip or tile holds, in pixels.
#[derive(Debug, Clone, Copy)]
struct Area {
    left: usize,
    top: usize,
    width: usize,
    height: usize,
}

impl<'a> Tiff<'a> {
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self> {
        let directory = Directory::of_first_page(bytes)?;
        let layout = Layout::of(&directory)?;
        let colour = Colour::of(&directory, &layout)?;
        Ok(Self { directory, layout, colour })
    }

    pub(super) fn width(&self) -> u32 {
        self.layout.width
    }

    pub(super) fn height(&self) -> u32 {
        self.layout.height
    }

    /// Bytes that decoding takes besides the picture: one strip or tile in all of its bands.
    pub(super) fn memory(&self) -> u64 {
        self.layout.chunk_memory()
    }

    /// Strips or tiles that show the same pixels.
    fn planes(&self) -> usize {
        if self.layout.planar { self.colour.bands() } else { 1 }
    }

    pub(super) fn decode(&self) -> Result<Vec<u8>> {
        self.check_work()?;
        let (width, height) = (self.layout.width as usize, self.layout.height as usize);
        let mut pixels = vec![0; 3 * width * height];
        for row in 0..self.layout.down() {
            for column in 0..self.layout.across() {
                let area = self.layout.area(column, row);
                let planes = (0..self.planes()).map(|plane| self.chunk(column, row, plane));
                let planes = planes.collect::<Result<Vec<_>>>()?;
                let lines = pixels.chunks_exact_mut(3 * width).skip(area.top).take(area.height);
                for (y, line) in lines.enumerate() {
                    let line = &mut line[3 * area.left..3 * (area.left + area.width)];
                    self.colour.paint(&planes, y, line);
                }
            }
        }
        Ok(pixels)
    }
}

fn damaged(how: impl std::fmt::Display) -> Unusable {
    Unusable(format!("the TIFF is damaged or cut off: {how}"))
}

fn unsupported(what: impl std::fmt::Display) -> Unusable {
    Unusable(format!("not supported: a TIFF with {what}"))
}
