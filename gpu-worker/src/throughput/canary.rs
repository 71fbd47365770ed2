//! What the device can do at best: large products and a large copy, measured where the model will run.
//!
//! Matrix products and convolutions come from different libraries, of which now one, now the other is the faster: the
//! ceiling of the arithmetic is that of the fastest form.

use std::time::{Duration, Instant};

use gpu_suites::spec::Dtype;
use tch::{Device, Kind, Tensor};

use super::subject::{kind_of, settle};
use crate::error::Result;
use crate::model::layers::channels_last;

/// Side of the matrices: large enough that nothing but the arithmetic counts.
const SIDE: [i64; 2] = [2048, 8192];
/// Images, channels and side of a 3 × 3 convolution of the same kind.
const CONVOLUTION: [[i64; 3]; 2] = [[8, 256, 56], [128, 512, 56]];
/// Bytes that are copied: beyond every cache.
const COPIED: [i64; 2] = [256 << 20, 1 << 30];
/// Runs before the clock starts.
const WARM_UP: u32 = 3;
/// Time of each canary on the CPU and on a GPU, which has to reach the clocks that it keeps.
const LONGEST: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// The device's own rates; the fastest run of each, since a ceiling is what can be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ceiling {
    /// Floating-point operations a second.
    pub(super) flops: f64,
    /// Bytes a second, read and written counted both.
    pub(super) bytes: f64,
}

impl Ceiling {
    /// Measures it, for no longer than `at_most` each.
    pub(super) fn measure(dtype: Dtype, device: Device, at_most: Duration) -> Result<Self> {
        let _no_grad = tch::no_grad_guard();
        let on = usize::from(device.is_cuda());
        let longest = LONGEST[on].min(at_most);
        let flops = matrix(dtype, device, SIDE[on], longest / 2)?.max(convolution(
            dtype,
            device,
            CONVOLUTION[on],
            longest / 2,
        )?);
        let from = Tensor::f_ones([COPIED[on]], (Kind::Uint8, device))?;
        let mut to = Tensor::f_empty([COPIED[on]], (Kind::Uint8, device))?;
        let seconds = fastest(device, longest, || Ok(to.f_copy_(&from)?))?;
        Ok(Self { flops, bytes: 2.0 * COPIED[on] as f64 / seconds })
    }
}

fn matrix(dtype: Dtype, device: Device, side: i64, longest: Duration) -> Result<f64> {
    let options = (kind_of(dtype), device);
    let (left, right) = (random(&[side, side], options)?, random(&[side, side], options)?);
    let product = Tensor::f_empty([side, side], options)?;
    let seconds = fastest(device, longest, || {
        let _ = left.f_mm_out(&product, &right)?;
        Ok(())
    })?;
    Ok(2.0 * (side as f64).powi(3) / seconds)
}

fn convolution(
    dtype: Dtype,
    device: Device,
    [images, channels, side]: [i64; 3],
    longest: Duration,
) -> Result<f64> {
    let options = (kind_of(dtype), device);
    let input = channels_last(&random(&[images, channels, side, side], options)?)?;
    let filter = channels_last(&random(&[channels, channels, 3, 3], options)?)?;
    let seconds = fastest(device, longest, || {
        let _ = input.f_conv2d(&filter, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1)?;
        Ok(())
    })?;
    let outputs = (images * channels * side * side) as f64;
    Ok(2.0 * outputs * (channels * 9) as f64 / seconds)
}

/// Normal numbers: products of zeros take less power and are faster.
fn random(shape: &[i64], (kind, device): (Kind, Device)) -> Result<Tensor> {
    Ok(Tensor::f_randn(shape, (Kind::Float, Device::Cpu))?.f_to_kind(kind)?.f_to(device)?)
}

fn fastest(device: Device, longest: Duration, mut run: impl FnMut() -> Result<()>) -> Result<f64> {
    for _ in 0..WARM_UP {
        run()?;
    }
    settle(device);
    let begun = Instant::now();
    let mut fastest = f64::INFINITY;
    loop {
        let start = Instant::now();
        run()?;
        settle(device);
        fastest = fastest.min(start.elapsed().as_secs_f64());
        if begun.elapsed() >= longest {
            return Ok(fastest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpus_rates_are_those_of_a_cpu() {
        let ceiling = Ceiling::measure(Dtype::Fp32, Device::Cpu, Duration::from_millis(50)).unwrap();
        assert!((1e9..1e14).contains(&ceiling.flops), "{} flop/s", ceiling.flops);
        assert!((1e8..1e13).contains(&ceiling.bytes), "{} byte/s", ceiling.bytes);
    }
}
