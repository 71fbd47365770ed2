//! PNG and WebP.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::{Result, Unusable};

/// What a decoder keeps besides, of whatever image: tables, a window, a line.
const ALWAYS: u64 = 8 << 20;

/// An image whose header was read.
pub(super) struct Raster<'a> {
    bytes: &'a [u8],
    format: ImageFormat,
    pub(super) width: u32,
    pub(super) height: u32,
    /// Bytes that decoding takes besides three for each pixel.
    pub(super) memory: u64,
}

impl<'a> Raster<'a> {
    pub(super) fn open(bytes: &'a [u8], format: ImageFormat) -> Result<Self> {
        let decoder =
            ImageReader::with_format(Cursor::new(bytes), format).into_decoder().map_err(unusable)?;
        let (width, height) = decoder.dimensions();
        // Twice: WebP has planes beside the pixels, and a PNG of 16 bits is first unpacked as it is.
        let memory = decoder.total_bytes().saturating_mul(2);
        Ok(Self { bytes, format, width, height, memory })
    }

    pub(super) fn decode(&self) -> Result<Vec<u8>> {
        let mut reader = ImageReader::with_format(Cursor::new(self.bytes), self.format);
        let mut limits = Limits::no_limits();
        limits.max_alloc = Some(self.memory.saturating_add(ALWAYS));
        reader.limits(limits);
        Ok(eight_bits(reader.decode().map_err(unusable)?))
    }
}

/// RGB without alpha, as Pillow's `convert("RGB")`. Of 16 bits the higher eight count, as for Pillow and `OpenCV`.
fn eight_bits(image: DynamicImage) -> Vec<u8> {
    let high = |samples: Vec<u16>, channels: usize| {
        let pixels = samples.chunks_exact(channels);
        let colours = if channels < 3 { [0, 0, 0] } else { [0, 1, 2] };
        let high = |sample: u16| sample.to_be_bytes()[0];
        pixels.flat_map(|pixel| colours.map(|channel| high(pixel[channel]))).collect()
    };
    match image {
        DynamicImage::ImageLuma16(image) => high(image.into_raw(), 1),
        DynamicImage::ImageLumaA16(image) => high(image.into_raw(), 2),
        DynamicImage::ImageRgb16(image) => high(image.into_raw(), 3),
        DynamicImage::ImageRgba16(image) => high(image.into_raw(), 4),
        image => image.into_rgb8().into_raw(),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn unusable(error: image::ImageError) -> Unusable {
    Unusable(error.to_string())
}
