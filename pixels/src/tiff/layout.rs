//! How a TIFF's samples lie in the file: their width, and the strips or tiles that they are in.

use super::compression::Compression;
use super::directory::Directory;
use super::{Area, damaged, unsupported};
use crate::Result;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const BITS: u16 = 258;
const COMPRESSION: u16 = 259;
pub(super) const PHOTOMETRIC: u16 = 262;
const FILL_ORDER: u16 = 266;
const SAMPLES: u16 = 277;
const ROWS_PER_STRIP: u16 = 278;
const PLANAR: u16 = 284;
const PREDICTOR: u16 = 317;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const SAMPLE_FORMAT: u16 = 339;
const SUBSAMPLING: u16 = 530;
/// Of PHOTOMETRIC.
pub(super) const YCC: u64 = 6;
/// Samples of a pixel that are still a picture.
const MOST_SAMPLES: u64 = 65_535;

/// Pixels of tiles outside of the picture that are unpacked all the same: the tile of a small picture may be large.
const MOST_OUTSIDE: u64 = 1 << 26;

/// How the samples lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) width: u32,
    pub(super) height: u32,
    /// Of a sample: 1 to 16.
    pub(super) bits: usize,
    /// Of a pixel.
    pub(super) samples: usize,
    /// Whether each band has strips or tiles of its own.
    pub(super) planar: bool,
    pub(super) compression: Compression,
    /// Whether samples are differences from their left neighbours.
    pub(super) differences: bool,
    /// Whether each byte's lowest bit comes first.
    pub(super) reversed: bool,
    /// Pixels across and down for each pair of colour differences, of YCbCr that is not in JPEGs.
    pub(super) subsampling: Option<[usize; 2]>,
    /// Pixels across and down of a strip or tile.
    chunk: [u32; 2],
    tiled: bool,
}

impl Layout {
    pub(super) fn of(directory: &Directory<'_>) -> Result<Self> {
        let number = |tag, otherwise| directory.number(tag).unwrap_or(otherwise);
        let side = |tag, name: &str| {
            let side = directory.number(tag).ok_or_else(|| damaged(format_args!("it has no {name}")))?;
            u32::try_from(side).map_err(|_| damaged(format_args!("its {name} is {side}")))
        };
        let (width, height) = (side(WIDTH, "width")?, side(HEIGHT, "height")?);
        let samples = number(SAMPLES, 1);
        let bits = bits(directory)?;
        let photometric = directory.number(PHOTOMETRIC);
        let compression = Compression::of(number(COMPRESSION, 1))?;
        let planar = match number(PLANAR, 1) {
            _ if samples == 1 => false,
            1 => false,
            2 => true,
            other => return Err(unsupported(format_args!("planar configuration {other}"))),
        };
        if samples == 0 || samples > MOST_SAMPLES {
            return Err(damaged(format_args!("a pixel has {samples} samples")));
        }
        let differences = match number(PREDICTOR, 1) {
            _ if !compression.has_predictor() => false,
            1 => false,
            2 if bits == 8 || bits == 16 => true,
            other => return Err(unsupported(format_args!("predictor {other} of {bits} bits"))),
        };
        let subsampled = photometric == Some(YCC) && !compression.is_image();
        let subsampling = if subsampled { subsampling(directory, planar, bits, samples)? } else { None };
        let tiled = directory.number(TILE_WIDTH).is_some();
        let chunk = if tiled {
            [side(TILE_WIDTH, "tile's width")?, side(TILE_HEIGHT, "tile's height")?]
        } else {
            let rows = u32::try_from(number(ROWS_PER_STRIP, u64::from(u32::MAX))).unwrap_or(u32::MAX);
            [width, rows.min(height)]
        };
        if chunk.contains(&0) && width > 0 && height > 0 {
            return Err(damaged("a strip or tile has no pixels"));
        }
        if compression == Compression::WebP && (planar || !(3..=4).contains(&samples)) {
            return Err(unsupported(format_args!("WebP compression of {samples} samples in planes")));
        }
        let samples = usize::try_from(samples).unwrap_or_default();
        let reversed = number(FILL_ORDER, 1) == 2;
        let layout = Self {
            width,
            height,
            bits,
            samples,
            planar,
            compression,
            differences,
            reversed,
            subsampling,
            chunk,
            tiled,
        };
        if layout.is_mostly_outside() {
            let [width, height] = chunk;
            return Err(damaged(format_args!("tiles of {width} × {height} are far larger than the picture")));
        }
        Ok(layout)
    }

    /// Whether unpacking would mostly be of what nobody sees, which a small file can make take for ever.
    fn is_mostly_outside(&self) -> bool {
        if !self.tiled || self.width == 0 || self.height == 0 {
            return false;
        }
        let all = |side: u32, chunk: u32| u64::from(side.div_ceil(chunk)) * u64::from(chunk);
        let held = all(self.width, self.chunk[0]).saturating_mul(all(self.height, self.chunk[1]));
        held > MOST_OUTSIDE.saturating_add(16 * u64::from(self.width) * u64::from(self.height))
    }

