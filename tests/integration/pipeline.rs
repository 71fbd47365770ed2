//! From images to Parquet shards: each image in exactly one row, predictions that are PyTorch's, and every trouble with
//! an error of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use gpu_harness_tests::pipeline::{Pipeline, SHARDS};
use gpu_harness_tests::project::Project;
use gpu_harness_tests::{resumes, xml};
use gpu_shards::{Cell, TableWriter};
use gpu_suites::regression::answers::{self, Answers};
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const LEAF: &[u8] = include_bytes!("../rig/leaf.jpg");
/// What the image that golden predictions were made of is called in its provenance.
const REAL_TILE: &str = "neon-osbs-029";

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").join(path)
}

#[test]
fn predictions_are_pytorchs_on_the_same_images_and_others_fail() {
    let tile = gpu_harness::files::cache::folder(&gpu_harness::here::Env::of_process())
        .expect("a cache folder")
        .join("data/tiles/osbs-029");
    let provenance = fs::read_to_string(tile.join("provenance.json")).expect("set-up gets the tile");
    let provenance: Value = serde_json::from_str(&provenance).expect("JSON");
    assert_eq!(
        provenance["source"], REAL_TILE,
        "the predictions were made of the real tile: `cargo xtask setup` gets it"
    );
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let mut suite = "suite: s\ncases:\n".to_owned();
    // The pixels are Pillow's to the bit; the numbers were rounded when they were written.
    for (name, model, output, size, more, within) in [
        ("classes", "leaves", "classify", 64, "golden: leaves.json", 1e-3),
        ("wrong", "leaves", "classify", 64, "golden: wrong.json", 1e-3),
        ("other-size", "leaves", "classify", 32, "golden: leaves.json", 1e-3),
        ("pixels", "pixels", "embed", 8, "golden: pixels.json", 1e-5),
        ("middle", "pixels", "embed", 8, "resize: cover, golden: middle.json", 1e-5),
        ("greens", "greens", "segment", 64, "golden: greens.json", 0.01),
    ] {
        let _ = writeln!(
            suite,
            "  - name: {name}\n    device: cpu\n    pipeline: {{ model: {{ torchscript: {model}.pt }}, images: {{ cut: {{ image: tile.png, count: 12 }} }}, output: {output}, size: {size}, calibrate: 0s, rows-per-shard: 5, {more} }}\n    checks: {{ predictions: {{ within: {within} }} }}"
        );
    }
    let mut project = Project::with_suite(&suite).env("LIBTORCH", libtorch);
    for entry in fs::read_dir(repository("fixtures/pipeline")).expect("fixtures").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        project = project.file(&name, fs::read(entry.path()).expect("a fixture can be read"));
    }
    // Two classes of one image change places: what labels that are shifted look like.
    let mut wrong: Value =
        serde_json::from_slice(&fs::read(repository("fixtures/pipeline/leaves.json")).expect("golden"))
            .expect("JSON");
    wrong["000/0000003.jpg"].as_array_mut().expect("a list").swap(2, 5);
    let project = project
        .file("wrong.json", wrong.to_string())
        .file("tile.png", fs::read(tile.join("image.png")).expect("the tile can be read"));
    let run = project.run(&[]);
    assert_eq!(run.code(), 1, "{}\n{}", run.stdout, run.stderr);
    let cases = xml::cases(&run.junit());
    for sound in ["classes", "pixels", "middle", "greens"] {
        assert_eq!(cases[sound], "passed", "{sound}: {}", run.stdout);
    }
    for (broken, differ) in
        [("wrong", "12 predictions differ by up to 0."), ("other-size", "12 predictions differ")]
    {
        assert_eq!(cases[broken], "failure", "{broken}");
        let reason = run.outcome(broken).1;
        assert!(reason.contains("predictions") && reason.contains(differ), "{reason}");
    }
}

