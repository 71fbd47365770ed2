//! A strip or tile as samples of eight bits.

use super::compression::Compression;
use super::directory::Values;
use super::layout::{PHOTOMETRIC, YCC};
use super::samples::{add_up, eight_bits};
use super::{Tiff, damaged};
use crate::Result;
use crate::jpeg::{Colour, Jpeg};
use crate::raster::Raster;

const STRIP_OFFSETS: u16 = 273;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
const JPEG_TABLES: u16 = 347;
const GDAL_NODATA: u16 = 42_113;

/// Samples of eight bits, row by row.
pub(super) struct Chunk {
    samples: Vec<u8>,
    stride: usize,
    /// Samples of a pixel that lie beside each other.
    pub(super) together: usize,
}

impl Chunk {
    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.stride..][..self.stride]
    }
}

impl Tiff<'_> {
    /// One strip or tile of the picture, or of one of its bands.
    pub(super) fn chunk(&self, column: u32, row: u32, plane: usize) -> Result<Chunk> {
        let layout = &self.layout;
        let [width, height] = layout.held(layout.area(column, row));
        let together = layout.together();
        let (row_bytes, rows) = (layout.row_bytes(width), layout.rows(height));
        let Some(packed) = self.packed(layout.index(column, row, plane), layout.whole(column, row))? else {
            let (stride, value) = (width * together, self.nodata());
            let stride = if layout.subsampling.is_some() { row_bytes } else { stride };
            return Ok(Chunk { samples: vec![value; stride * rows], stride, together });
        };
        if layout.compression.is_image() {
            return self.image(packed, column, row);
        }
        let mut bytes = vec![0; row_bytes * rows];
        if layout.reversed {
            let turned = Vec::from_iter(packed.iter().map(|byte| byte.reverse_bits()));
            layout.compression.unpack(&turned, &mut bytes)?;
        } else {
            layout.compression.unpack(packed, &mut bytes)?;
        }
        let order = self.directory.order();
        if layout.differences {
            bytes.chunks_exact_mut(row_bytes).for_each(|row| add_up(row, layout.bits, together, order));
        }
        if layout.bits == 8 {
            return Ok(Chunk { samples: bytes, stride: row_bytes, together });
        }
        let (stride, numbers) = (width * together, self.colour.is_numbers());
        let rows = bytes.chunks_exact(row_bytes);
        let samples = rows.flat_map(|row| eight_bits(row, layout.bits, stride, order, numbers)).collect();
        Ok(Chunk { samples, stride, together })
    }

    /// A strip or tile that is an image of its own.
    fn image(&self, packed: &[u8], column: u32, row: u32) -> Result<Chunk> {
        let layout = &self.layout;
        let area = layout.area(column, row);
        let held = layout.held(area);
        let (found, samples, channels) = if layout.compression == Compression::Jpeg {
            let jpeg = Jpeg::open(self.tables(), packed)?;
            let ycc = self.directory.number(PHOTOMETRIC) == Some(YCC);
            let found = [jpeg.header.width, jpeg.header.height];
            check(found, held, area.height)?;
            let samples = jpeg.decode(if ycc { Colour::Ycc } else { Colour::Samples })?;
            (found, samples, jpeg.header.components as usize)
        } else {
            let image = Raster::open(packed, image::ImageFormat::WebP)?;
            let found = [image.width, image.height];
            check(found, held, area.height)?;
            (found, image.decode()?, 3)
        };
        // Alpha of a WebP was left out.
        if channels != layout.together() && layout.compression == Compression::Jpeg {
            return Err(damaged(format_args!("a JPEG in it has {channels} components")));
        }
        Ok(Chunk { samples, stride: found[0] as usize * channels, together: channels })
    }

    /// What all JPEGs in it share.
    pub(super) fn tables(&self) -> &[u8] {
        let is_read = self.layout.compression == Compression::Jpeg;
        let tables = self.directory.values(JPEG_TABLES).filter(|_| is_read);
        tables.map_or(&[][..], |tables| tables.bytes)
    }

    /// The bytes of a strip or tile as they lie in the file; nothing where it was left out, as sparse files do.
    pub(super) fn packed(&self, index: usize, whole: usize) -> Result<Option<&[u8]>> {
        let list = |tile, strip| self.directory.values(tile).or_else(|| self.directory.values(strip));
        let at = |values: &Values<'_>| values.unsigned(index);
        let missing = || damaged(format_args!("it has no place of strip or tile {index}"));
        let offset = list(TILE_OFFSETS, STRIP_OFFSETS).and_then(at).ok_or_else(missing)?;
        let lengths = list(TILE_LENGTHS, STRIP_LENGTHS);
        let bytes = match lengths.map(at) {
            Some(Some(0)) => return Ok(None),
            Some(Some(length)) => self.directory.bytes(offset, length),
            Some(None) => return Err(missing()),
            None if self.layout.compression == Compression::None => {
                self.directory.bytes(offset, whole as u64)
            }
            None => self.directory.rest(offset),
        };
        let (is_listed, layout) = (lengths.is_some(), &self.layout);
        let most = match layout.compression {
            Compression::None => whole,
            // Where an image ends is said in it.
            _ if is_listed || layout.compression.is_image() => usize::MAX,
            _ => self.longest_packed(whole),
        };
        match bytes {
            Some(bytes) => Ok(Some(&bytes[..bytes.len().min(most)])),
            None => Err(damaged(format_args!("strip or tile {index} does not lie in the file"))),
        }
    }

    /// What stands in for a strip or tile that was left out.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is clamped to a byte first"
    )]
    fn nodata(&self) -> u8 {
        let said =
            self.directory.values(GDAL_NODATA).and_then(|values| values.text().trim().parse::<f64>().ok());
        said.filter(|_| self.layout.bits == 8).map_or(0, |value| value.clamp(0.0, 255.0) as u8)
    }
}

/// An image in a strip or tile is as wide as it, and covers what the picture has of it.
fn check(found: [u32; 2], held: [usize; 2], needed: usize) -> Result<()> {
    let [width, height] = found.map(|side| side as usize);
    if width == held[0] && (needed..=held[1].max(needed)).contains(&height) {
        return Ok(());
    }
    let [wide, high] = held;
    Err(damaged(format_args!("an image of {width} × {height} is in a strip or tile of {wide} × {high}")))
}
