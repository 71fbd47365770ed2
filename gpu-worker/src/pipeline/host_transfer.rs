//! The way of a batch to its device.
//!
//! On a GPU each replica has a stream of its own, and memory that the GPU reads by itself: while one replica of a GPU
//! computes, the next one's images are on their way. On the CPU the images are only put side by side.

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::shim;

/// One replica's way. Made and used by the replica's own thread: the stream is that thread's.
pub(super) struct HostTransfer {
    device: Device,
    /// Room for a whole batch, `[N, S, S, 3]`. It is free again when the batch's predictions are read.
    pinned: Option<Tensor>,
}

impl HostTransfer {
    pub(super) fn open(device: Device, batch: i64, side: i64) -> Result<Self> {
        let pinned = if device.is_cuda() {
            shim::own_stream(device)?;
            let room = Tensor::f_zeros([batch, side, side, 3], (Kind::Uint8, Device::Cpu))?;
            Some(room.f_pin_memory(device)?)
        } else {
            None
        };
        Ok(Self { device, pinned })
    }

    /// Images `[1, 3, S, S]` of bytes as one batch on the device. On a GPU it may still be on its way: what is done with
    /// it in this thread waits for it.
    pub(super) fn carry(&self, images: &[&Tensor]) -> Result<Tensor> {
        let Some(pinned) = &self.pinned else { return Ok(Tensor::f_cat(images, 0)?) };
        let count = i64::try_from(images.len()).unwrap_or(i64::MAX);
        let room = pinned.f_narrow(0, 0, count)?.f_permute([0, 3, 1, 2])?;
        for (index, image) in (0..).zip(images) {
            room.f_narrow(0, index, 1)?.f_copy_(image)?;
        }
        Ok(room.f_internal_to_copy((Kind::Uint8, self.device), true)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The way by a block of memory is a GPU's, but for the pinning: it is the same on the CPU.
    #[test]
    fn a_batch_arrives_as_it_was_put_together_and_the_next_one_does_not_change_it() {
        let room = Tensor::zeros([4, 8, 8, 3], (Kind::Uint8, Device::Cpu));
        let (direct, by_room) = (
            HostTransfer::open(Device::Cpu, 4, 8).unwrap(),
            HostTransfer { device: Device::Cpu, pinned: Some(room) },
        );
        let image = |value: i64| {
            let pixels = Tensor::arange(192, (Kind::Uint8, Device::Cpu)).view([1, 8, 8, 3]);
            (pixels + value).permute([0, 3, 1, 2])
        };
        let (one, two, three) = (image(0), image(20), image(40));
        let first = by_room.carry(&[&one, &two, &three]).unwrap();
        assert_eq!(first, direct.carry(&[&one, &two, &three]).unwrap());
        let second = by_room.carry(&[&three]).unwrap();
        assert_eq!(second, three);
        assert_eq!(first.narrow(0, 0, 1), one);
    }
}