#[test]
fn a_bad_image_is_a_row_with_its_error_and_ends_nothing() {
    let pipeline = Pipeline::new();
    let encoded = |image: &RgbImage, format| {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).expect("it is encoded");
        bytes.into_inner()
    };
    let small = RgbImage::from_fn(40, 20, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7]));
    for (key, format) in
        [("a.png", ImageFormat::Png), ("b.tif", ImageFormat::Tiff), ("c.webp", ImageFormat::WebP)]
    {
        pipeline.image(key, &encoded(&small, format));
    }
    pipeline.image("good\n\"quoted\" 'ünïcode' +%41&.jpg", LEAF);
    pipeline.image("deep/er/still.jpg", LEAF);
    pipeline.image("bad/empty.jpg", b"");
    pipeline.image("bad/text.jpg", b"This is not an image.\n");
    pipeline.image("bad/cut.png", &encoded(&small, ImageFormat::Png)[..60]);
    pipeline.image("bad/header.jpg", &LEAF[..20]);
    // 200 megapixels that compress to a few hundred kilobytes.
    pipeline.image("bad/bomb.png", &encoded(&RgbImage::new(20_000, 10_000), ImageFormat::Png));

    let ran = pipeline.run();
    assert!(ran.output.status.success(), "{}", ran.said());
    let rows = pipeline.rows();
    assert_eq!(rows.len(), 10);
    let error = |name: &str| {
        let row = rows.iter().find(|(key, _)| key == name).unwrap_or_else(|| panic!("{name}: {rows:?}"));
        row.1.clone().unwrap_or_default()
    };
    for (key, said) in [
        ("bad/empty.jpg", "it is empty"),
        ("bad/text.jpg", "none of JPEG, PNG, TIFF and WebP"),
        ("bad/bomb.png", "20000 × 10000 are 200.0 megapixels, at most 100.0 are unpacked"),
    ] {
        assert!(error(key).contains(said), "{key}: {}", error(key));
    }
    for key in ["bad/cut.png", "bad/header.jpg"] {
        assert!(!error(key).is_empty(), "{key}");
    }
    let good = rows.iter().filter(|(key, _)| !key.starts_with("bad/"));
    assert!(good.clone().all(|(_, error)| error.is_none()) && good.count() == 5, "{rows:?}");
    assert!((ran.figure("rows/errors") - 5.0).abs() < 1e-9 && ran.figure("rows/missing") < 1.0);
    for table in pipeline.tables().values() {
        let at = |name: &str| table.column(name).expect("a column");
        for row in &table.rows {
            let sound = row[at("error")] == Cell::Null;
            assert_eq!(
                matches!(&row[at("scores")], Cell::Floats(scores) if scores.len() == 2),
                sound,
                "{row:?}"
            );
            assert_eq!(row[at("width")] != Cell::Null, sound, "{row:?}");
        }
    }
}

#[test]
fn a_pipeline_that_is_killed_anywhere_goes_on_where_it_was() {
    let seen = resumes::check(6, 1);
    assert!(seen.killed == 6 && seen.ended >= 1, "{seen:?}");
}

