//! The one batch that a case is trained on.

pub(crate) mod boxes;
pub(crate) mod crops;
pub(crate) mod image;
pub(crate) mod mask;

use std::path::PathBuf;

use ::image::RgbImage;
use gpu_suites::spec::{Data, InputPath, Task};
use sha2::{Digest, Sha256};
use tch::{Device, Kind, Tensor};

use crate::error::{Result, WorkerError};

/// Crops in a batch where the case does not say how many.
const CROPS: usize = 16;
/// The largest side: more would end the process in an allocation that nothing can catch.
const LARGEST: u32 = 8192;

/// What the model sees and what it is to say.
pub(crate) struct Batch {
    /// `[N, 3, H, W]`, normalised.
    pub(crate) input: Tensor,
    /// `segment`: `[N, 1, H, W]` of 0 and 1; `classify`: `[N]` class numbers.
    pub(crate) target: Tensor,
    /// The images behind `input`, for pictures in the report.
    pub(crate) images: Vec<RgbImage>,
}

impl Batch {
    /// Reads the files of the case, which lie in the working folder, and makes the batch.
    pub(crate) fn load(data: &Data, seed: u64, device: Device) -> Result<Self> {
        let size = data.size.get();
        if size > LARGEST {
            return Err(WorkerError::TooLarge { size, limit: LARGEST });
        }
        let image_path = here(&data.image)?;
        let image = image::read(&image_path)?;
        let boxes = boxes::read(&here(&data.boxes)?, [image.width(), image.height()])?;
        match data.task {
            Task::Segment => {
                let scale = |side: u32| f64::from(size) / f64::from(side);
                let (x, y) = (scale(image.width()), scale(image.height()));
                let scaled: Vec<_> = boxes.iter().map(|rect| rect.scaled(x, y)).collect();
                let mask = mask::ellipses(&scaled, size, size);
                let images = vec![image::squared(&image, size)];
                let shape = [1, 1, i64::from(size), i64::from(size)];
                let target = Tensor::f_from_slice(&mask)?.f_view(shape)?.f_to(device)?;
                Ok(Self { input: image::to_tensor(&images, device)?, target, images })
            }
            Task::Classify => {
                let count = data.crops.map_or(CROPS, |crops| crops.get() as usize);
                let (images, classes) = crops::cut((&image_path, &image), &boxes, count, size, seed)?;
                let target = Tensor::f_from_slice(&classes)?.f_to(device)?;
                Ok(Self { input: image::to_tensor(&images, device)?, target, images })
            }
        }
    }

    /// Sixteen hex digits that change when any byte of what is fed to the model changes.
    pub(crate) fn hash(input: &Tensor, target: &Tensor) -> Result<String> {
        let mut hasher = Sha256::new();
        for tensor in [input, target] {
            hash_bytes(&mut hasher, tensor)?;
        }
        Ok(hex::encode(&hasher.finalize()[..8]))
    }
}

fn hash_bytes(hasher: &mut Sha256, tensor: &Tensor) -> Result<()> {
    // Without a copy where the bytes lie in main memory and in order; a batch on a GPU has to come over.
    let local = tensor.f_to(Device::Cpu)?.f_contiguous()?;
    let length = local.numel() * local.f_kind()?.elt_size_in_bytes();
    if length > 0 {
        // SAFETY: a contiguous tensor on the CPU holds that many bytes, and `local` lives until they are hashed.
        hasher.update(unsafe { std::slice::from_raw_parts(local.data_ptr().cast::<u8>(), length) });
    }
    Ok(())
}

/// Where an input lies in the working folder.
pub(crate) fn here(input: &InputPath) -> Result<PathBuf> {
    input.on_node().ok_or_else(|| WorkerError::Case {
        path: PathBuf::from(&input.0),
        cause: "an input's path must not leave its folder".into(),
    })
}

/// The same images without anything on them.
pub(crate) fn zeroed(input: &Tensor) -> Result<Tensor> {
    Ok(input.f_zeros_like()?.f_to_kind(Kind::Float)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_value_changes_the_hash() {
        let input = Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0]).view([1, 1, 2, 2]);
        let target = Tensor::from_slice(&[0i64, 1]);
        let hash = Batch::hash(&input, &target).unwrap();
        assert_eq!(hash.len(), 16);
        assert_eq!(hash, Batch::hash(&input.copy(), &target).unwrap());
        assert_ne!(hash, Batch::hash(&input.f_add_scalar(1.0).unwrap(), &target).unwrap());
        assert_ne!(hash, Batch::hash(&input, &Tensor::from_slice(&[1i64, 0])).unwrap());
    }
}
