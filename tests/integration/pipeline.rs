//! From images to Parquet shards: each image in exactly one row, predictions that are PyTorch's, and every trouble with
//! an error of its own.

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::path::Path;

use gpu_harness_tests::pipeline::{LEAF, Pipeline, SHARDS};
use gpu_harness_tests::project::Project;
use gpu_harness_tests::xml;
use gpu_shards::{Cell, TableWriter};
use gpu_suites::regression::answers::{self, Answers};
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

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

    let ran = pipeline.succeed();
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
fn rows_that_are_dropped_doubled_or_foreign_are_found() {
    let pipeline = Pipeline::of_leaves(20, 4);
    pipeline.succeed();
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
    let again = pipeline.succeed();
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
    let (what, hint) = pipeline.run().refusal();
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
    pipeline.succeed();
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
    let (what, _) = pipeline.run().refusal();
    assert!(what.contains("is not UTF-8"), "{what}");
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
        let ran = pipeline.succeed();
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
fn no_images_is_an_error_that_says_where() {
    let pipeline = Pipeline::new();
    let (what, _) = pipeline.run().refusal();
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
    pipeline.succeed();
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
fn a_model_that_does_not_fit_is_said_and_not_a_thousand_bad_images() {
    let mut pipeline = Pipeline::new();
    pipeline.image("a.jpg", LEAF);
    pipeline.set("output", "segment");
    let (what, hint) = pipeline.run().refusal();
    assert!(what.contains("[1, 10]") && hint.contains("[N, 1, H, W]"), "{what}; {hint}");
}

/// The whole: `cargo xtask soak corrupt`.
#[test]
fn a_damaged_image_is_a_row_with_its_error_and_harms_no_other() {
    let seen = gpu_harness_tests::corrupt::check(300, 1);
    assert_eq!((seen.sound, seen.damaged.values().sum::<u64>()), (270, 30), "{seen:?}");
    assert_eq!(seen.damaged.len(), 5, "{seen:?}");
}
