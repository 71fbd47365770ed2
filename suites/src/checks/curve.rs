//! What shape a loss curve has: where it went flat, whether it still falls, whether it ran away.
//!
//! The curve is cut into at most [`BLOCKS`] blocks and judged by their means, so that noise from step to step does
//! not hide a plateau.

/// A curve with more points than this is judged by the means of so many blocks.
const BLOCKS: usize = 20;

/// How a curve that did not come down far enough looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Shape {
    /// It ended above where it began.
    Diverged,
    /// It was low once and rose again.
    RoseAgain { low: f64, step: u64 },
    /// It never moved.
    Flat,
    /// It went flat at `level` at about this step.
    Plateau { level: f64, step: u64 },
    /// It was on its way down.
    Falling { before: f64, step: u64 },
    /// None of these: it goes up and down.
    Swinging { low: f64, high: f64 },
}

struct Block {
    step: u64,
    mean: f64,
    /// How far off the mean may be because of the noise within the block.
    error: f64,
}

impl Block {
    fn of(points: &[(u64, f64)]) -> Self {
        let count = points.len() as f64;
        let mean = points.iter().map(|point| point.1).sum::<f64>() / count;
        let variance = points.iter().map(|point| (point.1 - mean).powi(2)).sum::<f64>() / count;
        Self { step: points[0].0, mean, error: (variance / count).sqrt() }
    }
}

/// The shape of a curve of at least two points.
pub(super) fn shape(points: &[(u64, f64)]) -> Shape {
    let (first, last) = (points[0].1, points[points.len() - 1].1);
    // Above where it began by half of its size: of a negative loss that is nearer to 0.
    if points.iter().any(|point| !point.1.is_finite()) || last > first + first.abs() * 0.5 {
        return Shape::Diverged;
    }
    let lowest =
        points.iter().copied().filter(|point| point.1.is_finite()).min_by(|a, b| a.1.total_cmp(&b.1));
    if let Some((step, low)) = lowest
        && last - low > 0.5 * (first - low).abs()
        && first - low > 0.25 * first.abs()
    {
        return Shape::RoseAgain { low, step };
    }
    let blocks = Vec::from_iter(points.chunks(points.len().div_ceil(BLOCKS)).map(Block::of));
    let end = &blocks[blocks.len() - 1];
    let is_level = |block: &&Block| {
        (block.mean - end.mean).abs()
            <= 0.02 * first.abs() + 3.0 * (block.error.powi(2) + end.error.powi(2)).sqrt()
    };
    let level = blocks.iter().rev().take_while(is_level).count();
    if level == blocks.len() {
        return Shape::Flat;
    }
    if level >= (blocks.len() / 4).max(3) {
        return Shape::Plateau { level: end.mean, step: blocks[blocks.len() - level].step };
    }
    let before = &blocks[blocks.len() - blocks.len().min(3)];
    if before.mean > end.mean {
        return Shape::Falling { before: before.mean, step: before.step };
    }
    let tail = blocks[blocks.len() / 2..].iter().map(|block| block.mean);
    let (low, high) =
        tail.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean| (low.min(mean), high.max(mean)));
    Shape::Swinging { low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(value: impl Fn(f64) -> f64) -> Vec<(u64, f64)> {
        (1..=200_u32).map(|step| (u64::from(step), value(f64::from(step)))).collect()
    }

    /// Noise that is the same in every run.
    fn noise(step: f64) -> f64 {
        (step * 12.9898).sin() * 43_758.545_3 % 1.0
    }

    #[test]
    fn a_curve_is_told_by_its_shape() {
        let falls = |step: f64| 0.7 * (-step / 400.0).exp();
        assert!(matches!(shape(&curve(falls)), Shape::Falling { .. }));
        assert_eq!(shape(&curve(|_| 0.69)), Shape::Flat);
        assert_eq!(shape(&curve(|step| 0.69 + 0.1 * noise(step))), Shape::Flat);
        assert_eq!(shape(&curve(|step| step)), Shape::Diverged);
        assert_eq!(shape(&[(1, 0.7), (2, f64::NAN)]), Shape::Diverged);
        let flat_from_40 = shape(&curve(|step| 0.31 + 0.4 * (-step / 10.0).exp()));
        let Shape::Plateau { level, step } = flat_from_40 else { panic!("{flat_from_40:?}") };
        assert!((level - 0.31).abs() < 0.01 && (20..=60).contains(&step), "{flat_from_40:?}");
        let noisy = shape(&curve(|step| 0.31 + 0.4 * (-step / 10.0).exp() + 0.05 * noise(step)));
        assert!(matches!(noisy, Shape::Plateau { .. }), "{noisy:?}");
        let rose = shape(&curve(|step| if step < 100.0 { 0.7 - step * 0.006 } else { 0.6 }));
        assert!(matches!(rose, Shape::RoseAgain { step: 99, .. }), "{rose:?}");
    }
}
