//! What is trained or measured: a built-in model or the user's own TorchScript file, behind one face.

pub(crate) mod layers;
mod resnet;
mod unet;

use std::cell::Cell;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use gpu_suites::spec::{Builtin, Mode, Model as Spec, Task};
use tch::{Device, Kind, Tensor};

use self::layers::{Weights, channels_last};
use self::resnet::{Depth, ResNet};
use self::unet::{UNet, WIDTH};
use crate::data::here;
use crate::error::{Result, WorkerError};
use crate::shim::Module;

/// A box, or background.
const CROWN_CLASSES: i64 = 2;
/// ImageNet's, with which rates of such models are told.
const IMAGENET_CLASSES: i64 = 1000;

pub(crate) struct Model {
    network: Network,
    /// Every parameter by name, frozen ones included.
    pub(crate) parameters: Vec<(String, Tensor)>,
    /// What belongs to the model and is not trained, e.g. BatchNorm's running statistics.
    pub(crate) buffers: Vec<(String, Tensor)>,
    device: Device,
}

enum Network {
    UNet(UNet),
    ResNet(ResNet),
    /// The module, and whether it is in training mode.
    Script(Module, Cell<bool>),
}

impl Model {
    /// Makes the model for a task as the current random state draws it.
    pub(crate) fn new(spec: &Spec, task: Task, device: Device) -> Result<Self> {
        match (spec.builtin, &spec.torchscript, task) {
            (_, Some(file), _) => {
                let path = here(file)?;
                let model = Self::script(&path, device)?;
                model.check_trainable(&path)?;
                Ok(model)
            }
            (Some(Builtin::Unet), None, Task::Classify) => {
                Err(WorkerError::TaskOfModel { model: "unet", task: "classify" })
            }
            (Some(Builtin::Resnet18 | Builtin::Resnet50), None, Task::Segment) => {
                Err(WorkerError::TaskOfModel { model: "resnet", task: "segment" })
            }
            (Some(builtin), None, _) => Self::built(builtin, spec.width, CROWN_CLASSES, device),
            (None, None, _) => Err(WorkerError::TaskOfModel { model: "(none)", task: "any" }),
        }
    }

    /// Makes the model whose rate is measured.
    pub(crate) fn to_measure(spec: &Spec, mode: Mode, device: Device) -> Result<Self> {
        match (spec.builtin, &spec.torchscript) {
            (_, Some(file)) => {
                let path = here(file)?;
                let model = Self::script(&path, device)?;
                if mode == Mode::TrainingStep {
                    model.check_trainable(&path)?;
                }
                Ok(model)
            }
            (Some(builtin), None) => Self::built(builtin, spec.width, IMAGENET_CLASSES, device),
            (None, None) => Err(WorkerError::TaskOfModel { model: "(none)", task: "any" }),
        }
    }

    fn built(builtin: Builtin, width: Option<NonZeroU32>, classes: i64, device: Device) -> Result<Self> {
        let resnet = |depth| -> Result<(Network, Weights)> {
            let (network, weights) = ResNet::new(depth, classes, device)?;
            Ok((Network::ResNet(network), weights))
        };
        let (network, weights) = match builtin {
            Builtin::Unet => {
                let (network, weights) = UNet::new(width.map_or(WIDTH, NonZeroU32::get), device)?;
                (Network::UNet(network), weights)
            }
            Builtin::Resnet18 => resnet(Depth::Eighteen)?,
            Builtin::Resnet50 => resnet(Depth::Fifty)?,
        };
        Ok(Self { network, parameters: weights.parameters, buffers: weights.buffers, device })
    }

    fn script(path: &Path, device: Device) -> Result<Self> {
        let wrong = |error: WorkerError| match error {
            WorkerError::Libtorch(cause) => not_a_script(path, cause),
            other => other,
        };
        std::fs::File::open(path).map_err(|error| not_a_script(path, error.to_string()))?;
        let module = Module::load(path, device).map_err(wrong)?;
        let (parameters, buffers) = (module.parameters()?, module.buffers()?);
        module.set_train(true)?;
        Ok(Self { network: Network::Script(module, Cell::new(true)), parameters, buffers, device })
    }

    fn check_trainable(&self, path: &Path) -> Result<()> {
        if self.parameters.iter().any(|(_, tensor)| tensor.requires_grad()) {
            return Ok(());
        }
        Err(WorkerError::NoParameters { path: path.to_owned() })
    }

