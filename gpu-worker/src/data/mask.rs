//! Which pixels belong to a box: an ellipse is inscribed in each, since a crown is rounder than its box.

use super::boxes::Rect;

/// Row by row, 1 for a pixel whose centre lies in the ellipse of a box, else 0.
pub(crate) fn ellipses(boxes: &[Rect], width: u32, height: u32) -> Vec<f32> {
    let mut mask = vec![0.0; width as usize * height as usize];
    for rect in boxes {
        let (centre_x, centre_y) = rect.centre();
        let (radius_x, radius_y) = ((rect.xmax - rect.xmin) / 2.0, (rect.ymax - rect.ymin) / 2.0);
        for (y, row) in mask.chunks_exact_mut(width as usize).enumerate() {
            let dy = (y as f64 + 0.5 - centre_y) / radius_y;
            if dy.abs() > 1.0 {
                continue;
            }
            for (x, pixel) in row.iter_mut().enumerate() {
                let dx = (x as f64 + 0.5 - centre_x) / radius_x;
                if dx * dx + dy * dy <= 1.0 {
                    *pixel = 1.0;
                }
            }
        }
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipse_fills_its_box_without_the_corners() {
        let rect = Rect { xmin: 0.0, ymin: 0.0, xmax: 4.0, ymax: 4.0 };
        let mask = ellipses(&[rect], 5, 4);
        let rows: Vec<&[f32]> = mask.chunks(5).collect();
        assert_eq!(rows[0], [0.0, 1.0, 1.0, 0.0, 0.0]);
        assert_eq!(rows[1], [1.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(rows[3], [0.0, 1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn a_box_that_leaves_the_image_is_cut_off() {
        let mask = ellipses(&[Rect { xmin: -10.0, ymin: -10.0, xmax: 30.0, ymax: 30.0 }], 3, 3);
        assert_eq!(mask, [1.0; 9]);
    }
}
