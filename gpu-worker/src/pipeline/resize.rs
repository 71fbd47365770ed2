//! Resizing as torchvision does it on a tensor of bytes: the same kernel of libtorch on the same bytes.

use gpu_suites::spec::Resize;
use image::RgbImage;
use tch::{Device, Kind, Tensor};

use super::taps::Part;
use crate::error::Result;
use crate::model::layers::channels_last;

/// From so many times as long as it is wide on, only the middle of a picture is resized: the whole could be as long as memory lasts.
const LONG: i64 = 16;

/// How pictures come to the size that the model sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resizing {
    pub(super) size: i64,
    pub(super) how: Resize,
}

type Shape = [i64; 2];

impl Resizing {
    /// Bytes that resizing an image takes at its most, the image among them.
    pub(super) fn memory(self, width: u32, height: u32) -> u64 {
        let old = [i64::from(height), i64::from(width)];
        let [new_height, new_width] = if self.is_long(old) { [self.size; 2] } else { self.scaled(old) };
        let product = |one: i64, other: i64| one.unsigned_abs().saturating_mul(other.unsigned_abs());
        let [height, width] = old;
        // libtorch keeps four bytes for each pixel of the image, of the image at its new width, and of the new one; and tables of
        // weights.
        let pixels = 7 * product(height, width) + 4 * product(height.saturating_add(new_height), new_width);
        pixels + 80 * (height + width + new_height + new_width).unsigned_abs()
    }

    /// `[1, 3, S, S]`, bytes, channels side by side.
    pub(super) fn resized(self, image: &RgbImage) -> Result<Tensor> {
        let shape @ [height, width] = [i64::from(image.height()), i64::from(image.width())];
        if self.is_long(shape) {
            return self.middle_of_long(image);
        }
        let [new_height, new_width] = self.scaled(shape);
        let scaled = scaled(image.as_raw(), [height, width], [new_height, new_width])?;
        let middle = scaled.f_narrow(2, middle(new_height, self.size), self.size)?.f_narrow(
            3,
            middle(new_width, self.size),
            self.size,
        )?;
        // A copy of its own where it is a part: the rest is not to stay in memory.
        channels_last(&middle)
    }

    /// The image's size before its middle is taken.
    fn scaled(self, [height, width]: Shape) -> Shape {
        match self.how {
            Resize::Stretch => [self.size, self.size],
            Resize::Cover if width <= height => [self.size * height / width, self.size],
            Resize::Cover => [self.size, self.size * width / height],
        }
    }

    fn is_long(self, [height, width]: Shape) -> bool {
        self.how == Resize::Cover && height.max(width) / LONG > height.min(width)
    }

    /// The same pixels as of the whole image, resized and cut: columns first, then rows, as libtorch does.
    fn middle_of_long(self, image: &RgbImage) -> Result<Tensor> {
        let shape @ [height, width] = [i64::from(image.height()), i64::from(image.width())];
        let [new_height, new_width] = self.scaled(shape);
        let part = |old: i64, new: i64| {
            let begin = index(middle(new, self.size));
            Part::of(index(old), index(new), begin..begin + index(self.size))
        };
        let (size, bytes) = (index(self.size), image.as_raw().as_slice());
        let row = 3 * index(width);
        if width > height {
            let part = part(width, new_width);
            let needed = part.needed();
            let mut columns = vec![0; 3 * size * index(height)];
            for (line, out) in bytes.chunks_exact(row).zip(columns.chunks_exact_mut(3 * size)) {
                part.columns(&line[3 * needed.start..3 * needed.end], out);
            }
            return channels_last(&scaled(&columns, [height, self.size], [self.size; 2])?);
        }
        let part = part(height, new_height);
        let needed = part.needed();
        let rows = needed.len().try_into().unwrap_or(height);
        let old = &bytes[row * needed.start..row * needed.end];
        let wide = pixels(&scaled(old, [rows, width], [rows, self.size])?)?;
        let mut middle = vec![0; 3 * size * size];
        part.rows(&wide, 3 * size, &mut middle);
        scaled(&middle, [self.size; 2], [self.size; 2])
    }
}

/// RGB row by row as another size, with bytes of its own.
fn scaled(bytes: &[u8], [height, width]: Shape, [new_height, new_width]: Shape) -> Result<Tensor> {
    let (shape, strides) = ([1, height, width, 3], [3 * width * height, 3 * width, 3, 1]);
    assert_eq!(bytes.len(), index(3 * width * height), "the shape is that of the bytes");
    // SAFETY: the tensor stands for these bytes, as many as its shape says. They outlive it: nothing that is returned has a part
    // of them.
    let old = unsafe { Tensor::f_from_blob(bytes.as_ptr(), &shape, &strides, Kind::Uint8, Device::Cpu)? };
    let old = old.f_permute([0, 3, 1, 2])?;
    if (new_height, new_width) == (height, width) {
        let mut own = old.f_zeros_like()?;
        own.f_copy_(&old)?;
        return Ok(own);
    }
    Ok(old.f_internal_upsample_bilinear2d_aa([new_height, new_width], false, None, None)?)
}

/// RGB row by row.
fn pixels(tensor: &Tensor) -> Result<Vec<u8>> {
    let rows = tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_view([-1])?;
    Ok(Vec::<u8>::try_from(&rows)?)
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap_or(0)
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

    fn image(width: u32, height: u32) -> RgbImage {
        let byte = |number: u32| number.to_le_bytes()[0];
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([
                byte((x * 37) ^ (y * 11)),
                byte(x * y + 3),
                if (x / 3 + y / 2) % 2 == 0 { 250 } else { 9 },
            ])
        })
    }

    /// The tensor that stands for the image's bytes must not be what comes out: the image is gone by then.
    #[test]
    fn what_the_model_sees_has_bytes_of_its_own_even_where_nothing_is_resized() {
        let image =
            RgbImage::from_fn(8, 8, |x, y| image::Rgb([x, y, x + y].map(|value| value.to_le_bytes()[0])));
        let pixels = Resizing { size: 8, how: Resize::Stretch }.resized(&image).unwrap();
        assert_ne!(pixels.data_ptr().cast_const().cast(), image.as_raw().as_ptr());
        assert_eq!(pixels.size(), [1, 3, 8, 8]);
        assert_eq!(pixels.int64_value(&[0, 2, 3, 4]), 7);
    }

    #[test]
    fn the_middle_of_a_long_image_is_that_of_the_whole() {
        for (short, long) in
            [(1, 65), (2, 77), (3, 100), (7, 200), (16, 300), (31, 560), (32, 600), (90, 1501)]
        {
            for size in [1, 8, 32, 33] {
                for (width, height) in [(short, long), (long, short)] {
                    let resizing = Resizing { size, how: Resize::Cover };
                    let image = image(width, height);
                    let shape = [i64::from(height), i64::from(width)];
                    let [new_height, new_width] = resizing.scaled(shape);
                    let whole = scaled(image.as_raw(), shape, [new_height, new_width]).unwrap();
                    let whole = whole.narrow(2, middle(new_height, size), size);
                    let whole = whole.narrow(3, middle(new_width, size), size);
                    let part = resizing.middle_of_long(&image).unwrap();
                    assert!(whole.equal(&part), "{width} × {height} to {size}");
                }
            }
        }
    }
}