#[test]
fn rows_that_are_dropped_doubled_or_foreign_are_found() {
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", 4);
    for number in 0..20 {
        pipeline.image(&format!("{number}.jpg"), LEAF);
    }
    let sound = pipeline.run();
    assert!(sound.output.status.success(), "{}", sound.said());
    let out = pipeline.path().join(SHARDS);
    let tables = pipeline.tables();
    let (name, table) =
        tables.iter().find(|(_, table)| table.rows.len() > 2).expect("a shard with some rows");
    // The first row twice, the second not at all; the shard's mark says that it is to be so.
    let mut writer = TableWriter::new(table.columns.clone(), 1 << 20);
    for row in std::iter::once(&table.rows[0]).chain(&table.rows[..1]).chain(&table.rows[2..]) {
        writer.push(row).expect("the row fits");
    }
    let wrong = writer.finish().expect("it is written");
    fs::write(out.join(name), &wrong).expect("the folder is writable");
    let mark = out.join(format!("_done/{}.json", &name["part-".len()..][..5]));
    let mut about: Value = serde_json::from_slice(&fs::read(&mark).expect("a mark")).expect("JSON");
    about["sha256"] = hex::encode(Sha256::digest(&wrong)).into();
    about["bytes"] = wrong.len().into();
    fs::write(&mark, about.to_string()).expect("the folder is writable");
    fs::copy(out.join(name), out.join("part-99999-of-99999.parquet")).expect("the folder is writable");
    let manifest = out.join("_manifest.json");
    fs::remove_file(&manifest).expect("a manifest");
    let again = pipeline.run();
    assert!(again.output.status.success(), "{}", again.said());
    assert!(!manifest.exists(), "nothing that is not whole gets a manifest");
    for (name, count) in
        [("rows/missing", 1.0), ("rows/doubled", 1.0), ("rows/foreign", 1.0), ("rows/written", 20.0)]
    {
        assert!((again.figure(name) - count).abs() < 1e-9, "{name}: {:?}", again.figures);
    }
    assert!((again.figure("shards_found_done") - again.figure("shards")).abs() < 1e-9);

    // As long as the one that was written, but another one.
    let mut other = wrong;
    other[40] ^= 1;
    fs::write(out.join(name), other).expect("the folder is writable");
    let damaged = pipeline.run();
    assert_eq!(damaged.output.status.code(), Some(70));
    let (what, hint) = damaged.error.expect("an error");
    assert!(what.contains(name.as_str()) && what.contains("another SHA-256"), "{what}");
    assert!(hint.contains("remove that object"), "{hint}");
}

#[test]
fn an_answer_that_is_no_number_is_a_row_with_an_error_and_never_a_pass() {
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let mut suite = "suite: s\ncases:\n".to_owned();
    let mut project = Project::new().env("LIBTORCH", libtorch);
    // Known answers that a mask without any foreground would be, too.
    for (name, model, output, golden) in [
        ("classify", "nan-leaves", "classify", vec![0.1; 10]),
        ("embed", "nan-pixels", "embed", vec![0.0; 192]),
        ("segment", "nan-greens", "segment", vec![0.0]),
    ] {
        let known = json!({ "a.jpg": golden });
        project = project.file(&format!("{name}.json"), known.to_string());
        project = project.file(
            &format!("{model}.pt"),
            fs::read(repository(&format!("fixtures/pipeline/{model}.pt"))).expect("a fixture"),
        );
        let from = project.path().join("in").display().to_string();
        let to = project.path().join(name).display().to_string();
        let _ = writeln!(
            suite,
            "  - name: {name}\n    device: cpu\n    pipeline: {{ model: {{ torchscript: {model}.pt }}, images: {{ from: 'file://{from}' }}, to: 'file://{to}/', output: {output}, size: 8, calibrate: 0s, golden: {name}.json }}"
        );
    }
    let project = project.file("in/a.jpg", LEAF).file("suites/s.yaml", suite);
    let run = project.run(&[]);
    assert_eq!(run.code(), 1, "{}", run.stdout);
    for (name, odd) in [("classify", "5 of 5"), ("embed", "192 of 192"), ("segment", "64 of 64")] {
        let said = format!("s::{name}");
        let line = run.stdout.lines().find(|line| line.starts_with("failed") && line.contains(&said));
        assert!(line.is_some(), "{name}: {}", run.stdout);
        let folder = project.path().join(name);
        let shard = fs::read_dir(&folder)
            .expect("shards")
            .flatten()
            .find(|entry| entry.path().extension().is_some_and(|ending| ending == "parquet"));
        let shard = fs::read(shard.expect("a shard").path()).expect("it can be read");
        let table = gpu_shards::read(&shard).expect("a shard is whole");
        let error = &table.rows[0][table.column("error").expect("errors")];
        let Cell::Text(why) = error else { panic!("{name}: {error:?}") };
        assert!(why.contains("is no number") && why.contains(odd), "{name}: {why}");
    }
}

