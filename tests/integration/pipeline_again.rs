//! A pipeline that is begun again: what is done stays, whatever ended the run before and whatever changed meanwhile.

use std::fs;
use std::path::Path;
use std::process::Command;

use gpu_harness_tests::pipeline::{LEAF, Pipeline, SHARDS};
use gpu_harness_tests::resumes;
use gpu_shards::Cell;
use serde_json::Value;

#[test]
fn a_pipeline_that_is_killed_anywhere_goes_on_where_it_was() {
    let seen = resumes::check(6, 1);
    assert!(seen.killed == 6 && seen.ended >= 1, "{seen:?}");
}

#[test]
fn a_shard_that_is_lost_or_cut_short_is_made_again_and_only_then_is_there_a_manifest() {
    let pipeline = Pipeline::of_leaves(20, 4);
    pipeline.succeed();
    let out = pipeline.path().join(SHARDS);
    let damage: [&dyn Fn(&Path); 3] = [
        &|shard| fs::remove_file(shard).expect("a shard"),
        &|shard| fs::write(shard, b"PAR1 and then nothing").expect("the folder is writable"),
        // Lost twice: the mark of the second time is the third one.
        &|shard| fs::remove_file(shard).expect("a shard"),
    ];
    for (times, damage) in (1..).zip(damage) {
        let (name, table) =
            pipeline.tables().into_iter().find(|(_, table)| !table.rows.is_empty()).expect("a shard");
        damage(&out.join(&name));
        let again = pipeline.succeed();
        assert!((again.figure("shards_found_done") - (again.figure("shards") - 1.0)).abs() < 1e-9, "{times}");
        for figure in ["rows/missing", "rows/doubled", "rows/foreign"] {
            assert!(again.figure(figure) < 1.0, "{figure}");
        }
        let rows = pipeline.rows();
        assert_eq!(rows.len(), 20, "{rows:?}");
        let manifest: Value =
            serde_json::from_slice(&fs::read(out.join("_manifest.json")).expect("a manifest")).expect("JSON");
        let shards = manifest["shards"].as_array().expect("a list");
        assert!(shards.iter().all(|shard| out.join(shard["key"].as_str().unwrap_or_default()).is_file()));
        assert!(shards.iter().all(|shard| shard["key"] != name.as_str()), "it has a name of its own");
        assert_eq!(manifest["rows"], 20, "{}", table.rows.len());
    }
}

#[test]
fn marks_of_another_plan_count_for_nothing() {
    let mut pipeline = Pipeline::of_leaves(12, 4);
    pipeline.succeed();
    let out = pipeline.path().join(SHARDS);
    let before = pipeline.tables();
    // Somebody removes the plan, and the marks and shards that it made stay.
    fs::remove_file(out.join("_plan.json")).expect("a plan");
    pipeline.set("top", 1);
    let other = pipeline.succeed();
    assert!(other.figure("shards_found_done") < 1.0, "{:?}", other.figures);
    let made = pipeline.tables().into_iter().filter(|(name, _)| !before.contains_key(name));
    let scores = made.flat_map(|(_, table)| {
        let scores = table.column("scores").expect("a column");
        Vec::from_iter(table.rows.into_iter().map(move |row| row[scores].clone()))
    });
    let scores = Vec::from_iter(scores);
    assert_eq!(scores.len(), 12);
    let is_of_this_plan = |cell: &Cell| matches!(cell, Cell::Floats(scores) if scores.len() == 1);
    assert!(scores.iter().all(is_of_this_plan), "{scores:?}");
}

/// Stands before the C library: writes down each file that gets its name, and each file or folder that is made to last.
const WITNESS: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
static void told(const char *what, const char *path)
{
    char line[4200];
    int length = snprintf(line, sizeof line, "%s %s\n", what, path);
    int log = open(getenv("WITNESS"), O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (log < 0 || write(log, line, length) != length)
        abort();
    close(log);
}
int fsync(int fd)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length < 0 ? 0 : length] = 0;
    int done = next(fd);
    told("lasts", path);
    return done;
}
int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    told("named", to);
    return next(from, to);
}
int linkat(int a, const char *from, int b, const char *to, int flags)
{
    int (*next)(int, const char *, int, const char *, int) =
        (int (*)(int, const char *, int, const char *, int))dlsym(RTLD_NEXT, "linkat");
    told("named", to);
    return next(a, from, b, to, flags);
}
"#;

#[test]
fn a_shards_name_outlasts_a_loss_of_power_before_its_mark_is_made() {
    let mut pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    let (source, library) = (pipeline.path().join("witness.c"), pipeline.path().join("witness.so"));
    fs::write(&source, WITNESS).expect("the folder is writable");
    let mut compiler = Command::new("cc");
    let made = compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    assert!(made.expect("Rust needs a C compiler to link").success());
    let log = pipeline.path().join("witness.log");
    pipeline.env("LD_PRELOAD", &library.display().to_string());
    pipeline.env("WITNESS", &log.display().to_string());
    pipeline.succeed();
    let told = fs::read_to_string(&log).expect("something was told");
    let out = pipeline.path().join(SHARDS).canonicalize().expect("shards");
    let lasts = |folder: &Path| format!("lasts {}", folder.display());
    let steps: [&dyn Fn(&str) -> bool; 4] = [
        &|line| line.starts_with("named ") && line.contains("/part-"),
        &|line| line == lasts(&out),
        &|line| line.starts_with("named ") && line.ends_with("/_done/00000.json"),
        &|line| line == lasts(&out.join("_done")),
    ];
    let mut lines = told.lines();
    for (number, step) in steps.iter().enumerate() {
        assert!(lines.any(step), "step {number} is missing, or out of order:\n{told}");
    }
}

