//! What samples mean: colours by the TIFF's photometric interpretation.

use super::chunk::Chunk;
use super::compression::Compression;
use super::directory::Directory;
use super::layout::{Layout, PHOTOMETRIC, YCC};
use super::ycc::Ycc;
use super::{damaged, unsupported};
use crate::Result;

const COLOUR_MAP: u16 = 320;
const INK_SET: u16 = 332;

/// How a pixel's samples become red, green and blue.
#[derive(Debug)]
pub(super) enum Colour {
    /// The first band in all three; whether 0 is white.
    Grey { inverted: bool },
    /// The first three bands.
    Rgb,
    /// The first band is a number in a list.
    Palette(Vec<[u8; 3]>),
    /// Inks.
    Cmyk,
    /// Brightness and two differences of colour, for blocks of so many pixels.
    Ycc { ycc: Box<Ycc>, block: [usize; 2] },
}

impl Colour {
    pub(super) fn of(directory: &Directory<'_>, layout: &Layout) -> Result<Self> {
        let number = directory.number(PHOTOMETRIC).unwrap_or(if layout.samples >= 3 { 2 } else { 1 });
        let name = match (number, layout.samples) {
            (0, 1 | 2) => return Ok(Self::Grey { inverted: true }),
            (1, 1 | 2) => return Ok(Self::Grey { inverted: false }),
            // Bands without a colour, as GDAL writes them: the first three are shown.
            (1, _) | (2, 3..) => return Ok(Self::Rgb),
            (3, 1 | 2) if layout.bits <= 8 => return palette(directory, layout.bits).map(Self::Palette),
            // A WebP has no inks: its fourth sample is alpha, which is left out.
            (5, 4..)
                if layout.compression != Compression::WebP && directory.number(INK_SET).unwrap_or(1) == 1 =>
            {
                return Ok(Self::Cmyk);
            }
            // The JPEGs' own decoder turned it into RGB.
            (YCC, 3) if layout.compression.is_image() && !layout.planar => return Ok(Self::Rgb),
            (YCC, 3) if !layout.compression.is_image() => {
                let block = layout.subsampling.unwrap_or([1, 1]);
                return Ok(Self::Ycc { ycc: Box::new(Ycc::of(directory)), block });
            }
            (0, _) => "min-is-white",
            (2, _) => "RGB",
            (3, _) => "palette",
            (4, _) => "transparency mask",
            (5, _) => "separated (inks)",
            (YCC, _) => "YCbCr",
            (8..=10, _) => "CIE L*a*b*",
            (32_803, _) => "colour filter array",
            (32_844 | 32_845, _) => "LogLuv",
            (34_892, _) => "linear raw",
            (other, _) => return Err(unsupported(format_args!("photometric interpretation {other}"))),
        };
        let Layout { samples, bits, .. } = layout;
        Err(unsupported(format_args!("{name} colours in {samples} samples of {bits} bits")))
    }

    /// Bands that count.
    pub(super) fn bands(&self) -> usize {
        match self {
            Self::Grey { .. } | Self::Palette(_) => 1,
            Self::Rgb | Self::Ycc { .. } => 3,
            Self::Cmyk => 4,
        }
    }

    /// Whether samples are numbers and no brightness.
    pub(super) fn is_numbers(&self) -> bool {
        matches!(self, Self::Palette(_))
    }

    /// A row of a strip or tile as RGB.
    pub(super) fn paint(&self, planes: &[Chunk], y: usize, line: &mut [u8]) {
        if let Self::Ycc { ycc, block } = self
            && *block != [1, 1]
        {
            return paint_blocks(ycc, *block, &planes[0], y, line);
        }
        if let (Self::Rgb, [chunk]) = (self, planes)
            && chunk.together == 3
        {
            return line.copy_from_slice(&chunk.row(y)[..line.len()]);
        }
        for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
            let sample = |band: usize| match planes {
                [chunk] => chunk.row(y)[x * chunk.together + band],
                planes => planes[band].row(y)[x],
            };
            let colour = match self {
                Self::Grey { inverted } => [if *inverted { 255 - sample(0) } else { sample(0) }; 3],
                Self::Rgb => [sample(0), sample(1), sample(2)],
                Self::Palette(colours) => colours.get(usize::from(sample(0))).copied().unwrap_or_default(),
                Self::Cmyk => {
                    let white = 255 - sample(3);
                    [0, 1, 2].map(|ink| white - product(sample(ink), white))
                }
                Self::Ycc { ycc, .. } => ycc.rgb([sample(0), sample(1), sample(2)]),
            };
            pixel.copy_from_slice(&colour);
        }
    }
}

/// Blocks hold their pixels' brightness row by row, and then the two differences that they share.
fn paint_blocks(ycc: &Ycc, [across, down]: [usize; 2], chunk: &Chunk, y: usize, line: &mut [u8]) {
    let blocks = chunk.row(y / down);
    for (x, pixel) in line.chunks_exact_mut(3).enumerate() {
        let block = &blocks[x / across * (across * down + 2)..][..across * down + 2];
        let brightness = block[y % down * across + x % across];
        pixel.copy_from_slice(&ycc.rgb([brightness, block[across * down], block[across * down + 1]]));
    }
}

/// a · b / 255, rounded as Pillow does.
fn product(a: u8, b: u8) -> u8 {
    let both = u32::from(a) * u32::from(b) + 128;
    ((both + (both >> 8)) >> 8).to_le_bytes()[0]
}

/// All reds, all greens, all blues, of 16 bits; of eight where none needs more, as some write them and libtiff reads them.
fn palette(directory: &Directory<'_>, bits: usize) -> Result<Vec<[u8; 3]>> {
    let colours = 1 << bits;
    let map = directory.values(COLOUR_MAP).filter(|map| map.len() >= 3 * colours);
    let map = map.ok_or_else(|| damaged("its colours are numbers and it has no list of them"))?;
    let value = |index: usize| map.unsigned(index).unwrap_or(0);
    let shift = if (0..3 * colours).all(|index| value(index) < 256) { 0 } else { 8 };
    let colour =
        |index: usize| [0, 1, 2].map(|channel| (value(channel * colours + index) >> shift).to_le_bytes()[0]);
    Ok((0..colours).map(colour).collect())
}
