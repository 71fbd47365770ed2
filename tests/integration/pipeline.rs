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
    let tile = gpu_harness::cache::folder().expect("a cache folder").join("data/tiles/osbs-029");
    let provenance = fs::read_to_string(tile.join("provenance.json")).expect("set-up gets the tile");
    let provenance: Value = serde_json::from_str(&provenance).expect("JSON");
    assert_eq!(
        provenance["source"], REAL_TILE,
        "the predictions were made of the real tile: `cargo xtask setup` gets it"
    );
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let mut suite = "suite: s\ncases:\n".to_owned();
    // 1/255 of a channel's range is 0.0175 after normalisation: what two decoders of JPEG may differ by.
    for (name, model, output, size, more, within) in [
        ("classes", "leaves", "classify", 64, "golden: leaves.json", 1e-3),
        ("wrong", "leaves", "classify", 64, "golden: wrong.json", 1e-3),
        ("other-size", "leaves", "classify", 32, "golden: leaves.json", 1e-3),
        ("pixels", "pixels", "embed", 8, "golden: pixels.json", 0.018),
        ("middle", "pixels", "embed", 8, "resize: cover, golden: middle.json", 0.018),
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
    fs::write(&mark, about.to_string()).expect("the folder is writable");
    fs::copy(out.join(name), out.join("part-99999-of-99999.parquet")).expect("the folder is writable");
    let again = pipeline.run();
    assert!(again.output.status.success(), "{}", again.said());
    for (name, count) in
        [("rows/missing", 1.0), ("rows/doubled", 1.0), ("rows/foreign", 1.0), ("rows/written", 20.0)]
    {
        assert!((again.figure(name) - count).abs() < 1e-9, "{name}: {:?}", again.figures);
    }
    assert!((again.figure("shards_found_done") - again.figure("shards")).abs() < 1e-9);

    // A table all the same, but not the one that was written; and none at all.
    let other = TableWriter::new(table.columns.clone(), 1 << 20).finish().expect("it is written");
    for (damage, says) in
        [(other, "another SHA-256"), (b"PAR1 and then nothing".to_vec(), "not a whole Parquet file")]
    {
        fs::write(out.join(name), damage).expect("the folder is writable");
        let damaged = pipeline.run();
        assert_eq!(damaged.output.status.code(), Some(70));
        let (what, hint) = damaged.error.expect("an error");
        assert!(what.contains(name.as_str()) && what.contains(says), "{what}");
        assert!(hint.contains("_done/"), "{hint}");
    }
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

    fs::write(pipeline.path().join("keys.ndjson"), "\"b.jpg\"\nb.jpg\n").expect("the folder is writable");
    fs::remove_dir_all(pipeline.path().join(SHARDS)).expect("shards");
    let (what, _) = pipeline.run().error.expect("an error");
    assert!(what.contains("keys.ndjson") && what.contains("line 2"), "{what}");
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
