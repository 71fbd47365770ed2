//! Pictures that a case made, as part of the page: at most so large, and of no kind but pixels.

use std::io::Cursor;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader, Limits};
use serde::Serialize;

use super::super::case::CaseState;
use super::budget::Budget;
use super::record;

/// A file of at most so many bytes stands on the page as it is.
const AS_IT_IS: usize = 100_000;
/// A larger one is made to fit into a square of this side.
const SIDE: u32 = 640;
const QUALITY: u8 = 88;
/// The largest file, picture and memory that are looked at.
const LARGEST_FILE: u64 = 32 << 20;
const LARGEST_SIDE: u32 = 8_192;
const LARGEST_MEMORY: u64 = 96 << 20;
const PICTURES: usize = 12;
/// What is shown side by side, in this order, before others.
const FIRST: [&str; 5] = ["image", "input", "target", "prediction", "overlay"];

#[derive(Debug, Serialize)]
pub(super) struct Picture {
    pub(super) name: String,
    pub(super) caption: String,
    /// `data:image/…`.
    pub(super) source: String,
    pub(super) width: u32,
    pub(super) height: u32,
}

pub(super) fn of(run_dir: &Path, case: &CaseState, budget: &mut Budget) -> Vec<Picture> {
    let stem = |path: &str| Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let rank = |path: &str| {
        let stem = stem(path).unwrap_or_default();
        FIRST.iter().position(|first| *first == stem).unwrap_or(FIRST.len())
    };
    let is_picture = |path: &&str| {
        let kind = Path::new(path).extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        matches!(kind.to_lowercase().as_str(), "png" | "jpg" | "jpeg" | "webp")
    };
    let mut paths =
        Vec::from_iter(case.artifacts.iter().map(|artifact| artifact.path.as_str()).filter(is_picture));
    paths.sort_by_key(|path| rank(path));
    let pictures = paths.into_iter().take(PICTURES).filter_map(|path| {
        let content = record::bytes(&record::path(run_dir, case, path)?, LARGEST_FILE)?;
        let (source, width, height) = embedded(&content, budget)?;
        let caption = match rank(path) {
            0 | 1 => "the image",
            2 => "the target",
            3 => "the prediction",
            4 => "the prediction's outline on the image, the target's where the two differ",
            _ => "",
        };
        Some(Picture { name: path.to_owned(), caption: caption.to_owned(), source, width, height })
    });
    pictures.collect()
}

/// A picture as a part of the page, with its size there; `None` for what is none, or where there is no room.
fn embedded(content: &[u8], budget: &mut Budget) -> Option<(String, u32, u32)> {
    let mut reader = ImageReader::new(Cursor::new(content)).with_guessed_format().ok()?;
    let format = reader
        .format()
        .filter(|format| matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP))?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(LARGEST_MEMORY);
    reader.limits(limits);
    let (width, height) = ImageReader::with_format(Cursor::new(content), format).into_dimensions().ok()?;
    if width == 0 || height == 0 || width > LARGEST_SIDE || height > LARGEST_SIDE {
        return None;
    }
    let unpacked = (width as usize).saturating_mul(height as usize).saturating_mul(4);
    budget.unpacked = budget.unpacked.checked_sub(unpacked)?;
    let picture = reader.decode().ok()?.into_rgb8();
    // A small file may still be a huge picture.
    if content.len() <= AS_IT_IS && width <= 2 * SIDE && height <= 2 * SIDE {
        return Some((source(content, format.to_mime_type(), budget)?, width, height));
    }
    let shrink = (f64::from(SIDE) / f64::from(width.max(height))).min(1.0);
    let side = |side: u32| whole(f64::from(side) * shrink).max(1);
    let small = if shrink < 1.0 {
        image::imageops::resize(&picture, side(width), side(height), FilterType::Triangle)
    } else {
        picture
    };
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY).encode_image(&small).ok()?;
    Some((source(&jpeg, "image/jpeg", budget)?, small.width(), small.height()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most the side that it came from"
)]
fn whole(side: f64) -> u32 {
    side.round() as u32
}

fn source(content: &[u8], kind: &str, budget: &mut Budget) -> Option<String> {
    let text = format!("data:{kind};base64,{}", BASE64_STANDARD.encode(content));
    budget.pictures = budget.pictures.checked_sub(text.len())?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, Rgb, RgbImage};

    use super::*;

    fn png(side: u32, noisy: bool) -> Vec<u8> {
        let noise =
            |x: u32, y: u32| x.wrapping_mul(2_654_435_761).wrapping_add(y.wrapping_mul(40_503)).to_le_bytes();
        let pixel =
            |x, y| if noisy { Rgb([noise(x, y)[1], noise(x, y)[2], noise(y, x)[3]]) } else { Rgb([9, 9, 9]) };
        let mut file = Cursor::new(Vec::new());
        DynamicImage::from(RgbImage::from_fn(side, side, pixel))
            .write_to(&mut file, ImageFormat::Png)
            .unwrap();
        file.into_inner()
    }

    #[test]
    fn a_small_picture_stands_as_it_is_and_a_large_one_is_made_smaller() {
        let small = png(40, false);
        let (source, width, _) = embedded(&small, &mut Budget::default()).unwrap();
        assert_eq!(width, 40);
        assert_eq!(source, format!("data:image/png;base64,{}", BASE64_STANDARD.encode(&small)));
        for large in [png(900, true), png(3_000, false)] {
            let (source, width, height) = embedded(&large, &mut Budget::default()).unwrap();
            assert_eq!((width, height), (SIDE, SIDE));
            assert!(
                source.starts_with("data:image/jpeg;base64,") && source.len() < 700_000,
                "{}",
                source.len()
            );
        }
    }

    #[test]
    fn what_is_no_picture_or_has_no_room_is_left_out() {
        let svg = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>";
        for content in [&b""[..], svg, &png(40, true)[..200], b"GIF89a\x01\x00\x01\x00"] {
            assert_eq!(embedded(content, &mut Budget::default()), None);
        }
        let mut little = Budget { pictures: 10, ..Budget::default() };
        assert_eq!(embedded(&png(40, false), &mut little), None);
    }
}
