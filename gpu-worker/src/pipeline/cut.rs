//! Images to run on where there are none: cut from one image, of sizes and formats as they come in real buckets.

use std::io::Cursor;

use gpu_stores::Store;
use gpu_suites::spec::Cut;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage};

use super::PipelineError;
use crate::data::crops::SplitMix;
use crate::data::{here, image as picture};
use crate::emit::Emitter;
use crate::error::Result;

/// Sides in pixels: from a thumbnail to a camera's preview.
const SHORTEST: u32 = 96;
const LONGEST: u32 = 400;
const JPEG_QUALITY: u8 = 90;
/// Of so many images one is a PNG, and one a WebP; the others are JPEGs.
const OTHERS: u32 = 50;

/// Cuts the images. One that is there already is left as it is: it would come out the same.
pub(super) fn fill(store: &dyn Store, cut: &Cut, seed: u64, emitter: &mut Emitter) -> Result<()> {
    let path = here(&cut.image)?;
    let whole = picture::read(&path)?;
    if whole.width() < SHORTEST || whole.height() < SHORTEST {
        let cause = format!("{} has less than {SHORTEST} pixels on a side", path.display());
        return Err(PipelineError::Cut { cause }.into());
    }
    let count = cut.count.get();
    let mut random = SplitMix(seed);
    for index in 0..count {
        emitter.progress("cut", u64::from(index), u64::from(count))?;
        // Drawn for each image, kept or not: the same seed cuts the same images.
        let part = part(&whole, &mut random);
        let (ending, format) = match index % OTHERS {
            1 => ("png", ImageFormat::Png),
            2 => ("webp", ImageFormat::WebP),
            _ => ("jpg", ImageFormat::Jpeg),
        };
        let key = format!("{:03}/{index:07}.{ending}", index / 1000);
        if !store.has(&key).map_err(PipelineError::Store)? {
            let bytes = encoded(&part, format)?;
            store.put(&key, &bytes).map_err(PipelineError::Store)?;
        }
    }
    emitter.progress("cut", u64::from(count), u64::from(count))
}

fn part(whole: &RgbImage, random: &mut SplitMix) -> RgbImage {
    let mut between = |least: u32, most: u32| {
        let span = f64::from(most - least + 1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the span is below u32::MAX"
        )]
        let drawn = (random.unit() * span) as u32;
        (least + drawn).min(most)
    };
    let width = between(SHORTEST, LONGEST.min(whole.width()));
    let height = between(SHORTEST, LONGEST.min(whole.height()));
    let x = between(0, whole.width() - width);
    let y = between(0, whole.height() - height);
    image::imageops::crop_imm(whole, x, y, width, height).to_image()
}

fn encoded(image: &RgbImage, format: ImageFormat) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let written = match format {
        ImageFormat::Jpeg => {
            image.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))
        }
        format => image.write_to(&mut bytes, format),
    };
    written.map_err(|error| PipelineError::Cut { cause: error.to_string() })?;
    Ok(bytes.into_inner())
}
