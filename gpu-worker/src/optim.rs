//! Adam (Kingma & Ba 2015) over libtorch's fused kernel, with a state that can be saved, and its learning rate.
//!
//! tch's own optimizers keep their state out of reach, so a run that was saved could not be continued exactly.

use tch::{Device, Kind, Tensor};

use crate::error::Result;
use crate::shim::{self, AdamStep};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
/// What is left of the learning rate at the end.
const LAST_SHARE: f64 = 0.01;

/// Adam with the moments of each parameter.
pub(crate) struct Adam {
    parameters: Vec<Tensor>,
    means: Vec<Tensor>,
    squares: Vec<Tensor>,
    /// Updates so far, as a tensor on the parameters' device: the kernel reads it there.
    step: Tensor,
}

impl Adam {
    pub(crate) fn new(parameters: Vec<Tensor>, device: Device) -> Result<Self> {
        let zeros =
            || parameters.iter().map(Tensor::f_zeros_like).collect::<std::result::Result<Vec<_>, _>>();
        let (means, squares) = (zeros()?, zeros()?);
        let step = Tensor::f_zeros([] as [i64; 0], (Kind::Float, device))?;
        Ok(Self { parameters, means, squares, step })
    }

    /// Updates the parameters from their gradients, then drops these.
    pub(crate) fn step(&mut self, rate: f64) -> Result<()> {
        let _ = self.step.f_add_scalar_(1.0)?;
        let with = AdamStep { rate, beta1: BETA1, beta2: BETA2, epsilon: EPSILON };
        shim::adam(&self.parameters, &self.means, &self.squares, &self.step, &with)?;
        shim::clear_grads(&self.parameters)
    }

    /// The 2-norm over all gradients.
    pub(crate) fn grad_norm(&self) -> Result<f64> {
        shim::grad_norm(&self.parameters)
    }

    /// Everything that another Adam needs to go on as this one would.
    pub(crate) fn state(&self) -> Vec<(String, Tensor)> {
        let named = |prefix: &'static str, list: &[Tensor]| {
            let list: Vec<_> =
                list.iter().enumerate().map(|(i, t)| (format!("{prefix}.{i}"), t.shallow_clone())).collect();
            list
        };
        let mut state = named("adam.mean", &self.means);
        state.extend(named("adam.square", &self.squares));
        state.push(("adam.step".into(), self.step.shallow_clone()));
        state
    }
}

/// The learning rate of a step (counted from 1) of `steps`: it falls to a hundredth along half a cosine, so that the
/// last weights stand still and BatchNorm's running statistics catch up with them.
pub(crate) fn cosine(rate: f64, step: u64, steps: u64) -> f64 {
    let done = (step - 1) as f64 / steps as f64;
    rate * (LAST_SHARE + (1.0 - LAST_SHARE) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Adam as the paper writes it, for one number.
    fn by_hand(mut weight: f64, gradients: &[f64], rate: f64) -> f64 {
        let (mut mean, mut square) = (0.0, 0.0);
        for (index, gradient) in gradients.iter().enumerate() {
            let t = i32::try_from(index).unwrap() + 1;
            mean = BETA1 * mean + (1.0 - BETA1) * gradient;
            square = BETA2 * square + (1.0 - BETA2) * gradient * gradient;
            let (mean_hat, square_hat) = (mean / (1.0 - BETA1.powi(t)), square / (1.0 - BETA2.powi(t)));
            weight -= rate * mean_hat / (square_hat.sqrt() + EPSILON);
        }
        weight
    }

    fn weight(value: f64) -> Tensor {
        Tensor::from_slice(&[value]).to_kind(Kind::Float).set_requires_grad(true)
    }

    /// One step of w² · scale, whose gradient is 2 · w · scale.
    fn train(adam: &mut Adam, weight: &Tensor, scale: f64) -> f64 {
        let gradient = 2.0 * weight.double_value(&[0]) * scale;
        (weight * weight * scale).sum(Kind::Float).backward();
        adam.step(0.1).unwrap();
        gradient
    }

    #[test]
    fn adam_computes_what_the_paper_says() {
        let w = weight(1.5);
        let mut adam = Adam::new(vec![w.shallow_clone()], Device::Cpu).unwrap();
        let gradients: Vec<f64> = [1.0, -0.5, 2.0].map(|scale| train(&mut adam, &w, scale)).into();
        let (got, wanted) = (w.double_value(&[0]), by_hand(1.5, &gradients, 0.1));
        assert!((got - wanted).abs() < 1e-6, "{got} {wanted}");
    }

    #[test]
    fn an_adam_with_a_restored_state_goes_on_alike() {
        let (one, other) = (weight(1.5), weight(1.5));
        let mut first = Adam::new(vec![one.shallow_clone()], Device::Cpu).unwrap();
        for scale in [1.0, 0.3] {
            train(&mut first, &one, scale);
        }
        let mut second = Adam::new(vec![other.shallow_clone()], Device::Cpu).unwrap();
        tch::no_grad(|| other.shallow_clone().copy_(&one));
        for ((_, mut to), (_, from)) in second.state().into_iter().zip(first.state()) {
            to.copy_(&from);
        }
        train(&mut first, &one, 0.7);
        train(&mut second, &other, 0.7);
        assert!(one.double_value(&[0]).to_bits() == other.double_value(&[0]).to_bits());
    }

    #[test]
    fn the_gradient_norm_is_that_of_all_gradients_together() {
        let (a, b) = (weight(3.0), weight(4.0));
        (&a * &a * 0.5 + &b * &b * 0.5).sum(Kind::Float).backward();
        let adam = Adam::new(vec![a, b], Device::Cpu).unwrap();
        assert!((adam.grad_norm().unwrap() - 5.0).abs() < 1e-6);
    }

    #[test]
    fn the_rate_falls_from_whole_to_a_hundredth() {
        assert!((cosine(0.01, 1, 200) - 0.01).abs() < 1e-12);
        assert!(cosine(0.01, 200, 200) < 0.000_11);
        assert!(cosine(0.01, 100, 200) < cosine(0.01, 99, 200));
    }
}
