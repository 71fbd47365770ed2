//! Other readers find in the shards what ours does: pyarrow and DuckDB, the same schema, rows and values.

use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::process::Command;

use gpu_harness_tests::pipeline::{LEAF, Pipeline, SHARDS};
use gpu_harness_tests::{bucket, project::Project};
use gpu_shards::Cell;
use image::{ImageFormat, RgbImage};
use serde_json::{Map, Value, json};
use tiff::encoder::{TiffEncoder, colortype};
use tiff::tags::Tag;

/// A key that whoever escapes too much or too little gets wrong.
const ODD: &str = "line\nbreak \"quoted\" 'ünïコード' +%41&,.jpg";

fn repository(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").join(path)
}

/// An image of 2 × 2 pixels that knows where it is.
fn geotiff() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut bytes).expect("it begins");
    let mut image = encoder.new_image::<colortype::RGB8>(2, 2).expect("it has a size");
    let tags = image.encoder();
    let scale = [0.1f64, 0.1, 0.0];
    tags.write_tag(Tag::Unknown(33_550), scale.as_slice()).expect("a tag");
    let corner = [0.0f64, 0.0, 0.0, 404_211.9, 3_285_102.3, 0.0];
    tags.write_tag(Tag::Unknown(33_922), corner.as_slice()).expect("a tag");
    let keys = [1u16, 1, 0, 1, 3072, 0, 1, 32_617];
    tags.write_tag(Tag::Unknown(34_735), keys.as_slice()).expect("a tag");
    image.write_data(&[90; 12]).expect("pixels");
    bytes.into_inner()
}

/// A pipeline over images of every kind, and some that are none.
fn pipeline(model: &str, output: &str) -> Pipeline {
    let mut pipeline = Pipeline::new();
    pipeline.set("model", json!({ "torchscript": model }));
    pipeline.set("output", output);
    pipeline.set("size", 16);
    pipeline.set("rows-per-shard", 4);
    let mut png = Cursor::new(Vec::new());
    RgbImage::from_fn(30, 20, |x, y| image::Rgb([x.to_le_bytes()[0] * 8, y.to_le_bytes()[0] * 9, 7]))
        .write_to(&mut png, ImageFormat::Png)
        .expect("it is encoded");
    pipeline.image("a.png", &png.into_inner());
    pipeline.image("somewhere.tif", &geotiff());
    pipeline.image(ODD, LEAF);
    pipeline.image("bad/empty.jpg", b"");
    pipeline.image("bad/text.jpg", b"This is \"no\" image.\n");
    for number in 0..7 {
        pipeline.image(&format!("{number}.jpg"), LEAF);
    }
    pipeline
}

/// What the other readers find.
fn read(folder: &Path) -> Value {
    let mut command = Command::new(bucket::python());
    command.arg(repository("fixtures/pipeline/read_back.py")).arg(folder).arg("--rows");
    let output = command.output().expect("Python starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Our own rows as the other readers have them, in the order of their keys.
fn ours(pipeline: &Pipeline) -> Vec<Value> {
    let number = |number: f64| json!(number);
    let value = |cell: &Cell| match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => json!(text),
        Cell::Int32(whole) => json!(whole),
        Cell::Int64(whole) => json!(whole),
        Cell::Float(single) => number(f64::from(*single)),
        Cell::Double(double) => number(*double),
        Cell::Int32s(list) => json!(list),
        Cell::Floats(list) => list.iter().map(|single| number(f64::from(*single))).collect(),
    };
    let mut rows = Vec::new();
    for table in pipeline.tables().values() {
        rows.extend(table.rows.iter().map(|row| {
            let cells =
                table.columns.iter().zip(row).map(|(column, cell)| (column.name.clone(), value(cell)));
            Value::Object(Map::from_iter(cells))
        }));
    }
    rows.sort_by_key(|row| row["key"].as_str().expect("a key").to_owned());
    rows
}

#[test]
fn other_readers_find_the_same_schema_rows_and_values_in_every_kind_of_output() {
    let common = [
        ("key", "string", false, "VARCHAR"),
        ("etag", "string", true, "VARCHAR"),
        ("size", "int64", false, "BIGINT"),
        ("width", "int32", true, "INTEGER"),
        ("height", "int32", true, "INTEGER"),
        ("origin_x", "double", true, "DOUBLE"),
        ("origin_y", "double", true, "DOUBLE"),
        ("pixel_width", "double", true, "DOUBLE"),
        ("pixel_height", "double", true, "DOUBLE"),
        ("epsg", "int32", true, "INTEGER"),
        ("error", "string", true, "VARCHAR"),
    ];
    let whole_list = "list<element: int32 not null>";
    let list = "list<element: float not null>";
    let outputs = [
        (
            "leaves.pt",
            "classify",
            vec![("classes", whole_list, true, "INTEGER[]"), ("scores", list, true, "FLOAT[]")],
        ),
        ("pixels.pt", "embed", vec![("embedding", list, true, "FLOAT[]")]),
        (
            "greens.pt",
            "segment",
            vec![
                ("mask_width", "int32", true, "INTEGER"),
                ("mask_height", "int32", true, "INTEGER"),
                ("mask_counts", whole_list, true, "INTEGER[]"),
            ],
        ),
    ];
    for (model, output, own) in outputs {
        let pipeline = pipeline(model, output);
        let ran = pipeline.run();
        assert!(ran.output.status.success(), "{output}: {}", ran.said());
        let found = read(&pipeline.path().join(SHARDS));
        let columns = Vec::from_iter(common.iter().chain(&own));
        let (mut arrow, mut duck) = (Map::new(), Map::new());
        for (name, kind, nullable, duck_kind) in columns {
            arrow.insert((*name).to_owned(), json!([kind, nullable]));
            duck.insert((*name).to_owned(), json!(duck_kind));
        }
        assert_eq!((&found["pyarrow"], &found["duckdb"]), (&Value::Object(arrow), &Value::Object(duck)));
        let ours = ours(&pipeline);
        assert_eq!(found["rows"].as_array().expect("rows"), &ours, "{output}");

        assert_eq!(ours.len(), 12, "{output}");
        let row = |key: &str| ours.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("{key:?}"));
        let first = own[0].0;
        assert!(row(ODD)["error"].is_null() && !row(ODD)[first].is_null(), "{}", row(ODD));
        assert!(row("bad/empty.jpg")["error"].is_string() && row("bad/empty.jpg")[first].is_null());
        let place = row("somewhere.tif");
        assert_eq!(
            (&place["origin_x"], &place["origin_y"], &place["pixel_width"], &place["epsg"]),
            (&json!(404_211.9), &json!(3_285_102.3), &json!(0.1), &json!(32_617))
        );
        assert!(row("a.png")["origin_x"].is_null());
    }
}

