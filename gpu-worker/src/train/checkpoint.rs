//! A run of training in a file: model with buffers, optimizer, random generators.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use super::trainer::{Trainer, random_state};
use crate::error::{Result, WorkerError};
use crate::shim;

const DONE: &str = "done";

/// Writes everything that the following steps depend on, as a safetensors file.
pub(super) fn save(trainer: &Trainer<'_>, device: Device, path: &Path) -> Result<()> {
    let mut tensors = trainer.state();
    tensors.extend(random_state(device)?);
    tensors.push((DONE.into(), Tensor::f_from_slice(&[trainer.done.cast_signed()])?));
    let plain = |(name, tensor): (String, Tensor)| -> Result<(String, Tensor)> {
        Ok((name, tensor.f_detach()?.f_to(Device::Cpu)?.f_contiguous()?))
    };
    let tensors = tensors.into_iter().map(plain).collect::<Result<Vec<_>>>()?;
    Tensor::write_safetensors(&tensors, path)
        .map_err(|error| WorkerError::Artifact { path: PathBuf::from(path), cause: error.to_string() })
}

/// Puts a run of the same case where the saved one was.
pub(super) fn load(trainer: &mut Trainer<'_>, device: Device, path: &Path) -> Result<()> {
    let mut saved: BTreeMap<String, Tensor> = Tensor::read_safetensors(path)?.into_iter().collect();
    let mut take = |name: &str| {
        let missing = || WorkerError::Libtorch(format!("{} has no tensor `{name}`", path.display()));
        saved.remove(name).ok_or_else(missing)
    };
    trainer.done = take(DONE)?.f_to_kind(Kind::Int64)?.f_int64_value(&[0])?.cast_unsigned();
    let random = random_state(device)?;
    let _no_grad = tch::no_grad_guard();
    for (name, mut tensor) in trainer.state() {
        tensor.f_copy_(&take(&name)?)?;
    }
    for (name, _) in random {
        let of = if name == "random.cuda" { device } else { Device::Cpu };
        shim::set_rng_state(of, &take(&name)?)?;
    }
    Ok(())
}
