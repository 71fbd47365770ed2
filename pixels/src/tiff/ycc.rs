//! YCbCr that is not in JPEGs, with libtiff's arithmetic: 16 bits behind the point.

use super::directory::Directory;

const COEFFICIENTS: u16 = 529;
const REFERENCE: u16 = 532;
/// Shares of red, green and blue in the brightness (ITU-R BT.601).
const LUMA: [f32; 3] = [0.299, 0.587, 0.114];
/// Black and white of the brightness, and the ranges of the differences.
const FULL: [f32; 6] = [0.0, 255.0, 128.0, 255.0, 128.0, 255.0];
const HALF: i32 = 1 << 15;

/// Values of each sample as they are added.
#[derive(Debug)]
pub(super) struct Ycc {
    brightness: [i32; 256],
    red: [i32; 256],
    green_of_cr: [i32; 256],
    green_of_cb: [i32; 256],
    blue: [i32; 256],
}

impl Ycc {
    pub(super) fn of(directory: &Directory<'_>) -> Self {
        let floats = |tag| directory.floats(tag).unwrap_or_default();
        let luma = of_file(&floats(COEFFICIENTS), LUMA);
        let reference = of_file(&floats(REFERENCE), FULL);
        Self::with(luma, reference)
    }

    #[expect(clippy::cast_possible_truncation, reason = "each is clamped to a few thousands first")]
    fn with([red, green, blue]: [f32; 3], reference: [f32; 6]) -> Self {
        let fixed = |factor: f32| (f64::from(factor.clamp(0.0, 2.0)) * 65536.0 + 0.5) as i32;
        let (of_cr, of_cb) = (2.0 - 2.0 * red, 2.0 - 2.0 * blue);
        let (d1, d2) = (fixed(of_cr), -fixed(red * of_cr / green));
        let (d3, d4) = (fixed(of_cb), -fixed(blue * of_cb / green));
        let value = |code: f32, black: f32, white: f32, range: f32| {
            let span = if white - black == 0.0 { 1.0 } else { white - black };
            ((code - black) * range / span).clamp(-4096.0, 4096.0) as i32
        };
        let difference = |index: usize, black: f32, white: f32| {
            value(index as f32 - 128.0, black - 128.0, white - 128.0, 127.0)
        };
        let cr = |index| difference(index, reference[4], reference[5]);
        let cb = |index| difference(index, reference[2], reference[3]);
        Self {
            brightness: std::array::from_fn(|index| value(index as f32, reference[0], reference[1], 255.0)),
            red: std::array::from_fn(|index| (d1 * cr(index) + HALF) >> 16),
            green_of_cr: std::array::from_fn(|index| d2 * cr(index)),
            green_of_cb: std::array::from_fn(|index| d4 * cb(index) + HALF),
            blue: std::array::from_fn(|index| (d3 * cb(index) + HALF) >> 16),
        }
    }

    pub(super) fn rgb(&self, [y, cb, cr]: [u8; 3]) -> [u8; 3] {
        let [y, cb, cr] = [y, cb, cr].map(usize::from);
        let y = self.brightness[y];
        let green = (self.green_of_cb[cb] + self.green_of_cr[cr]) >> 16;
        [y + self.red[cr], y + green, y + self.blue[cb]].map(|value| value.clamp(0, 255).to_le_bytes()[0])
    }
}

/// The file's numbers, where all of them are some.
#[expect(clippy::cast_possible_truncation, reason = "libtiff reads them as floats")]
fn of_file<const COUNT: usize>(found: &[f64], otherwise: [f32; COUNT]) -> [f32; COUNT] {
    let sound = found.len() >= COUNT && found.iter().all(|number| number.is_finite());
    if sound { std::array::from_fn(|index| found[index] as f32) } else { otherwise }
}