    /// Strips or tiles beside one another.
    pub(super) fn across(&self) -> u32 {
        self.width.div_ceil(self.chunk[0])
    }

    /// Strips or tiles below one another.
    pub(super) fn down(&self) -> u32 {
        self.height.div_ceil(self.chunk[1])
    }

    /// What a strip or tile shows of the picture.
    pub(super) fn area(&self, column: u32, row: u32) -> Area {
        let [width, height] = self.chunk;
        let (left, top) = (column * width, row * height);
        Area {
            left: left as usize,
            top: top as usize,
            width: width.min(self.width - left) as usize,
            height: height.min(self.height - top) as usize,
        }
    }

    /// Its number in the lists of offsets and lengths.
    pub(super) fn index(&self, column: u32, row: u32, plane: usize) -> usize {
        let (across, down) = (self.across() as usize, self.down() as usize);
        (plane * down + row as usize) * across + column as usize
    }

    /// Pixels across and down that a strip or tile holds, those outside of the picture too.
    pub(super) fn held(&self, area: Area) -> [usize; 2] {
        let [width, height] = self.chunk;
        [width as usize, if self.tiled { height as usize } else { area.height }]
    }

    /// Samples of a pixel that lie together.
    pub(super) fn together(&self) -> usize {
        if self.planar { 1 } else { self.samples }
    }

    /// Bytes of a row of samples, or of a row of blocks.
    pub(super) fn row_bytes(&self, width: usize) -> usize {
        match self.subsampling {
            Some([across, down]) => width.div_ceil(across) * (across * down + 2),
            None => (width * self.together() * self.bits).div_ceil(8),
        }
    }

    /// Rows of samples, or rows of blocks.
    pub(super) fn rows(&self, height: usize) -> usize {
        height.div_ceil(self.subsampling.map_or(1, |[_, down]| down))
    }

    /// Bytes of a strip or tile, unpacked.
    pub(super) fn whole(&self, column: u32, row: u32) -> usize {
        let [width, height] = self.held(self.area(column, row));
        self.row_bytes(width) * self.rows(height)
    }

    /// Samples of a pixel that are unpacked: of planes only those that are shown.
    pub(super) fn bands(&self) -> u64 {
        (if self.planar { self.samples.min(4) } else { self.samples }) as u64
    }

    /// Bytes for one strip or tile in all its bands while it is unpacked.
    pub(super) fn chunk_memory(&self) -> u64 {
        let [width, height] = self.chunk.map(u64::from);
        let samples = width.saturating_mul(height).saturating_mul(self.bands());
        // As it lies in the file, as eight bits, and what a decoder of images keeps.
        let each = self.bits.div_ceil(8) as u64 + 1 + if self.compression.is_image() { 4 } else { 0 };
        samples.saturating_mul(each)
    }
}

/// Bits of a sample: the same for all, and whole numbers from 0 on.
fn bits(directory: &Directory<'_>) -> Result<usize> {
    let list = |tag, otherwise| match directory.values(tag) {
        Some(values) => Vec::from_iter((0..values.len().min(8)).filter_map(|index| values.unsigned(index))),
        None => vec![otherwise],
    };
    let (bits, formats) = (list(BITS, 1), list(SAMPLE_FORMAT, 1));
    let first = bits.first().copied().unwrap_or(1);
    if bits.iter().any(|other| *other != first) {
        return Err(unsupported(format_args!("samples of {bits:?} bits")));
    }
    match formats.first().copied().unwrap_or(1) {
        1 => {}
        2 => {
            return Err(unsupported(format_args!(
                "signed samples of {first} bits: no value of them is white"
            )));
        }
        3 => {
            let why = "no value of them is white";
            return Err(unsupported(format_args!("floating-point samples of {first} bits: {why}")));
        }
        5 | 6 => return Err(unsupported("complex samples")),
        other => return Err(unsupported(format_args!("samples of format {other}"))),
    }
    match usize::try_from(first) {
        Ok(bits @ 1..=16) => Ok(bits),
        _ => Err(unsupported(format_args!("samples of {first} bits"))),
    }
}

/// How many pixels share a pair of colour differences.
fn subsampling(
    directory: &Directory<'_>,
    planar: bool,
    bits: usize,
    samples: u64,
) -> Result<Option<[usize; 2]>> {
    let values = directory.values(SUBSAMPLING);
    let factor = |index| values.and_then(|values| values.unsigned(index)).unwrap_or(2);
    let factors = [factor(0), factor(1)];
    let [across @ (1 | 2 | 4), down @ (1 | 2 | 4)] =
        factors.map(|factor| usize::try_from(factor).unwrap_or(0))
    else {
        return Err(unsupported(format_args!("YCbCr subsampled by {factors:?}")));
    };
    if bits != 8 || samples != 3 {
        return Err(unsupported(format_args!("YCbCr in {samples} samples of {bits} bits")));
    }
    match (planar, across * down) {
        (_, 1) => Ok(None),
        (false, _) => Ok(Some([across, down])),
        (true, _) => Err(unsupported("subsampled YCbCr in planes")),
    }
}
