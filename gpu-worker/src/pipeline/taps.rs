//! A part of a picture that is resized along one side, without the rest: libtorch's arithmetic for bytes with `antialias`, which is
//! Pillow's. Each new row or column is a weighted sum of those around its centre, in whole numbers.

use std::ops::Range;

/// The weights of one new row or column.
struct Taps {
    /// The first of the old ones that count.
    first: usize,
    weights: Vec<i32>,
}

/// New rows or columns of a side.
pub(super) struct Part {
    taps: Vec<Taps>,
    /// Bits behind the point of the weights.
    precision: u32,
}

/// How a side becomes another one.
#[derive(Clone, Copy)]
struct Side {
    old: usize,
    scale: f64,
}

impl Side {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "as libtorch rounds, from 0 on"
    )]
    fn weights(self, new: usize) -> (usize, Vec<f64>) {
        let reach = self.scale.max(1.0);
        let centre = self.scale * (new as f64 + 0.5);
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(self.old);
        let share = |old: usize| (1.0 - ((old as f64 - centre + 0.5) / reach).abs()).max(0.0);
        let shares = Vec::from_iter((first..end).map(share));
        let whole = shares.iter().sum::<f64>();
        (first, shares.into_iter().map(|share| share / whole).collect())
    }
}

impl Part {
    /// The rows or columns `wanted` of a side of `old` that becomes one of `new`.
    #[expect(clippy::cast_possible_truncation, reason = "weights are at most 1")]
    pub(super) fn of(old: usize, new: usize, wanted: Range<usize>) -> Self {
        let side = Side { old, scale: old as f64 / new as f64 };
        // Where a side grows, its first row has one weight, of 1; else there are no more new ones than old ones.
        let looked_at = if new > old { 0..1 } else { 0..new };
        let largest = looked_at.flat_map(|new| side.weights(new).1).fold(0.0, f64::max);
        let fits = |precision: &u32| 0.5 + largest * f64::from(1 << (precision + 1)) >= f64::from(1 << 15);
        let precision = (0..22).find(fits).unwrap_or(22);
        let whole = |weight: f64| (0.5 + weight * f64::from(1 << precision)) as i32;
        let taps = wanted.map(|new| {
            let (first, weights) = side.weights(new);
            Taps { first, weights: weights.into_iter().map(whole).collect() }
        });
        Self { taps: taps.collect(), precision }
    }

    /// The old rows or columns that count for any of them.
    pub(super) fn needed(&self) -> Range<usize> {
        let first = self.taps.iter().map(|taps| taps.first).min().unwrap_or(0);
        let end = self.taps.iter().map(|taps| taps.first + taps.weights.len()).max().unwrap_or(0);
        first..end
    }

    /// Makes them of lines of RGB along the side, of which the first stands for `needed().start`.
    pub(super) fn columns(&self, line: &[u8], out: &mut [u8]) {
        let begin = self.needed().start;
        for (taps, pixel) in self.taps.iter().zip(out.chunks_exact_mut(3)) {
            for (channel, value) in pixel.iter_mut().enumerate() {
                let old = line[3 * (taps.first - begin) + channel..].iter().step_by(3);
                *value = self.sum(taps, old);
            }
        }
    }

    /// Makes them of rows, of which the first stands for `needed().start`.
    pub(super) fn rows(&self, rows: &[u8], width: usize, out: &mut [u8]) {
        let begin = self.needed().start;
        for (taps, row) in self.taps.iter().zip(out.chunks_exact_mut(width)) {
            for (at, value) in row.iter_mut().enumerate() {
                let old = rows[width * (taps.first - begin) + at..].iter().step_by(width);
                *value = self.sum(taps, old);
            }
        }
    }

    fn sum<'a>(&self, taps: &Taps, old: impl Iterator<Item = &'a u8>) -> u8 {
        let half = 1 << (self.precision - 1);
        let sum =
            taps.weights.iter().zip(old).fold(half, |sum, (weight, old)| sum + weight * i32::from(*old));
        (sum >> self.precision).clamp(0, 255).to_le_bytes()[0]
    }
}
