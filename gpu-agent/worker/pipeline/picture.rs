//! An image's bytes as pixels of the size that the model sees.

use gpu_suites::spec::Resize;
use image::RgbImage;
use tch::{Device, Kind, Tensor};

use super::budget::Budget;
use super::geo::{self, Geo};
use super::halt::Halt;
use crate::error::Result;
use crate::model::layers::channels_last;
use crate::pixels::{Encoded, Unusable};

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
        let encoded = match Encoded::open(bytes) {
            Ok(encoded) => encoded,
            Err(why) => return Ok(Some(Err(why))),
        };
        let needed = match self.memory(&encoded, budget) {
            Ok(needed) => needed,
            Err(why) => return Ok(Some(Err(why))),
        };
        let Some(_held) = budget.take(needed, halt) else { return Ok(None) };
        let image = match encoded.decode() {
            Ok(image) => image,
            Err(why) => return Ok(Some(Err(why))),
        };
        let about = About { width: encoded.width, height: encoded.height, geo: geo::of(bytes) };
        Ok(Some(Ok(Picture { pixels: self.resized(&image)?, about })))
    }

    /// What this image takes at its most while it is made ready; an error where that is more than any image may.
    fn memory(self, encoded: &Encoded<'_>, budget: &Budget) -> std::result::Result<u64, Unusable> {
        let Encoded { width, height, .. } = *encoded;
        let pixels = encoded.pixels();
        if pixels > self.largest {
            return Err(Unusable(format!(
                "{width} × {height} are {:.1} megapixels, at most {:.1} are unpacked",
                pixels as f64 / 1e6,
                self.largest as f64 / 1e6
            )));
        }
        let [new_height, new_width] = self.scaled(i64::from(height), i64::from(width)).map(i64::unsigned_abs);
        // libtorch keeps four bytes for each pixel of the image, of the image at its new width, and of the new one.
        let rows = u64::from(height).saturating_add(new_height).saturating_mul(new_width).saturating_mul(4);
        let resizing = (7 * pixels).saturating_add(rows);
        let needed = encoded.memory().max(resizing);
        if needed <= budget.whole() {
            return Ok(needed);
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let into = if resizing > encoded.memory() {
            format!(" resized to {new_width} × {new_height}")
        } else {
            String::new()
        };
        Err(Unusable(format!(
            "{width} × {height}{into} take {:.0} MiB, `memory` has {:.0} MiB for decoded images",
            mib(needed),
            mib(budget.whole())
        )))
    }

    /// Height and width that the image is resized to before its middle is taken.
    fn scaled(self, height: i64, width: i64) -> [i64; 2] {
        match self.resize {
            Resize::Stretch => [self.size, self.size],
            Resize::Cover if width <= height => [self.size * height / width, self.size],
            Resize::Cover => [self.size, self.size * width / height],
        }
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
        let [new_height, new_width] = self.scaled(height, width);
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
