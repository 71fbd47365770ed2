//! The promise that a pipeline that is killed anywhere and started again ends with each image in exactly one row, and
//! makes no shard twice that was done, at as many random moments as one likes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use crate::pipeline::{LEAF, Pipeline, SHARDS};

/// Images of a run, and of a shard.
const COUNT: usize = 1200;
const ROWS: u32 = 100;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    pub killed: u64,
    /// Of these, before a shard was done.
    pub before_a_shard: u64,
    /// Of these, with some shards done and others not.
    pub among_shards: u64,
    /// Runs that came to their end.
    pub ended: u64,
}

/// Kills `kills` workers and checks each run that ends.
pub fn check(kills: u64, seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", ROWS);
    for number in 0..COUNT {
        pipeline.image(&format!("{:02}/{number}.jpg", number % 7), LEAF);
    }
    let mut seen = Tally::default();
    while seen.killed < kills {
        let _ = fs::remove_dir_all(pipeline.path().join(SHARDS));
        run_to_the_end(&pipeline, kills, &mut random, &mut seen, seed);
    }
    seen
}

fn run_to_the_end(pipeline: &Pipeline, kills: u64, random: &mut StdRng, seen: &mut Tally, seed: u64) {
    loop {
        let how = format!("seed {seed}, kill {}", seen.killed);
        let before = done(pipeline);
        if seen.killed == kills || before.len() == COUNT / ROWS as usize {
            let ran = pipeline.run();
            assert!(ran.output.status.success(), "{how}: {}", ran.said());
            check_kept(pipeline, &before, &how);
            let rows = pipeline.rows();
            let mut keys = Vec::from_iter(rows.iter().map(|(key, _)| key.as_str()));
            keys.dedup();
            assert_eq!((rows.len(), keys.len()), (COUNT, COUNT), "{how}");
            assert!(rows.iter().all(|(_, error)| error.is_none()), "{how}: {rows:?}");
            for name in ["rows/missing", "rows/doubled", "rows/foreign"] {
                assert!(ran.figure(name) < 1.0, "{how}: {name}");
            }
            seen.ended += 1;
            return;
        }
        let mut worker = pipeline.worker().spawn().expect("gpu-worker starts");
        std::thread::sleep(Duration::from_millis(random.random_range(200..1600)));
        worker.kill().expect("a child can be killed");
        worker.wait().expect("a child can be waited for");
        check_kept(pipeline, &before, &how);
        seen.killed += 1;
        match done(pipeline).len() {
            0 => seen.before_a_shard += 1,
            some if some < COUNT / ROWS as usize => seen.among_shards += 1,
            _ => {}
        }
    }
}

/// The shards that are marked as done, each with what changes when it is written again.
fn done(pipeline: &Pipeline) -> BTreeMap<String, (u64, i64)> {
    let out = pipeline.path().join(SHARDS);
    let marks = fs::read_dir(out.join("_done")).into_iter().flatten().flatten();
    let marks = marks.filter(|mark| mark.path().extension().is_some_and(|ending| ending == "json"));
    marks
        .map(|mark| {
            let text = fs::read(mark.path()).expect("a mark can be read");
            let told: Value = serde_json::from_slice(&text).expect("a mark is JSON");
            let about = fs::metadata(out.join(told["key"].as_str().expect("a mark names its shard")));
            let about = about.expect("a shard that is marked is there");
            (mark.file_name().to_string_lossy().into_owned(), (about.ino(), about.mtime_nsec()))
        })
        .collect()
}

fn check_kept(pipeline: &Pipeline, before: &BTreeMap<String, (u64, i64)>, how: &str) {
    let now = done(pipeline);
    for (name, about) in before {
        assert_eq!(now.get(name), Some(about), "{how}: shard {name} was done and was made again");
    }
}

/// Starts two workers on one plan at the same time, again and again, and kills one or both of them at a random moment, until both
/// end by themselves; `rounds` times.
pub fn check_two_at_once(rounds: u64, seed: u64) -> Tally {
    let mut random = StdRng::seed_from_u64(seed);
    let pipeline = Pipeline::of_leaves(TWO, 10);
    let mut seen = Tally::default();
    for round in 0..rounds {
        let how = format!("seed {seed}, round {round}");
        let _ = fs::remove_dir_all(pipeline.path().join(SHARDS));
        // At first both run to their end, beside each other; then one or two are killed.
        for kills in [round.min(2), 1, 0] {
            let mut workers = [0, 1].map(|_| pipeline.worker().spawn().expect("gpu-worker starts"));
            let victims = usize::try_from(kills).unwrap_or(0);
            if victims > 0 {
                std::thread::sleep(Duration::from_millis(random.random_range(300..1500)));
                let first = random.random_range(0..2);
                for victim in 0..victims {
                    workers[(first + victim) % 2].kill().expect("a child can be killed");
                    seen.killed += 1;
                }
            }
            let ended = workers.map(|mut worker| worker.wait().expect("a child can be waited for"));
            assert!(victims > 0 || ended.iter().all(std::process::ExitStatus::success), "{how}: {ended:?}");
        }
        check_whole(&pipeline, &how);
        seen.ended += 1;
    }
    seen
}

/// Images of two workers.
const TWO: usize = 200;

fn check_whole(pipeline: &Pipeline, how: &str) {
    let rows = pipeline.rows();
    let mut keys = Vec::from_iter(rows.iter().map(|(key, _)| key.as_str()));
    keys.dedup();
    assert_eq!((rows.len(), keys.len()), (TWO, TWO), "{how}");
    let out = pipeline.path().join(SHARDS);
    let read = |path: &Path| -> Value {
        serde_json::from_slice(&fs::read(path).expect("it can be read")).expect("it is JSON")
    };
    let manifest = read(&out.join("_manifest.json"));
    let named: BTreeSet<String> = manifest["shards"]
        .as_array()
        .expect("a list of shards")
        .iter()
        .map(|shard| shard["key"].as_str().expect("a name").to_owned())
        .collect();
    let there: BTreeSet<String> = pipeline.tables().into_keys().collect();
    assert_eq!(named, there, "{how}: what no mark names is gone, and what the manifest names is there");
    // One that was killed may leave a file that it had not finished, which is no mark.
    let marks = fs::read_dir(out.join("_done")).expect("marks").flatten().map(|mark| mark.path());
    for mark in marks.filter(|path| path.extension().is_some_and(|end| end == "json")) {
        let mark = read(&mark);
        assert_eq!(mark["plan"], manifest["plan"], "{how}");
        assert!(named.contains(mark["key"].as_str().unwrap_or_default()), "{how}: {mark}");
    }
}