#[test]
fn a_model_that_raises_is_a_failure_in_every_kind_of_case() {
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let model = fs::read(repository("fixtures/pipeline/raises.pt")).expect("a fixture");
    let suite = |from: &Path| {
        format!(
            "suite: s\ncases:\n  - name: pipeline\n    device: cpu\n    pipeline: {{ model: {{ torchscript: raises.pt }}, images: {{ from: 'file://{}' }}, output: classify, size: 32, calibrate: 0s }}\n  - name: throughput\n    device: cpu\n    throughput: {{ model: {{ torchscript: raises.pt }}, batch: 1, input: [3, 32, 32], measure: 1s }}\n  - name: train\n    device: cpu\n    train: {{ model: {{ torchscript: raises.pt }}, data: {{ image: leaf.jpg, boxes: boxes.csv, task: classify, size: 16, crops: 2 }}, steps: 3 }}\n",
            from.display()
        )
    };
    let project = Project::new().env("LIBTORCH", libtorch).file("raises.pt", model).file("in/a.jpg", LEAF);
    let project = project.file("leaf.jpg", LEAF).file("boxes.csv", "xmin,ymin,xmax,ymax\n4,4,12,12\n");
    let suite = suite(&project.path().join("in"));
    let project = project.file("suites/s.yaml", suite);
    let run = project.run(&[]);
    assert_eq!(run.code(), 1, "{}", run.stdout);
    for kind in ["pipeline", "throughput", "train"] {
        let said = format!("s::{kind}");
        let line = run.stdout.lines().find(|line| line.starts_with("failed") && line.contains(&said));
        assert!(line.is_some_and(|line| line.contains("the model raised")), "{kind}: {}", run.stdout);
    }
    assert!(run.stdout.contains("labels out of range"), "{}", run.stdout);
}

