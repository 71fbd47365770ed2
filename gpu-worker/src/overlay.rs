//! Pictures for the report: the image, where its crowns truly are, and where the model sees them.

use std::path::{Path, PathBuf};

use image::imageops::FilterType;
use image::{Rgb, RgbImage};
use tch::{Device, Kind, Tensor};

use crate::error::{Result, WorkerError};

/// Outline of the prediction.
const PREDICTED: Rgb<u8> = Rgb([255, 176, 0]);
/// Outline of the truth; under the prediction's it shows only where the two differ.
const TRUE: Rgb<u8> = Rgb([255, 255, 255]);
/// Share of a mask's colour within its outline.
const TINT: f32 = 0.18;
/// The picture's side is about this, so that it reads well and stays small.
const SIDE: u32 = 480;

/// The pictures by the names of their files, in the order in which a report shows them.
pub(crate) fn pictures(
    image: &RgbImage,
    logits: &Tensor,
    target: &Tensor,
) -> Result<[(&'static str, RgbImage); 3]> {
    let predicted = Mask::of(&logits.f_gt(0.0)?)?;
    let truth = Mask::of(&target.f_gt(0.5)?)?;
    Ok([
        ("image.png", enlarged(image)),
        ("target.png", draw(image, (&truth, TRUE), None)),
        ("overlay.png", draw(image, (&predicted, PREDICTED), Some(&truth))),
    ])
}

pub(crate) fn write(path: &Path, picture: &RgbImage) -> Result<()> {
    let wrong = |error: image::ImageError| WorkerError::Artifact {
        path: PathBuf::from(path),
        cause: error.to_string(),
    };
    picture.save(path).map_err(wrong)
}

/// One bit per pixel of the image.
struct Mask {
    width: u32,
    bits: Vec<bool>,
}

impl Mask {
    /// Of a `[1, 1, H, W]` tensor of truth values.
    fn of(mask: &Tensor) -> Result<Self> {
        let width = mask.size().last().copied().and_then(|width| u32::try_from(width).ok()).unwrap_or(0);
        let flat = mask.f_to(Device::Cpu)?.f_to_kind(Kind::Uint8)?.f_contiguous()?.f_view([-1])?;
        let mut bytes = vec![0u8; flat.numel()];
        flat.f_copy_data(&mut bytes, flat.numel())?;
        Ok(Self { width, bits: bytes.into_iter().map(|byte| byte != 0).collect() })
    }

    fn at(&self, x: u32, y: u32) -> bool {
        let index = y as usize * self.width as usize + x as usize;
        x < self.width && self.bits.get(index).copied().unwrap_or(false)
    }

    /// A pixel of the enlarged mask that is inside while one beside it is not.
    fn is_edge(&self, x: u32, y: u32, zoom: u32) -> bool {
        let inside = |x: u32, y: u32| self.at(x / zoom, y / zoom);
        let beside = [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)];
        inside(x, y) && beside.into_iter().any(|(x, y)| !inside(x, y))
    }
}

fn zoom(image: &RgbImage) -> u32 {
    (SIDE / image.width().max(1)).max(1)
}

fn enlarged(image: &RgbImage) -> RgbImage {
    let (width, height) = (image.width() * zoom(image), image.height() * zoom(image));
    image::imageops::resize(image, width, height, FilterType::CatmullRom)
}

/// The image with a mask in its colour, and the outline of the truth where that differs.
fn draw(image: &RgbImage, (mask, colour): (&Mask, Rgb<u8>), truth: Option<&Mask>) -> RgbImage {
    let zoom = zoom(image);
    let mut picture = enlarged(image);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        if mask.is_edge(x, y, zoom) {
            *pixel = colour;
        } else if truth.is_some_and(|truth| truth.is_edge(x, y, zoom)) {
            *pixel = TRUE;
        } else if mask.at(x / zoom, y / zoom) {
            *pixel = mixed(*pixel, colour);
        }
    }
    picture
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of two bytes is one")]
fn mixed(pixel: Rgb<u8>, colour: Rgb<u8>) -> Rgb<u8> {
    let mix = |from: u8, to: u8| (f32::from(from) * (1.0 - TINT) + f32::from(to) * TINT) as u8;
    Rgb(std::array::from_fn(|channel| mix(pixel[channel], colour[channel])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_are_drawn_and_the_truth_shows_where_it_differs() {
        let image = RgbImage::from_pixel(160, 160, Rgb([0, 0, 0]));
        let square = |from: u32, to: u32| Mask {
            width: 160,
            bits: (0..160 * 160)
                .map(|i| (from..to).contains(&(i % 160)) && (from..to).contains(&(i / 160)))
                .collect(),
        };
        let picture = draw(&image, (&square(20, 60), PREDICTED), Some(&square(20, 80)));
        assert_eq!(picture.dimensions(), (480, 480));
        assert_eq!(picture.get_pixel(60, 100), &PREDICTED);
        assert_eq!(picture.get_pixel(239, 100), &TRUE);
        assert_eq!(picture.get_pixel(10, 10), &Rgb([0, 0, 0]));
        assert_eq!(picture.get_pixel(100, 100), &mixed(Rgb([0, 0, 0]), PREDICTED));
    }
}
