//! Crops of what is in the boxes, against as many crops of background.

use std::path::Path;

use image::RgbImage;

use super::boxes::Rect;
use super::image::squared;
use crate::error::{Result, WorkerError};

/// How much larger than its box a crop is, so that its edge is on it.
const MARGIN: f64 = 1.2;
/// The share of a background crop that boxes may cover.
const COVERED: f64 = 0.1;
/// Places that are tried for each background crop.
const TRIES: u32 = 2000;

/// The crops and their classes: 1 for a box, 0 for background, in turn.
pub(crate) fn cut(
    (path, image): (&Path, &RgbImage),
    boxes: &[Rect],
    count: usize,
    size: u32,
    seed: u64,
) -> Result<(Vec<RgbImage>, Vec<i64>)> {
    let (width, height) = (f64::from(image.width()), f64::from(image.height()));
    let mut random = SplitMix(seed);
    let inside = boxes.iter().filter(|rect| square(**rect).is_some_and(|square| fits(square, width, height)));
    let mut inside: Vec<Rect> = inside.copied().collect();
    random.shuffle(&mut inside);
    let cannot = |cause: String| WorkerError::Crops { path: path.to_owned(), wanted: count, cause };
    let wanted = count.div_ceil(2);
    if inside.len() < wanted {
        let found = inside.len();
        return Err(cannot(format!("{found} boxes lie within it with a margin, {wanted} are needed")));
    }
    let mut crops = Vec::with_capacity(count);
    let mut classes = Vec::with_capacity(count);
    for index in 0..count {
        let of_box = square(inside[index / 2]).ok_or_else(|| cannot("a box is too small".into()))?;
        let class = i64::from(index % 2 == 0);
        let place = if class == 1 {
            of_box
        } else {
            let edge = of_box.xmax - of_box.xmin;
            (0..TRIES)
                .map(|_| {
                    let (x, y) = (random.unit() * (width - edge), random.unit() * (height - edge));
                    Rect { xmin: x, ymin: y, xmax: x + edge, ymax: y + edge }
                })
                .find(|place| {
                    boxes.iter().map(|rect| rect.overlap(*place)).sum::<f64>() <= COVERED * edge * edge
                })
                .ok_or_else(|| {
                    let found = index / 2;
                    cannot(format!("{found} places of background were found, {} are needed", count / 2))
                })?
        };
        crops.push(squared(&cropped(image, place), size));
        classes.push(class);
    }
    Ok((crops, classes))
}

/// The square around a box that is cropped, or `None` for a box of less than two pixels.
fn square(rect: Rect) -> Option<Rect> {
    let (x, y) = rect.centre();
    let half = (rect.longer_side() * MARGIN / 2.0).round();
    (half >= 1.0).then_some(Rect { xmin: x - half, ymin: y - half, xmax: x + half, ymax: y + half })
}

fn fits(rect: Rect, width: f64, height: f64) -> bool {
    rect.xmin >= 0.0 && rect.ymin >= 0.0 && rect.xmax <= width && rect.ymax <= height
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the place lies within the image"
)]
fn cropped(image: &RgbImage, place: Rect) -> RgbImage {
    let side = (place.xmax - place.xmin) as u32;
    image::imageops::crop_imm(image, place.xmin as u32, place.ymin as u32, side, side).to_image()
}

/// Sebastiano Vigna's splitmix64: few lines, and the same numbers on every machine.
pub(crate) struct SplitMix(pub(crate) u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = usize::try_from(self.next() % (last as u64 + 1)).unwrap_or(0);
            list.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes() -> Vec<Rect> {
        let at = |x: f64, y: f64| Rect { xmin: x, ymin: y, xmax: x + 10.0, ymax: y + 8.0 };
        vec![at(10.0, 10.0), at(40.0, 30.0), at(70.0, 60.0)]
    }

    fn image() -> RgbImage {
        // Red inside the boxes, black elsewhere.
        RgbImage::from_fn(100, 100, |x, y| {
            let (x, y) = (f64::from(x), f64::from(y));
            let red = boxes().iter().any(|b| x >= b.xmin && x < b.xmax && y >= b.ymin && y < b.ymax);
            image::Rgb([if red { 255 } else { 0 }, 0, 0])
        })
    }

    #[test]
    fn half_of_the_crops_show_a_box_and_half_do_not() {
        let (crops, classes) = cut((Path::new("x.png"), &image()), &boxes(), 6, 8, 7).unwrap();
        assert_eq!(classes, [1, 0, 1, 0, 1, 0]);
        for (crop, class) in crops.iter().zip(&classes) {
            assert_eq!(crop.dimensions(), (8, 8));
            let red: f64 = crop.pixels().map(|p| f64::from(p[0]) / 255.0).sum::<f64>() / 64.0;
            assert!(if *class == 1 { red > 0.4 } else { red < 0.2 }, "{class} {red}");
        }
    }

    #[test]
    fn the_same_seed_cuts_the_same_crops() {
        let cut = |seed| cut((Path::new("x.png"), &image()), &boxes(), 4, 8, seed).unwrap().0;
        assert_eq!(cut(1), cut(1));
        // Three boxes can be put in six orders: some other seed has another one.
        assert!((2..9).any(|seed| cut(seed) != cut(1)));
    }

    #[test]
    fn too_few_boxes_are_said_so() {
        let error = cut((Path::new("x.png"), &image()), &boxes(), 8, 8, 0).unwrap_err();
        assert!(error.to_string().contains("cannot cut 8 crops from x.png: 3 boxes"), "{error}");
    }
}
