//! An image's bytes as pixels of the size that the model sees.

use gpu_pixels::geo::{self, Geo};
use gpu_pixels::{Encoded, Unusable};
use tch::Tensor;

use super::budget::Budget;
use super::halt::Halt;
use super::resize::Resizing;
use crate::error::Result;

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
    pub(super) resizing: Resizing,
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
        Ok(Some(Ok(Picture { pixels: self.resizing.resized(&image)?, about })))
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
        let needed = encoded.memory().max(self.resizing.memory(width, height));
        if needed <= budget.whole() {
            return Ok(needed);
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        Err(Unusable(format!(
            "{width} × {height} take {:.0} MiB to unpack and resize, `memory` has {:.0} MiB for decoded images",
            mib(needed),
            mib(budget.whole())
        )))
    }
}
