//! One image never ends a run or a node: whatever its shape, it takes no more memory than the case gives to images.

use std::io::Cursor;

use gpu_harness_tests::pipeline::{LEAF, Pipeline};
use image::{GrayImage, ImageFormat, RgbImage};

const MIB: f64 = (1 << 20) as f64;

fn encoded(image: impl Into<image::DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("it is encoded");
    bytes.into_inner()
}

/// What a run with little memory takes, and the error of each row.
fn run(images: &[(&str, &[u8])]) -> (f64, Vec<(String, Option<String>)>) {
    let mut pipeline = Pipeline::new();
    pipeline.set("memory", "64 MiB");
    pipeline.set("resize", "cover");
    pipeline.set("size", 96);
    for (key, bytes) in images {
        pipeline.image(key, bytes);
    }
    let ran = pipeline.succeed();
    let mut rows = pipeline.rows();
    rows.sort();
    (ran.figure("memory_peak_bytes"), rows)
}

#[test]
fn an_image_takes_no_more_than_its_share_of_memory_whatever_its_shape() {
    let wide = RgbImage::from_fn(640, 480, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7]));
    let (usual, rows) = run(&[("leaf.jpg", LEAF), ("wide.png", &encoded(wide, ImageFormat::Png))]);
    assert!(rows.iter().all(|(_, error)| error.is_none()), "{rows:?}");

    let tall = encoded(RgbImage::new(1, 65_500), ImageFormat::Jpeg);
    let flat = encoded(RgbImage::new(65_500, 1), ImageFormat::Jpeg);
    // 81 megapixels that compress to some kilobytes, within the limit of pixels.
    let bomb = encoded(GrayImage::new(9_000, 9_000), ImageFormat::Png);
    let long = [LEAF, &vec![0; 17 << 20]].concat();
    let (peak, rows) = run(&[
        ("bomb.png", &bomb),
        ("flat.jpg", &flat),
        ("leaf.jpg", LEAF),
        ("long.jpg", &long),
        ("tall.jpg", &tall),
    ]);
    let said = rows.iter().map(|(key, error)| format!("{key}: {}", error.as_deref().unwrap_or("sound")));
    insta::assert_snapshot!(Vec::from_iter(said).join("\n"));
    assert!(peak < usual + 128.0 * MIB, "{} MiB, as against {} MiB", peak / MIB, usual / MIB);
}