    /// Gives every number of the model this format and its filters this layout. The handles stay valid: a TorchScript
    /// module's tensors are changed in place.
    pub(crate) fn convert(&self, kind: Kind, channels_side_by_side: bool) -> Result<()> {
        for (_, tensor) in self.parameters.iter().chain(&self.buffers) {
            // Counters, such as BatchNorm's, stay whole numbers.
            if !tensor.f_is_floating_point()? {
                continue;
            }
            let values = tensor.f_detach()?.f_to_kind(kind)?;
            let values = match (values.dim(), channels_side_by_side) {
                (4, true) => channels_last(&values)?,
                _ => values.f_contiguous()?,
            };
            tensor.shallow_clone().f_set_data(&values)?;
        }
        Ok(())
    }

    /// Lets libtorch rewrite the model for inference alone: normalisations go into the convolutions before them, which
    /// get the layout that the processor likes. Its numbers are no longer to be had by name. A built-in model is traced
    /// with the `example` first.
    pub(crate) fn optimize(&mut self, example: &Tensor) -> Result<()> {
        // On a GPU it was never measured.
        if self.device != Device::Cpu {
            return Ok(());
        }
        if let Network::UNet(_) | Network::ResNet(_) = self.network {
            let forward = |input: &Tensor| self.forward(input, false);
            let module = Module::trace(example, &self.parameters, &self.buffers, forward)?;
            self.network = Network::Script(module, Cell::new(true));
        }
        if let Network::Script(module, mode) = &mut self.network {
            module.set_train(false)?;
            mode.set(false);
            module.optimize()?;
        }
        self.parameters.clear();
        self.buffers.clear();
        Ok(())
    }

    /// The input as this model computes fastest with it.
    pub(crate) fn laid_out(&self, input: &Tensor) -> Result<Tensor> {
        match self.network {
            Network::UNet(_) | Network::ResNet(_) if self.device == Device::Cpu => channels_last(input),
            _ => Ok(input.shallow_clone()),
        }
    }

    /// The logits; `train` is the mode of BatchNorm and dropout.
    pub(crate) fn forward(&self, input: &Tensor, train: bool) -> Result<Tensor> {
        match &self.network {
            Network::UNet(network) => {
                check_sides(input)?;
                network.forward(input, train)
            }
            Network::ResNet(network) => network.forward(input, train),
            Network::Script(module, mode) => {
                if mode.replace(train) != train {
                    module.set_train(train)?;
                }
                module.forward(input)
            }
        }
    }

    /// The tensors that an optimizer has to update.
    pub(crate) fn trainable(&self) -> Vec<(String, Tensor)> {
        let open = self.parameters.iter().filter(|(_, tensor)| tensor.requires_grad());
        open.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect()
    }

    /// Freezes everything but the first normalisation, so that the model cannot learn what it is to learn.
    pub(crate) fn freeze_head_and_body(&self) -> Result<()> {
        // A normalisation has the first one-dimensional parameters: its scale, and its shift right after.
        let first = self.parameters.iter().position(|(_, tensor)| tensor.dim() == 1).unwrap_or(0);
        for (index, (_, tensor)) in self.parameters.iter().enumerate() {
            let open = index == first || (index == first + 1 && tensor.dim() == 1);
            let _ = tensor.f_set_requires_grad(open)?;
        }
        Ok(())
    }

    /// Writes the model, in evaluation mode, as a TorchScript file that any libtorch loads.
    pub(crate) fn export(&self, example: &Tensor, path: &Path) -> Result<()> {
        match &self.network {
            Network::Script(module, mode) => {
                mode.set(false);
                module.set_train(false)?;
                module.save(path)
            }
            Network::UNet(_) | Network::ResNet(_) => {
                let forward = |input: &Tensor| self.forward(input, false);
                Module::trace(example, &self.parameters, &self.buffers, forward)?.save(path)
            }
        }
    }
}

fn check_sides(input: &Tensor) -> Result<()> {
    let shape = input.size();
    if shape[2] % UNet::MULTIPLE == 0 && shape[3] % UNet::MULTIPLE == 0 {
        return Ok(());
    }
    Err(WorkerError::Size { size: shape[2], multiple: UNet::MULTIPLE })
}