#[test]
fn two_workers_on_one_place_are_harmless_whenever_one_is_killed() {
    let seen = resumes::check_two_at_once(3, 1);
    assert!(seen.killed >= 3 && seen.ended == 3, "{seen:?}");
}

#[test]
fn an_image_that_is_replaced_by_one_of_the_same_size_is_not_the_one_that_was_listed() {
    let pipeline = Pipeline::of_leaves(4, 1);
    pipeline.succeed();
    let out = pipeline.path().join(SHARDS);
    // Everything is to be made again, of images that are others by now.
    fs::remove_dir_all(out.join("_done")).expect("marks");
    let image = pipeline.path().join("in/0.jpg");
    fs::remove_file(&image).expect("an image");
    fs::write(&image, LEAF).expect("the folder is writable");
    pipeline.succeed();
    let rows = pipeline.rows();
    let replaced = Vec::from_iter(rows.iter().filter(|row| row.1.is_some()));
    assert_eq!(replaced.len(), 1, "{rows:?}");
    assert!(
        replaced[0].0 == "0.jpg"
            && replaced[0].1.as_deref().is_some_and(|why| why.contains("replaced since"))
    );
}

#[test]
fn shards_of_something_else_are_left_alone() {
    let mut pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    pipeline.succeed();
    let manifest = pipeline.path().join(SHARDS).join("_manifest.json");
    let before = fs::read(&manifest).expect("a manifest");
    pipeline.set("top", 3);
    let (what, hint) = pipeline.run().refusal();
    assert!(what.contains("top was 2, now it is 3") && hint.contains("{run}"), "{what}; {hint}");
    assert_eq!(fs::read(&manifest).expect("a manifest"), before);
}

#[test]
fn images_that_come_and_go_meanwhile_do_not_change_what_is_done() {
    let pipeline = Pipeline::of_leaves(6, 2);
    pipeline.succeed();
    // One shard is to be made again: of its images one is gone, one is another, and there is a new one.
    let out = pipeline.path().join(SHARDS);
    let tables = pipeline.tables();
    let (name, table) = tables.iter().find(|(_, table)| table.rows.len() > 1).expect("a shard with two rows");
    let key = |row: usize| match &table.rows[row][0] {
        Cell::Text(key) => key.clone(),
        other => panic!("{other:?}"),
    };
    let images = pipeline.path().join("in");
    fs::remove_file(images.join(key(0))).expect("it was there");
    fs::write(images.join(key(1)), [LEAF, b"more"].concat()).expect("the folder is writable");
    pipeline.image("new.jpg", LEAF);
    let number = &name["part-".len()..][..5];
    fs::remove_file(out.join(format!("_done/{number}.json"))).expect("a mark");
    pipeline.succeed();
    let rows = pipeline.rows();
    assert_eq!(rows.len(), 6, "{rows:?}");
    let error =
        |key: &str| rows.iter().find(|row| row.0 == key).and_then(|row| row.1.clone()).unwrap_or_default();
    assert!(error(&key(0)).contains("no such object"), "{rows:?}");
    assert!(error(&key(1)).contains("bytes came, the listing said"), "{rows:?}");
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_no_half_of_a_shard() {
    let pipeline = Pipeline::of_leaves(200, 10);
    fs::create_dir(pipeline.path().join(SHARDS)).expect("the folder is writable");
    let worker = pipeline.worker();
    // In a mount namespace of its own: the small file system ends with it, so what it holds is listed inside.
    let mut inside = Command::new("unshare");
    let script = "mount -t tmpfs -o size=64k,nr_inodes=1000 tmpfs out && \"$0\" case.json; code=$?; cp -r out left; exit $code";
    if !rustix::process::geteuid().is_root() {
        inside.arg("--map-root-user");
    }
    inside.args(["--mount", "sh", "-c", script]).arg(worker.get_program());
    inside.current_dir(pipeline.path());
    inside.envs(worker.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = pipeline.ran(&mut inside);
    assert_eq!(ran.output.status.code(), Some(70), "{}", ran.said());
    let (what, hint) = ran.error.expect("an error");
    assert!(what.contains("no space is left") && hint.contains("what is done is kept"), "{what}; {hint}");
    let left = Vec::from_iter(fs::read_dir(pipeline.path().join("left")).expect("a copy").flatten());
    let shards =
        left.iter().filter(|entry| entry.path().extension().is_some_and(|ending| ending == "parquet"));
    let mut whole = 0;
    for shard in shards {
        gpu_shards::read(&fs::read(shard.path()).expect("it can be read")).expect("a shard is whole");
        whole += 1;
    }
    assert!(whole > 0, "some were written before the disk was full");
    assert!(!left.iter().any(|entry| entry.file_name() == "_manifest.json"));
}
