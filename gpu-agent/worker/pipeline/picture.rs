//! An image's bytes as pixels of the size that the model sees.

use std::any::Any;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gpu_suites::spec::Resize;
use image::{ImageReader, Limits, RgbImage};
use tch::{Device, Kind, Tensor};

use super::budget::Budget;
use super::geo::{self, Geo};
use super::halt::Halt;
use super::jpeg;
use crate::error::Result;
use crate::model::layers::channels_last;

/// Bytes that a decoded pixel takes in the worst of the formats: 16 bits for each of four channels.
const PIXEL_BYTES: u64 = 8;

/// What is known of an image besides its pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct About {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) geo: Option<Geo>,
}

/// An image ready for the model.
pub(super) struct Picture {
    /// `[1, 3, S, S]`, bytes, channels side by side.
    pub(super) pixels: Tensor,
    pub(super) about: About,
}

/// Why an image cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

/// How pictures are made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) size: i64,
    pub(super) resize: Resize,
    /// Pixels of the largest image that is unpacked.
    pub(super) largest: u64,
}

impl Form {
    /// Decodes and resizes. `Ok(None)` where the pipeline is to stop.
    pub(super) fn picture(
        self,
        bytes: &[u8],
        budget: &Budget,
        halt: &Halt,
    ) -> Result<Option<std::result::Result<Picture, Unusable>>> {
        let (width, height) = match dimensions(bytes) {
            Ok(dimensions) => dimensions,
            Err(why) => return Ok(Some(Err(why))),
        };
        let pixels = u64::from(width) * u64::from(height);
        if pixels > self.largest {
            let why = format!(
                "{width} × {height} are {:.1} megapixels, at most {:.1} are unpacked",
                pixels as f64 / 1e6,
                self.largest as f64 / 1e6
            );
            return Ok(Some(Err(Unusable(why))));
        }
        let Some(_held) = budget.take(pixels * PIXEL_BYTES, halt) else { return Ok(None) };
        // What a file says of itself is not ours: a decoder that panics on it has found a bad image.
        let decoded = catch_unwind(AssertUnwindSafe(|| decode(bytes, pixels)));
        let image = match decoded {
            Ok(Ok(image)) => image,
            Ok(Err(why)) => return Ok(Some(Err(why))),
            Err(panic) => {
                return Ok(Some(Err(Unusable(format!("the decoder broke: {}", said(panic.as_ref()))))));
            }
        };
        if jpeg::is_cut_off(bytes) {
            return Ok(Some(Err(Unusable("the JPEG is cut off: it has no end marker".into()))));
        }
        let about = About { width, height, geo: geo::of(bytes) };
        Ok(Some(Ok(Picture { pixels: self.resized(&image)?, about })))
    }

    /// torchvision's own way: the same kernel of libtorch on the same bytes.
    fn resized(self, image: &RgbImage) -> Result<Tensor> {
        let (width, height) = (i64::from(image.width()), i64::from(image.height()));
        let (shape, strides) = ([1, height, width, 3], [3 * width * height, 3 * width, 3, 1]);
        // SAFETY: the tensor stands for the image's own bytes, as many as its shape says. They outlive it: nothing that is
        // returned has a part of them.
        let bytes = unsafe {
            Tensor::f_from_blob(image.as_raw().as_ptr(), &shape, &strides, Kind::Uint8, Device::Cpu)?
        };
        let pixels = bytes.f_permute([0, 3, 1, 2])?;
        let (new_height, new_width) = match self.resize {
            Resize::Stretch => (self.size, self.size),
            Resize::Cover if width <= height => ((self.size * height / width), self.size),
            Resize::Cover => (self.size, (self.size * width / height)),
        };
        let scaled = if (new_height, new_width) == (height, width) {
            let mut own = pixels.f_zeros_like()?;
            own.f_copy_(&pixels)?;
            own
        } else {
            pixels.f_internal_upsample_bilinear2d_aa([new_height, new_width], false, None, None)?
        };
        let scaled = scaled.f_narrow(2, middle(new_height, self.size), self.size)?.f_narrow(
            3,
            middle(new_width, self.size),
            self.size,
        )?;
        // A copy of its own where it is a part: the rest is not to stay in memory.
        channels_last(&scaled)
    }
}

/// `CenterCrop`'s rule, Python's rounding to the even number included.
fn middle(side: i64, size: i64) -> i64 {
    let twice = side - size;
    let half = twice / 2;
    if twice % 2 == 1 && half % 2 == 1 { half + 1 } else { half }
}

fn dimensions(bytes: &[u8]) -> std::result::Result<(u32, u32), Unusable> {
    if bytes.is_empty() {
        return Err(Unusable("it is empty".into()));
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(unusable)?;
    let Some(_) = reader.format() else {
        return Err(Unusable("it is none of JPEG, PNG, TIFF and WebP".into()));
    };
    let (width, height) = catch_unwind(AssertUnwindSafe(|| reader.into_dimensions()))
        .map_err(|panic| Unusable(format!("the decoder broke: {}", said(panic.as_ref()))))?
        .map_err(unusable)?;
    if width == 0 || height == 0 {
        return Err(Unusable("it has no pixels".into()));
    }
    Ok((width, height))
}

fn decode(bytes: &[u8], pixels: u64) -> std::result::Result<RgbImage, Unusable> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(unusable)?;
    let mut limits = Limits::no_limits();
    // What it says in its header is what it may take: twice for what a decoder keeps beside it.
    limits.max_alloc = Some((2 * PIXEL_BYTES * pixels).max(64 << 20));
    reader.limits(limits);
    Ok(reader.decode().map_err(unusable)?.into_rgb8())
}

fn unusable(error: impl Into<image::ImageError>) -> Unusable {
    Unusable(error.into().to_string())
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tensor that stands for the image's bytes must not be what comes out: the image is gone by then.
    #[test]
    fn what_the_model_sees_has_bytes_of_its_own_even_where_nothing_is_resized() {
        let form = Form { size: 8, resize: Resize::Stretch, largest: 64 };
        let image =
            RgbImage::from_fn(8, 8, |x, y| image::Rgb([x, y, x + y].map(|value| value.to_le_bytes()[0])));
        let pixels = form.resized(&image).unwrap();
        assert_ne!(pixels.data_ptr().cast_const().cast(), image.as_raw().as_ptr());
        assert_eq!(pixels.size(), [1, 3, 8, 8]);
        assert_eq!(pixels.int64_value(&[0, 2, 3, 4]), 7);
    }
}