fn not_a_script(path: &Path, cause: String) -> WorkerError {
    WorkerError::Script { path: PathBuf::from(path), libtorch: crate::shim::libtorch_version(), cause }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builtin(builtin: Builtin, task: Task) -> Model {
        let _alone = crate::tests::random_generator();
        tch::manual_seed(1);
        let spec = Spec { builtin: Some(builtin), torchscript: None, width: None };
        Model::new(&spec, task, Device::Cpu).unwrap()
    }

    fn picture(shape: [i64; 4]) -> Tensor {
        Tensor::f_arange(shape.iter().product::<i64>(), tch::kind::FLOAT_CPU).unwrap().sin().view(shape)
    }

    fn numbers(model: &Model) -> usize {
        model.parameters.iter().map(|(_, tensor)| tensor.numel()).sum()
    }

    #[test]
    fn resnet18_is_torchvisions() {
        let model = builtin(Builtin::Resnet18, Task::Classify);
        // 11,689,512 with 1000 classes: 998 · 513 fewer with two.
        assert_eq!(numbers(&model), 11_689_512 - 998 * 513);
        assert_eq!(model.parameters.len(), 62);
        assert_eq!(model.parameters[3].0, "layer1.0.conv1.weight");
        let input = picture([4, 3, 64, 64]);
        assert_eq!(model.forward(&input, true).unwrap().size(), [4, 2]);
    }

    #[test]
    fn the_unet_answers_for_each_pixel() {
        let model = builtin(Builtin::Unet, Task::Segment);
        let input = picture([1, 3, 32, 48]);
        assert_eq!(model.forward(&input, true).unwrap().size(), [1, 1, 32, 48]);
        let odd = picture([1, 3, 36, 48]);
        assert!(model.forward(&odd, true).unwrap_err().to_string().contains("36"));
    }

    #[test]
    fn an_exported_model_answers_the_same_and_keeps_its_buffers() {
        let model = builtin(Builtin::Unet, Task::Segment);
        let input = picture([1, 3, 32, 32]);
        let _ = model.forward(&input, true).unwrap();
        let path = std::env::temp_dir().join(format!("exported-{}.pt", std::process::id()));
        model.export(&input, &path).unwrap();
        let again = Model::script(&path, Device::Cpu).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(again.parameters.len(), model.parameters.len());
        assert_eq!(again.buffers.len(), model.buffers.len());
        let difference = model.forward(&input, false).unwrap() - again.forward(&input, false).unwrap();
        assert!(difference.abs().max().double_value(&[]) < 1e-5);
    }

    #[test]
    fn a_frozen_head_leaves_one_normalisation_to_train() {
        let model = builtin(Builtin::Unet, Task::Segment);
        model.freeze_head_and_body().unwrap();
        let names: Vec<String> = model.trainable().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["down0.norm1.weight", "down0.norm1.bias"]);
    }

    #[test]
    fn a_model_that_was_rewritten_for_inference_says_the_same() {
        let spec = Spec { builtin: Some(Builtin::Resnet18), torchscript: None, width: None };
        tch::manual_seed(7);
        let mut model = Model::new(&spec, Task::Classify, Device::Cpu).unwrap();
        let path = std::env::temp_dir().join(format!("optimized-{}.pt", std::process::id()));
        let input = Tensor::randn([3, 3, 64, 64], (Kind::Float, Device::Cpu));
        model.export(&input, &path).unwrap();
        let mut script = Model::script(&path, Device::Cpu).unwrap();
        std::fs::remove_file(&path).unwrap();
        let before = script.forward(&input, false).unwrap();
        script.optimize(&input).unwrap();
        model.optimize(&input).unwrap();
        // More than once, and in another size: what was compiled for the first batch is not all that it can do.
        for count in [3, 3, 3, 1, 2] {
            let input = input.narrow(0, 0, count);
            for model in [&script, &model] {
                let after = model.forward(&input, false).unwrap();
                let apart = (after - before.narrow(0, 0, count)).abs().max().double_value(&[]);
                assert!(apart < 1e-5, "{apart}");
            }
        }
        assert!(script.parameters.is_empty(), "they are no longer the model's");
        assert!(matches!(model.network, Network::Script(..)), "the built-in model is rewritten, too");
    }

    #[test]
    fn a_file_that_is_no_torchscript_is_named() {
        let path = std::env::temp_dir().join(format!("no-script-{}.pt", std::process::id()));
        std::fs::write(&path, "hello").unwrap();
        let error = Model::script(&path, Device::Cpu).err().unwrap().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(error.contains("no-script") && error.contains("not a TorchScript model"), "{error}");
    }
}
