//! How the bytes of strips and tiles are packed.

use flate2::{Decompress, FlushDecompress, Status};
use weezl::{BitOrder, LzwStatus};

use super::{damaged, unsupported};
use crate::Result;

/// Kinds of packing that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Lzw,
    Jpeg,
    Deflate,
    PackBits,
    Zstd,
    WebP,
}

impl Compression {
    /// By its number in the tag.
    pub(super) fn of(number: u64) -> Result<Self> {
        let name = match number {
            1 => return Ok(Self::None),
            5 => return Ok(Self::Lzw),
            7 => return Ok(Self::Jpeg),
            8 | 32_946 => return Ok(Self::Deflate),
            32_773 => return Ok(Self::PackBits),
            50_000 => return Ok(Self::Zstd),
            50_001 => return Ok(Self::WebP),
            2..=4 | 32_771 => "CCITT (fax)",
            6 => "old-style JPEG",
            9 | 10 | 34_661 => "JBIG",
            34_676 | 34_677 => "SGI LogLuv",
            33_003 | 33_005 | 34_712 => "JPEG 2000",
            34_887 => "LERC",
            34_892 => "lossy JPEG of DNG",
            34_925 => "LZMA",
            50_002 | 52_546 => "JPEG XL",
            other => return Err(unsupported(format_args!("compression {other}"))),
        };
        Err(unsupported(format_args!("{name} compression")))
    }

    /// Whether a strip or tile is an image of its own.
    pub(super) fn is_image(self) -> bool {
        matches!(self, Self::Jpeg | Self::WebP)
    }

    /// Whether the tag for a predictor counts.
    pub(super) fn has_predictor(self) -> bool {
        matches!(self, Self::Lzw | Self::Deflate | Self::Zstd)
    }

    /// Fills `out`. What is left of `packed` then is nobody's.
    pub(super) fn unpack(self, packed: &[u8], out: &mut [u8]) -> Result<()> {
        let unpacked = match self {
            Self::None => {
                let length = packed.len().min(out.len());
                out[..length].copy_from_slice(&packed[..length]);
                Ok(length)
            }
            Self::Lzw => lzw(packed, out),
            Self::Deflate => deflate(packed, out),
            Self::PackBits => Ok(pack_bits(packed, out)),
            Self::Zstd => {
                zstd::bulk::decompress_to_buffer(packed, &mut *out).map_err(|error| error.to_string())
            }
            Self::Jpeg | Self::WebP => Err("it is an image of its own".to_owned()),
        };
        match unpacked {
            Ok(length) if length == out.len() => Ok(()),
            Ok(length) => Err(damaged(format_args!("a strip or tile has {length} of {} bytes", out.len()))),
            Err(cause) => Err(damaged(format_args!("a strip or tile cannot be unpacked: {cause}"))),
        }
    }
}

fn lzw(packed: &[u8], out: &mut [u8]) -> std::result::Result<usize, String> {
    // The code that clears the table, lowest bit first: what was written before TIFF 6.
    if matches!(packed, [0, second, ..] if second % 2 == 1) {
        return Err("old-style LZW is not supported".to_owned());
    }
    let mut decoder = weezl::decode::Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
        .with_yield_on_full_buffer(true)
        .build();
    let (mut read, mut written) = (0, 0);
    while written < out.len() {
        let step = decoder.decode_bytes(&packed[read..], &mut out[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) if step.consumed_in + step.consumed_out > 0 => {}
            Ok(_) => break,
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(written)
}

fn deflate(packed: &[u8], out: &mut [u8]) -> std::result::Result<usize, String> {
    let mut decoder = Decompress::new(true);
    let mut written = 0;
    while written < out.len() {
        let read = usize::try_from(decoder.total_in()).unwrap_or(packed.len());
        let status = decoder.decompress(&packed[read..], &mut out[written..], FlushDecompress::None);
        let status = status.map_err(|error| error.to_string())?;
        let before = written;
        written = usize::try_from(decoder.total_out()).unwrap_or(out.len());
        if status != Status::Ok || written == before {
            break;
        }
    }
    Ok(written)
}

/// A count, and then so many bytes, or one byte that is repeated.
fn pack_bits(mut packed: &[u8], out: &mut [u8]) -> usize {
    let mut written = 0;
    while let Some((&count, rest)) = packed.split_first() {
        let room = out.len() - written;
        let (taken, length) = match (count, rest.first()) {
            _ if room == 0 => break,
            (0..=127, _) => {
                let length = (usize::from(count) + 1).min(rest.len());
                let fits = length.min(room);
                out[written..written + fits].copy_from_slice(&rest[..fits]);
                (length, fits)
            }
            (128, _) => (0, 0),
            (_, Some(byte)) => {
                let fits = (257 - usize::from(count)).min(room);
                out[written..written + fits].fill(*byte);
                (1, fits)
            }
            (_, None) => break,
        };
        written += length;
        packed = &rest[taken..];
    }
    written
}
