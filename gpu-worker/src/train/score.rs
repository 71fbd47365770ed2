//! What a case's loss is, and its metric: IoU over pixels or accuracy over crops.

use gpu_suites::spec::Task;
use tch::{Kind, Reduction, Tensor};

use crate::error::{Result, WorkerError};

pub(super) fn metric_name(task: Task) -> &'static str {
    match task {
        Task::Segment => "iou",
        Task::Classify => "accuracy",
    }
}

/// The loss of a model that gives each class the same probability.
pub(super) fn expected_initial_loss(task: Task, logits: &Tensor) -> f64 {
    match task {
        Task::Segment => std::f64::consts::LN_2,
        Task::Classify => logits.size().last().map_or(f64::NAN, |classes| (*classes as f64).ln()),
    }
}

/// Mean binary cross-entropy over pixels, or cross-entropy over crops; in full precision whatever the logits are.
pub(super) fn loss(task: Task, logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    let logits = logits.f_to_kind(Kind::Float)?;
    Ok(match task {
        Task::Segment => logits.f_binary_cross_entropy_with_logits(
            target,
            None::<Tensor>,
            None::<Tensor>,
            Reduction::Mean,
        )?,
        Task::Classify => logits.f_cross_entropy_loss(target, None::<Tensor>, Reduction::Mean, -100, 0.0)?,
    })
}

/// Whether logits of this shape can be held against the target.
pub(super) fn check_shapes(task: Task, input: &Tensor, logits: &Tensor, target: &Tensor) -> Result<()> {
    let (output, wanted) = (logits.size(), target.size());
    let fits = match task {
        Task::Segment => output == wanted,
        Task::Classify => output.len() == 2 && output[0] == wanted[0] && output[1] >= 2,
    };
    if fits { Ok(()) } else { Err(WorkerError::Shape { input: input.size(), output, target: wanted }) }
}

/// The metric, from 0 to 1.
pub(super) fn metric(task: Task, logits: &Tensor, target: &Tensor) -> Result<f64> {
    match task {
        Task::Segment => {
            let (predicted, truth) = (logits.f_gt(0.0)?, target.f_gt(0.5)?);
            let pixels = |mask: Tensor| -> Result<f64> { Ok(mask.f_sum(Kind::Float)?.f_double_value(&[])?) };
            let union = pixels(predicted.f_logical_or(&truth)?)?;
            let both = pixels(predicted.f_logical_and(&truth)?)?;
            Ok(if union == 0.0 { 1.0 } else { both / union })
        }
        Task::Classify => {
            let right = logits.f_argmax(1, false)?.f_eq_tensor(target)?;
            Ok(right.f_to_kind(Kind::Float)?.f_mean(Kind::Float)?.f_double_value(&[])?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iou_is_the_shared_part_of_what_either_covers() {
        let logits = Tensor::from_slice(&[5.0f32, 5.0, -5.0, -5.0]).view([1, 1, 2, 2]);
        let target = Tensor::from_slice(&[1.0f32, 0.0, 1.0, 0.0]).view([1, 1, 2, 2]);
        assert!((metric(Task::Segment, &logits, &target).unwrap() - 1.0 / 3.0).abs() < 1e-9);
        assert!((metric(Task::Segment, &(&target - 0.5), &target).unwrap() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn accuracy_counts_the_right_classes() {
        let logits = Tensor::from_slice(&[1.0f32, 2.0, 2.0, 1.0, 0.0, 1.0, 0.0, 1.0]).view([4, 2]);
        let target = Tensor::from_slice(&[1i64, 0, 0, 1]);
        assert!((metric(Task::Classify, &logits, &target).unwrap() - 0.75).abs() < 1e-9);
    }

    #[test]
    fn a_model_that_knows_nothing_has_the_expected_loss() {
        let (pixels, mask) = (
            Tensor::zeros([1, 1, 2, 2], tch::kind::FLOAT_CPU),
            Tensor::ones([1, 1, 2, 2], tch::kind::FLOAT_CPU),
        );
        let (crops, classes) =
            (Tensor::zeros([4, 3], tch::kind::FLOAT_CPU), Tensor::from_slice(&[0i64, 1, 2, 0]));
        for (task, logits, target) in [(Task::Segment, pixels, mask), (Task::Classify, crops, classes)] {
            let loss = loss(task, &logits, &target).unwrap().double_value(&[]);
            assert!((loss - expected_initial_loss(task, &logits)).abs() < 1e-6, "{task:?} {loss}");
        }
    }

    #[test]
    fn a_model_of_the_wrong_shape_is_told_both_shapes() {
        let zeros = |shape: &[i64]| Tensor::zeros(shape, tch::kind::FLOAT_CPU);
        let (input, target) = (zeros(&[1, 3, 8, 8]), zeros(&[1, 1, 8, 8]));
        let error =
            check_shapes(Task::Segment, &input, &zeros(&[1, 2, 4, 4]), &target).unwrap_err().to_string();
        assert!(error.contains("[1, 2, 4, 4]") && error.contains("[1, 1, 8, 8]"), "{error}");
        let classes = Tensor::from_slice(&[0i64, 1]);
        assert!(check_shapes(Task::Classify, &input, &zeros(&[2, 2]), &classes).is_ok());
        assert!(check_shapes(Task::Classify, &input, &zeros(&[2, 1]), &classes).is_err());
    }
}
