//! The promise that a damaged image is a row with its error, and nothing else: no image beside it suffers, and the limit on
//! how many there may be is kept to the image.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::pipeline::{LEAF, Pipeline};

/// One image in so many is damaged.
const EACH: u64 = 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub sound: u64,
    /// Images that have an error in their row, by what was done to them.
    pub damaged: BTreeMap<&'static str, u64>,
}

/// Runs over so many images, a tenth of them damaged in one way or another.
pub fn check(images: u64, seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", 1000);
    let mut numbers = Vec::from_iter(0..images);
    numbers.shuffle(&mut random);
    let (bad, _) = numbers.split_at(usize::try_from(images / EACH).unwrap_or(usize::MAX));
    let mut done: BTreeMap<String, &'static str> = BTreeMap::new();
    for number in 0..images {
        pipeline.image(&key(number), LEAF);
    }
    for number in bad {
        let (how, bytes) = damaged(LEAF, &mut random);
        pipeline.image(&key(*number), &bytes);
        done.insert(key(*number), how);
    }
    let ran = pipeline.run();
    assert!(ran.output.status.success(), "seed {seed}: {}", ran.said());
    let rows = pipeline.rows();
    let keys = rows.iter().map(|(key, _)| key).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(
        (rows.len() as u64, keys.len() as u64),
        (images, images),
        "seed {seed}: a row for each, and one"
    );
    let mut seen = Tally { sound: 0, damaged: BTreeMap::new() };
    for (key, error) in &rows {
        match (error, done.get(key)) {
            (None, None) => seen.sound += 1,
            (Some(_), Some(how)) => *seen.damaged.entry(how).or_default() += 1,
            (found, made) => panic!("seed {seed}: {key} was made {made:?} and has the error {found:?}"),
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of images")]
    let wanted = done.len() as f64;
    assert!((ran.figure("rows/errors") - wanted).abs() < 0.5, "seed {seed}");
    seen
}

fn key(number: u64) -> String {
    format!("{:02}/{number}.jpg", number % 17)
}

/// The image, damaged so that no decoder may take it for whole.
fn damaged(sound: &[u8], random: &mut StdRng) -> (&'static str, Vec<u8>) {
    let somewhere = random.random_range(1..sound.len() / 2);
    match random.random_range(0..5) {
        0 => ("empty", Vec::new()),
        1 => ("cut in half", sound[..somewhere].to_vec()),
        2 => ("text", b"<html>404 Not Found</html>".to_vec()),
        3 => ("its head overwritten", [&[0x55; 64][..], &sound[64..]].concat()),
        _ => ("noise", (0..somewhere).map(|_| random.random()).collect()),
    }
}
