//! The pipeline against a real S3 server in bad weather: nothing is lost, nothing comes twice, and each trouble has its
//! own clear error.

use std::collections::BTreeSet;
use std::time::Duration;

use gpu_harness_tests::pipeline::{Pipeline, Ran};
use gpu_harness_tests::process::within;
use gpu_harness_tests::project::Project;
use gpu_harness_tests::s3::{BUCKET, Faults, KEYS, S3, Weather};
use gpu_shards::Cell;
use serde_json::{Value, json};

const LEAF: &[u8] = include_bytes!("../rig/leaf.jpg");

/// A pipeline from and to the bucket.
fn pipeline(weather: &Weather, rows: u32) -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.set("images", json!({ "from": format!("s3://{BUCKET}/in/") }));
    pipeline.set("to", format!("s3://{BUCKET}/out"));
    pipeline.set("s3", json!({ "endpoint": weather.endpoint() }));
    pipeline.set("rows-per-shard", rows);
    for (name, value) in KEYS {
        pipeline.env(name, value);
    }
    pipeline
}

/// Key and error of every row of the shards that the manifest names.
fn rows(s3: &S3) -> Vec<(String, Option<String>)> {
    let manifest = s3.get("out/_manifest.json").expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    let mut rows = Vec::new();
    for shard in manifest["shards"].as_array().expect("a list") {
        let key = shard["key"].as_str().expect("a key");
        let bytes = s3.get(&format!("out/{key}")).unwrap_or_else(|| panic!("{key} is there"));
        let table = gpu_shards::read(&bytes).expect("a shard is whole");
        let (key, error) = (table.column("key").expect("keys"), table.column("error").expect("errors"));
        rows.extend(table.rows.iter().map(|row| match (&row[key], &row[error]) {
            (Cell::Text(key), Cell::Text(error)) => (key.clone(), Some(error.clone())),
            (Cell::Text(key), _) => (key.clone(), None),
            other => panic!("{other:?}"),
        }));
    }
    rows.sort();
    rows
}

fn refused(ran: &Ran) -> (String, String) {
    assert_eq!(ran.output.status.code(), Some(70), "{}", ran.said());
    ran.error.clone().expect("an error")
}

#[test]
fn in_bad_weather_every_image_still_has_one_row() {
    let s3 = S3::start();
    let mut keys = BTreeSet::from_iter((0..1100).map(|number| format!("{:02}/{number}.jpg", number % 13)));
    // A line break in a key, which moto has no route for, is tried with a folder and in the text of a listing.
    keys.extend(["\"quoted\" 'too'.jpg", "ünï/コード.jpg", "a+b %41&c=d?.jpg"].map(str::to_owned));
    keys.extend(["crawling.jpg", "halved.jpg"].map(str::to_owned));
    for key in &keys {
        s3.put(&format!("in/{key}"), LEAF);
    }
    // Of another prefix that begins alike.
    s3.put("in2/other.jpg", LEAF);
    let weather = Weather::on_the_way_to(&s3, 1);
    weather.set(Faults {
        slow_down: 0.2,
        cut: 0.1,
        short: Some("halved"),
        slow: Some("crawling"),
        ..Faults::default()
    });
    let mut pipeline = pipeline(&weather, 200);
    pipeline.set("stall", "1s");
    let ran = pipeline.run();
    assert!(ran.output.status.success(), "{}", ran.said());
    let rows = rows(&s3);
    assert_eq!(rows.len(), keys.len());
    assert_eq!(BTreeSet::from_iter(rows.iter().map(|(key, _)| key.clone())), keys);
    let errors =
        Vec::from_iter(rows.iter().filter_map(|(key, error)| Some((key.as_str(), error.as_deref()?))));
    let [("crawling.jpg", slow), ("halved.jpg", short)] = errors.as_slice() else { panic!("{errors:?}") };
    assert!(slow.contains("it came too slowly"), "{slow}");
    assert!(short.contains("bytes came, the listing said"), "{short}");
    for name in ["rows/missing", "rows/doubled", "rows/foreign"] {
        assert!(ran.figure(name) < 1.0, "{name}");
    }
}

