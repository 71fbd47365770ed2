//! What a file is, by its first bytes.

use image::ImageFormat;

use super::{Result, Unusable};

/// The formats that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Jpeg,
    Tiff,
    /// PNG or WebP.
    Raster(ImageFormat),
}

impl Format {
    pub(super) fn of(bytes: &[u8]) -> Result<Self> {
        match bytes {
            [] => Err(Unusable("it is empty".into())),
            [0xff, 0xd8, 0xff, ..] => Ok(Self::Jpeg),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Ok(Self::Tiff),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Ok(Self::Raster(ImageFormat::Png)),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => {
                Ok(Self::Raster(ImageFormat::WebP))
            }
            _ => Err(Unusable("it is none of JPEG, PNG, TIFF and WebP".into())),
        }
    }
}