#[test]
fn a_shard_that_is_lost_or_cut_short_is_made_again_and_only_then_is_there_a_manifest() {
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", 4);
    for number in 0..20 {
        pipeline.image(&format!("{number}.jpg"), LEAF);
    }
    assert!(pipeline.run().output.status.success());
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
        let again = pipeline.run();
        assert!(again.output.status.success(), "{}", again.said());
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
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", 4);
    for number in 0..12 {
        pipeline.image(&format!("{number}.jpg"), LEAF);
    }
    assert!(pipeline.run().output.status.success());
    let out = pipeline.path().join(SHARDS);
    let before = pipeline.tables();
    // Somebody removes the plan, and the marks and shards that it made stay.
    fs::remove_file(out.join("_plan.json")).expect("a plan");
    pipeline.set("top", 1);
    let other = pipeline.run();
    assert!(other.output.status.success(), "{}", other.said());
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
    let ran = pipeline.run();
    assert!(ran.output.status.success(), "{}", ran.said());
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
fn what_has_a_name_in_the_folder_is_a_row_whatever_it_is() {
    use std::os::unix::fs::symlink;
    let pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    let images = pipeline.path().join("in");
    symlink("../nowhere/b.jpg", images.join("dangling.jpg")).expect("the folder is writable");
    symlink("itself.jpg", images.join("itself.jpg")).expect("the folder is writable");
    symlink("..", images.join("up")).expect("the folder is writable");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        images.join("pipe.jpg"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("the folder is writable");
    // A link to another folder is followed.
    let beside = tempfile::tempdir().expect("a folder");
    fs::write(beside.path().join("c.jpg"), LEAF).expect("the folder is writable");
    symlink(beside.path(), images.join("linked")).expect("the folder is writable");
    let ran = pipeline.run();
    assert!(ran.output.status.success(), "{}", ran.said());
    let rows = pipeline.rows();
    let of = |key: &str| rows.iter().find(|row| row.0 == key).map(|row| row.1.clone().unwrap_or_default());
    for (key, error) in [
        ("a.jpg", ""),
        ("linked/c.jpg", ""),
        ("dangling.jpg", "not read: there is no such object"),
        ("itself.jpg", "not read: it is a link that leads back to itself"),
        ("up", "not read: it is a link that leads back to a folder that it lies in"),
        ("pipe.jpg", "not read: it is a pipe, and no file"),
    ] {
        assert_eq!(of(key).as_deref(), Some(error), "{rows:#?}");
    }
    assert_eq!(rows.len(), 6, "{rows:#?}");
}

#[test]
fn a_name_that_is_no_key_ends_the_run_and_is_not_left_out() {
    use std::os::unix::ffi::OsStrExt as _;
    let pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    let odd = std::ffi::OsStr::from_bytes(b"b\xff.jpg");
    fs::write(pipeline.path().join("in").join(odd), LEAF).expect("the folder is writable");
    let ran = pipeline.run();
    assert_eq!(ran.output.status.code(), Some(70));
    let (what, _) = ran.error.expect("an error");
    assert!(what.contains("is not UTF-8"), "{what}");
}

#[test]
fn an_image_that_is_replaced_by_one_of_the_same_size_is_not_the_one_that_was_listed() {
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", 1);
    for number in 0..4 {
        pipeline.image(&format!("{number}.jpg"), LEAF);
    }
    assert!(pipeline.run().output.status.success());
    let out = pipeline.path().join(SHARDS);
    // Everything is to be made again, of images that are others by now.
    fs::remove_dir_all(out.join("_done")).expect("marks");
    let image = pipeline.path().join("in/0.jpg");
    fs::remove_file(&image).expect("an image");
    fs::write(&image, LEAF).expect("the folder is writable");
    let again = pipeline.run();
    assert!(again.output.status.success(), "{}", again.said());
    let rows = pipeline.rows();
    let replaced = Vec::from_iter(rows.iter().filter(|row| row.1.is_some()));
    assert_eq!(replaced.len(), 1, "{rows:?}");
    assert!(
        replaced[0].0 == "0.jpg"
            && replaced[0].1.as_deref().is_some_and(|why| why.contains("replaced since"))
    );
}

#[test]
fn a_night_is_held_against_another_whatever_its_shards_and_batches() {
    let night = |settings: &[(&str, Value)]| {
        let mut pipeline = Pipeline::new();
        for (key, value) in settings {
            pipeline.set(key, value.clone());
        }
        for number in 0..24 {
            // Of different sizes, so that resizing them in another way changes what the model sees.
            let mut leaf = image::load_from_memory(LEAF).expect("a picture");
            leaf = leaf.crop_imm(0, 0, 8 + 4 * number, 40);
            let mut bytes = Cursor::new(Vec::new());
            leaf.write_to(&mut bytes, ImageFormat::Png).expect("it is written");
            pipeline.image(&format!("{number}.png"), bytes.get_ref());
        }
        let ran = pipeline.run();
        assert!(ran.output.status.success(), "{}", ran.said());
        let text =
            |name: &str| ran.figures[&format!("predictions/{name}")].as_str().expect("a text").to_owned();
        [text("hash"), text("sketch"), text("sample")]
    };
    let change = |before: &[String; 3], now: &[String; 3]| {
        let [hash, sketch, sample] = before;
        let before = Answers { hash, sketch: Some(sketch), sample: Some(sample) };
        let [hash, sketch, sample] = now;
        answers::changed(&before, &Answers { hash, sketch: Some(sketch), sample: Some(sample) }, 0.0005)
    };
    let first = night(&[("rows-per-shard", 4.into()), ("batch", 3.into())]);
    let second = night(&[("rows-per-shard", 50.into()), ("batch", 8.into())]);
    assert_eq!(change(&first, &second), None);
    assert_eq!(first[2], second[2], "the same rows are kept");
    let inputs = |night: &[String; 3]| night[0].split(':').next().expect("inputs").to_owned();
    let other = night(&[("resize", "cover".into())]);
    assert_eq!(inputs(&first), inputs(&other));
    let said = change(&first, &other).expect("another way of resizing gives other answers");
    assert!(said.contains("rows that are kept changed, e.g. "), "{said}");
}

#[test]
fn shards_of_something_else_are_left_alone() {
    let mut pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    assert!(pipeline.run().output.status.success());
    let manifest = pipeline.path().join(SHARDS).join("_manifest.json");
    let before = fs::read(&manifest).expect("a manifest");
    pipeline.set("top", 3);
    let other = pipeline.run();
    assert_eq!(other.output.status.code(), Some(70));
    let (what, hint) = other.error.expect("an error");
    assert!(what.contains("top was 2, now it is 3") && hint.contains("{run}"), "{what}; {hint}");
    assert_eq!(fs::read(&manifest).expect("a manifest"), before);
}

#[test]
fn images_that_come_and_go_meanwhile_do_not_change_what_is_done() {
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", 2);
    for number in 0..6 {
        pipeline.image(&format!("{number}.jpg"), LEAF);
    }
    assert!(pipeline.run().output.status.success());
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
    let again = pipeline.run();
    assert!(again.output.status.success(), "{}", again.said());
    let rows = pipeline.rows();
    assert_eq!(rows.len(), 6, "{rows:?}");
    let error =
        |key: &str| rows.iter().find(|row| row.0 == key).and_then(|row| row.1.clone()).unwrap_or_default();
    assert!(error(&key(0)).contains("no such object"), "{rows:?}");
    assert!(error(&key(1)).contains("bytes came, the listing said"), "{rows:?}");
}

#[test]
fn no_images_is_an_error_that_says_where() {
    let pipeline = Pipeline::new();
    let ran = pipeline.run();
    assert_eq!(ran.output.status.code(), Some(70));
    let (what, _) = ran.error.expect("an error");
    assert!(what.contains("there are no images below file://"), "{what}");
}

#[test]
fn a_list_of_keys_says_what_is_an_input_there_or_not() {
    let mut pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    pipeline.image("b.jpg", LEAF);
    let images =
        json!({ "from": format!("file://{}/in/", pipeline.path().display()), "keys": "keys.ndjson" });
    pipeline.set("images", images);
    fs::write(pipeline.path().join("keys.ndjson"), "\"b.jpg\"\n\n\"gone.jpg\"\n")
        .expect("the folder is writable");
    assert!(pipeline.run().output.status.success());
    let rows = pipeline.rows();
    assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["b.jpg", "gone.jpg"]);
    assert!(
        rows[0].1.is_none() && rows[1].1.as_deref().is_some_and(|error| error.contains("no such object"))
    );

    for (list, says) in [
        ("\"b.jpg\"\nb.jpg\n", "line 2"),
        ("\"b.jpg\"\n\"a.jpg\"\n\"b.jpg\"\n", "line 3 has the key of line 1"),
    ] {
        fs::write(pipeline.path().join("keys.ndjson"), list).expect("the folder is writable");
        fs::remove_dir_all(pipeline.path().join(SHARDS)).unwrap_or_default();
        let (what, _) = pipeline.run().error.expect("an error");
        assert!(what.contains("keys.ndjson") && what.contains(says), "{what}");
    }
}

#[test]
fn a_full_disk_ends_the_run_and_leaves_no_half_of_a_shard() {
    let mut pipeline = Pipeline::new();
    pipeline.set("rows-per-shard", 10);
    for number in 0..200 {
        pipeline.image(&format!("{number}.jpg"), LEAF);
    }
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

#[test]
fn a_model_that_does_not_fit_is_said_and_not_a_thousand_bad_images() {
    let mut pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    pipeline.set("output", "segment");
    let ran = pipeline.run();
    assert_eq!(ran.output.status.code(), Some(70));
    let (what, hint) = ran.error.expect("an error");
    assert!(what.contains("[1, 10]") && hint.contains("[N, 1, H, W]"), "{what}; {hint}");
}

/// The whole: `cargo xtask soak corrupt`.
#[test]
fn a_damaged_image_is_a_row_with_its_error_and_harms_no_other() {
    let seen = gpu_harness_tests::corrupt::check(300, 1);
    assert_eq!((seen.sound, seen.damaged.values().sum::<u64>()), (270, 30), "{seen:?}");
    assert_eq!(seen.damaged.len(), 5, "{seen:?}");
}