/// What a shard's footer says of its columns.
const FOOTER: &str = r#"
import sys, pyarrow.parquet as parquet
for path in sys.argv[1:]:
    file = parquet.ParquetFile(path).metadata
    assert file.metadata.keys() == {b"gpu-harness.plan"}, file.metadata
    for group in map(file.row_group, range(file.num_row_groups)):
        columns = [group.column(index) for index in range(group.num_columns)]
        assert all(column.compression == "ZSTD" for column in columns), columns
        assert not any(column.has_dictionary_page for column in columns), columns
        assert [column.path_in_schema for column in columns if column.is_stats_set] == ["key"], columns
        keys = parquet.read_table(path, columns=["key"])["key"].to_pylist()
        assert (columns[0].statistics.min, columns[0].statistics.max) == (keys[0], keys[-1]), columns[0]
"#;

#[test]
fn a_shard_is_compressed_and_says_which_keys_are_in_it() {
    let pipeline = pipeline("leaves.pt", "classify");
    pipeline.succeed();
    let shards = pipeline.tables().into_iter().filter(|(_, table)| !table.rows.is_empty());
    let out = pipeline.path().join(SHARDS);
    let mut command = Command::new(bucket::python());
    command.args(["-c", FOOTER]).args(shards.map(|(name, _)| out.join(name)));
    let output = command.output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_suite_can_have_its_shards_read_back_by_a_case_of_its_own() {
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let out = tempfile::tempdir().expect("a temporary folder");
    let to = out.path().display();
    let python = bucket::python();
    let suite = format!(
        "suite: s
cases:
  - name: predict
    device: cpu
    pipeline: {{ model: {{ torchscript: leaves.pt }}, images: {{ cut: {{ image: tile.png, count: 10 }} }}, to: 'file://{to}/{{run}}/', output: classify, size: 32, calibrate: 0s }}
  - name: read-back
    command:
      run: [sh, -c, '\"$PYTHON\" read_back.py \"{to}/$GPU_HARNESS_RUN\"']
      env: {{ PYTHON: '{}' }}
      files: [read_back.py]
    checks:
      metric: [{{ name: rows, at-least: 10 }}, {{ name: errors, at-most: 0 }}]
",
        python.to_string_lossy()
    );
    let tile = RgbImage::from_fn(300, 300, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7]));
    let mut png = Cursor::new(Vec::new());
    tile.write_to(&mut png, ImageFormat::Png).expect("it is encoded");
    let project = Project::with_suite(&suite)
        .env("LIBTORCH", libtorch)
        .file("tile.png", png.into_inner())
        .file("leaves.pt", fs::read(repository("fixtures/pipeline/leaves.pt")).expect("a fixture"))
        .file("read_back.py", fs::read(repository("fixtures/pipeline/read_back.py")).expect("a fixture"));
    let run = project.run(&[]);
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout, run.stderr);
}