#[test]
fn a_store_that_goes_away_and_comes_back_is_waited_for_and_one_that_stays_away_ends_the_run() {
    let s3 = S3::start();
    for number in 0..200 {
        s3.put(&format!("in/{number}.jpg"), LEAF);
    }
    let weather = Weather::on_the_way_to(&s3, 2);
    let mut pipeline = pipeline(&weather, 20);
    pipeline.set("clients", 2);
    let mut worker = pipeline.worker().spawn().expect("gpu-worker starts");
    // The list, the plan and the first shards.
    within(Duration::from_secs(60), "the first shards", || weather.writes() >= 4);
    weather.set(Faults { down: true, ..Faults::default() });
    std::thread::sleep(Duration::from_secs(2));
    weather.set(Faults::default());
    assert!(worker.wait().expect("it ends").success());
    assert_eq!(rows(&s3).len(), 200);

    weather.set(Faults { down: true, ..Faults::default() });
    pipeline.set("patience", "1s");
    let (what, hint) = refused(&pipeline.run());
    assert!(what.contains(&format!("s3://{BUCKET}/out/")) && what.contains("does not answer"), "{what}");
    assert!(hint.contains("what is done is kept"), "{hint}");
}

#[test]
fn a_bucket_that_turns_read_only_ends_the_run_and_what_was_done_is_kept() {
    let s3 = S3::start();
    for number in 0..300 {
        s3.put(&format!("in/{number}.jpg"), LEAF);
    }
    let weather = Weather::on_the_way_to(&s3, 3);
    let mut pipeline = pipeline(&weather, 20);
    pipeline.set("clients", 2);
    let worker = pipeline.worker().spawn().expect("gpu-worker starts");
    within(Duration::from_secs(60), "the first shards", || weather.writes() >= 6);
    weather.set(Faults { read_only: true, ..Faults::default() });
    let ended = worker.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(70));
    assert!(s3.get("out/_manifest.json").is_none());
    let (what, hint) = refused(&pipeline.run());
    assert!(what.contains("not allowed: 403") && what.contains("AccessDenied"), "{what}");
    assert!(hint.contains("s3:PutObject"), "{hint}");

    weather.set(Faults::default());
    let again = pipeline.run();
    assert!(again.output.status.success(), "{}", again.said());
    assert!(again.figure("shards_found_done") >= 1.0);
    let rows = rows(&s3);
    assert_eq!((rows.len(), rows.iter().filter(|row| row.1.is_some()).count()), (300, 0));
}

#[test]
fn a_run_reaches_the_bucket_by_the_keys_of_its_nodes_environment_and_no_report_has_them() {
    let s3 = S3::start();
    for number in 0..20 {
        s3.put(&format!("in/{number}.jpg"), LEAF);
    }
    let weather = Weather::on_the_way_to(&s3, 4);
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/pipeline/leaves.pt");
    let suite = format!(
        "suite: s\ncases:\n  - name: bucket\n    device: cpu\n    pipeline: {{ model: {{ torchscript: leaves.pt }}, images: {{ from: 's3://{BUCKET}/in/' }}, to: 's3://{BUCKET}/out/{{run}}', s3: {{ endpoint: '{}' }}, output: classify, size: 32, calibrate: 100ms }}\n",
        weather.endpoint()
    );
    let mut project = Project::with_suite(&suite)
        .file("leaves.pt", std::fs::read(model).expect("a fixture"))
        .env("LIBTORCH", libtorch);
    for (name, value) in KEYS {
        project = project.env(name, value);
    }
    let run = project.run(&[]);
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout, run.stderr);
    let id = run.run_dir.as_ref().and_then(|folder| folder.file_name()).expect("a run").to_string_lossy();
    let manifest = s3.get(&format!("out/{id}/_manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!((&manifest["rows"], &manifest["errors"]), (&json!(20), &json!(0)));
    let mut folders = vec![run.run_dir.clone().expect("a run")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("it can be read").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).expect("it can be read");
                let said = String::from_utf8_lossy(&bytes);
                assert!(!said.contains("not-a-secret"), "{}", entry.path().display());
            }
        }
    }
}
