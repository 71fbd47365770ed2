//! After the first backward pass: which tensors have a gradient, and after the first update: which have moved.

use gpu_suites::metrics::Value;
use tch::{Kind, Tensor};

use super::copy_of;
use crate::emit::count;
use crate::error::Result;

/// Names that a finding lists; the count says how many there are.
const NAMES: usize = 8;

/// The tensors of a model between the first backward pass and the first update.
pub(super) struct Before {
    trainable: usize,
    frozen: usize,
    without_gradient: Vec<String>,
    zero_gradient: Vec<String>,
    nonfinite_gradient: Vec<String>,
    /// Each parameter, its value now, and whether it is trained.
    values: Vec<(String, Tensor, Tensor, bool)>,
}

/// Which tensors do not take part in the training as they should.
#[derive(Debug)]
pub(super) struct Census {
    trainable: usize,
    frozen: usize,
    without_gradient: Vec<String>,
    zero_gradient: Vec<String>,
    nonfinite_gradient: Vec<String>,
    unchanged: Vec<String>,
    frozen_changed: Vec<String>,
}

impl Before {
    /// Looks at the gradients and keeps the values.
    pub(super) fn look(parameters: &[(String, Tensor)]) -> Result<Self> {
        let mut before = Self {
            trainable: 0,
            frozen: 0,
            without_gradient: Vec::new(),
            zero_gradient: Vec::new(),
            nonfinite_gradient: Vec::new(),
            values: Vec::new(),
        };
        for (name, tensor) in parameters {
            let trained = tensor.requires_grad();
            let value = copy_of(&tensor.f_detach()?)?;
            before.values.push((name.clone(), tensor.shallow_clone(), value, trained));
            if !trained {
                before.frozen += 1;
                continue;
            }
            before.trainable += 1;
            let gradient = tensor.f_grad()?;
            if !gradient.defined() {
                before.without_gradient.push(name.clone());
                continue;
            }
            let largest = gradient.f_abs()?.f_max()?.f_double_value(&[])?;
            // A maximum over a NaN is NaN.
            if !largest.is_finite() {
                before.nonfinite_gradient.push(name.clone());
            } else if largest == 0.0 {
                before.zero_gradient.push(name.clone());
            }
        }
        Ok(before)
    }

    /// Compares with the values after the update.
    pub(super) fn after_update(self) -> Result<Census> {
        let (mut unchanged, mut frozen_changed) = (Vec::new(), Vec::new());
        for (name, tensor, before, trained) in self.values {
            let same = tensor
                .f_detach()?
                .f_eq_tensor(&before)?
                .f_all()?
                .f_to_kind(Kind::Int64)?
                .f_int64_value(&[])?
                == 1;
            match (trained, same) {
                (true, true) => unchanged.push(name),
                (false, false) => frozen_changed.push(name),
                _ => {}
            }
        }
        Ok(Census {
            trainable: self.trainable,
            frozen: self.frozen,
            without_gradient: self.without_gradient,
            zero_gradient: self.zero_gradient,
            nonfinite_gradient: self.nonfinite_gradient,
            unchanged,
            frozen_changed,
        })
    }
}

impl Census {
    /// The counts, and the first names of each list that has any.
    pub(super) fn metrics(&self) -> Vec<(String, Value)> {
        let mut metrics = vec![
            ("params_trainable".to_owned(), count(self.trainable)),
            ("params_frozen".to_owned(), count(self.frozen)),
        ];
        for (name, list) in [
            ("params_without_gradient", &self.without_gradient),
            ("params_zero_gradient", &self.zero_gradient),
            ("params_nonfinite_gradient", &self.nonfinite_gradient),
            ("params_unchanged", &self.unchanged),
            ("frozen_changed", &self.frozen_changed),
        ] {
            metrics.push((name.to_owned(), count(list.len())));
            if !list.is_empty() {
                let names = list[..list.len().min(NAMES)].join(", ");
                metrics.push((format!("{name}_names"), Value::Text(names)));
            }
        }
        metrics
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;

    fn parameter(name: &str, value: f32, trained: bool) -> (String, Tensor) {
        (name.to_owned(), Tensor::from_slice(&[value]).set_requires_grad(trained))
    }

    #[test]
    fn every_way_not_to_take_part_is_seen() {
        let parameters = [
            parameter("good", 1.0, true),
            parameter("unused", 2.0, true),
            parameter("dead", 3.0, true),
            parameter("broken", 0.0, true),
            parameter("frozen", 4.0, false),
            parameter("thawed", 5.0, false),
        ];
        let tensor = |index: usize| parameters[index].1.shallow_clone();
        // The derivative of a square root at zero is infinite.
        let loss = tensor(0) * 2.0 + tensor(2) * 0.0 + tensor(3).sqrt() + tensor(4);
        loss.sum(Kind::Float).backward();
        let before = Before::look(&parameters).unwrap();
        tch::no_grad(|| {
            for index in [0, 5] {
                let _ = tensor(index).f_add_scalar_(1.0).unwrap();
            }
        });
        let census = before.after_update().unwrap();
        assert_eq!((census.trainable, census.frozen), (4, 2));
        assert_eq!(census.without_gradient, ["unused"]);
        assert_eq!(census.zero_gradient, ["dead"]);
        assert_eq!(census.nonfinite_gradient, ["broken"]);
        assert_eq!(census.unchanged, ["unused", "dead", "broken"]);
        assert_eq!(census.frozen_changed, ["thawed"]);
        let metrics = census.metrics();
        assert!(
            metrics.contains(&("params_unchanged_names".into(), Value::Text("unused, dead, broken".into())))
        );
    }

    #[test]
    fn long_lists_name_the_first_few() {
        let many: Vec<_> = (0..20).map(|i| parameter(&format!("p{i}"), 1.0, true)).collect();
        let census = Before::look(&many).unwrap().after_update().unwrap();
        let metrics = census.metrics();
        assert!(metrics.contains(&("params_without_gradient".into(), count(20))));
        let names = metrics.iter().find(|(name, _)| name == "params_without_gradient_names").unwrap();
        assert_eq!(names.1, Value::Text("p0, p1, p2, p3, p4, p5, p6, p7".into()));
        assert!(Device::Cpu == many[0].1.device());
    }
}
