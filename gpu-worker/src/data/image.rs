//! A picture from a file, and pictures as tensors.

use std::path::Path;

use gpu_pixels::{Encoded, Unusable};
use image::RgbImage;
use image::imageops::FilterType;
use tch::{Device, Tensor};

use crate::error::{Result, WorkerError};

/// Mean and standard deviation of the channels over ImageNet, which pretrained models expect.
pub(crate) const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
pub(crate) const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// Bytes that decoding an image may take: more would end the process in an allocation that nothing can catch.
const MOST_MEMORY: u64 = 4 << 30;

/// Reads an image file as a pipeline reads it; what the file is, is told by its content.
pub(crate) fn read(path: &Path) -> Result<RgbImage> {
    let failed = |cause: String| WorkerError::Image { path: path.to_owned(), cause };
    let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    let encoded = Encoded::open(&bytes).map_err(|Unusable(why)| failed(why))?;
    if encoded.memory() > MOST_MEMORY {
        let Encoded { width, height, .. } = encoded;
        return Err(failed(format!("{width} × {height} pixels are too many for one batch")));
    }
    encoded.decode().map_err(|Unusable(why)| failed(why))
}

pub(crate) fn squared(image: &RgbImage, size: u32) -> RgbImage {
    image::imageops::resize(image, size, size, FilterType::Triangle)
}

/// Images of one size as normalised values `[N, 3, H, W]`.
pub(crate) fn to_tensor(images: &[RgbImage], device: Device) -> Result<Tensor> {
    let (width, height) = images.first().map_or((0, 0), RgbImage::dimensions);
    let mut values = Vec::with_capacity(images.len() * 3 * (width * height) as usize);
    for image in images {
        for channel in 0..3 {
            let scale = |value: u8| (f32::from(value) / 255.0 - MEAN[channel]) / DEVIATION[channel];
            values.extend(image.pixels().map(|pixel| scale(pixel[channel])));
        }
    }
    let shape = [-1, 3, i64::from(height), i64::from(width)];
    Ok(Tensor::f_from_slice(&values)?.f_view(shape)?.f_to(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_image_is_named_with_the_reason() {
        let path = std::env::temp_dir().join(format!("not-an-image-{}.png", std::process::id()));
        std::fs::write(&path, "hello").unwrap();
        let error = read(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(
            error.contains("not-an-image") && error.contains("none of JPEG, PNG, TIFF and WebP"),
            "{error}"
        );
    }

    #[test]
    fn half_a_jpeg_is_not_trained_on() {
        let leaf = include_bytes!("../../../tests/rig/leaf.jpg");
        let path = std::env::temp_dir().join(format!("half-a-leaf-{}.jpg", std::process::id()));
        std::fs::write(&path, &leaf[..leaf.len() / 2]).unwrap();
        let error = read(&path).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("half-a-leaf") && error.contains("the JPEG is cut off"), "{error}");
    }

    #[test]
    fn channels_are_planes_and_normalised() {
        let image = RgbImage::from_fn(2, 1, |x, _| image::Rgb([if x == 0 { 0 } else { 255 }, 0, 255]));
        let tensor = to_tensor(&[image], Device::Cpu).unwrap();
        assert_eq!(tensor.size(), [1, 3, 1, 2]);
        let red = tensor.double_value(&[0, 0, 0, 1]);
        assert!((red - (1.0 - 0.485) / 0.229).abs() < 1e-5, "{red}");
        let green = tensor.double_value(&[0, 1, 0, 0]);
        assert!((green + 0.456 / 0.224).abs() < 1e-5, "{green}");
    }
}
