//! The S3 server that a pipeline has of its own: the path goes over it, clients of other authors speak with it, and it
//! may be killed and come back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gpu_harness_tests::bucket::{Served, python};
use gpu_harness_tests::pipeline::{LEAF, Pipeline};
use gpu_harness_tests::process::within;
use gpu_harness_tests::s3::{Faults, Weather};
use gpu_shards::Cell;
use image::RgbImage;
use serde_json::{Value, json};

/// The image that comes at 1 KB/s.
const SLOW: &str = "slow.jpg";

/// Keys and errors in the shards of a folder, and whether every row has an etag.
fn rows(folder: &Path) -> (Vec<(String, Option<String>)>, bool) {
    let (mut rows, mut etags) = (Vec::new(), true);
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        if entry.path().extension().is_none_or(|ending| ending != "parquet") {
            continue;
        }
        let table = gpu_shards::read(&fs::read(entry.path()).expect("a shard")).expect("a shard is whole");
        let at = |name: &str| table.column(name).expect("a column");
        for row in &table.rows {
            let Cell::Text(key) = &row[at("key")] else { panic!("a key is a text") };
            let error = if let Cell::Text(error) = &row[at("error")] { Some(error.clone()) } else { None };
            etags &= matches!(&row[at("etag")], Cell::Text(etag) if !etag.is_empty());
            rows.push((key.clone(), error));
        }
    }
    rows.sort();
    (rows, etags)
}

#[test]
fn a_pipeline_that_cuts_its_images_goes_over_an_s3_of_its_own() {
    let mut pipeline = Pipeline::new();
    RgbImage::from_fn(300, 300, |x, y| image::Rgb([x.to_le_bytes()[0], y.to_le_bytes()[0], 7]))
        .save(pipeline.path().join("tile.png"))
        .expect("the folder is writable");
    pipeline.set("images", json!({ "cut": { "image": "tile.png", "count": 60 } }));
    pipeline.unset("to");
    pipeline.set("rows-per-shard", 10);
    pipeline.succeed();
    let record: Value =
        serde_json::from_slice(&fs::read(pipeline.path().join("pipeline.json")).expect("a record"))
            .expect("JSON");
    assert_eq!((&record["images"], &record["shards"]), (&json!("s3://images/"), &json!("s3://shards/")));
    // Where they are without any S3, too.
    let (found, etags) = rows(&pipeline.path().join("shards"));
    assert_eq!((found.len(), etags), (60, true));
    assert!(found.iter().all(|(_, error)| error.is_none()), "{found:?}");
    assert!(pipeline.path().join("images/000/0000059.jpg").is_file());

    // Another server, another port: the same plan goes on.
    let mark = pipeline.path().join("shards/_done/00000.json");
    fs::remove_file(mark).expect("a mark");
    let again = pipeline.succeed();
    assert!((again.figure("shards_found_done") - (again.figure("shards") - 1.0)).abs() < 1e-9);
    assert_eq!(rows(&pipeline.path().join("shards")).0, found);
}

#[test]
fn a_server_that_is_killed_and_comes_back_in_mid_run_costs_no_image() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let images = root.path().join("tiles/in");
    let mut keys = BTreeSet::from_iter((0..400).map(|number| format!("{:02}/{number}.jpg", number % 7)));
    keys.insert(SLOW.to_owned());
    keys.extend(
        ["line\nbreak \"quoted\" 'too'.jpg", "ünï/コード.jpg", "a+b %41&c=d?#;[x]{y}~^`|*.jpg"]
            .map(str::to_owned),
    );
    for key in &keys {
        let path = images.join(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is writable");
        fs::write(path, LEAF).expect("the folder is writable");
    }
    let served = Served::start(root.path(), 0, None);
    let (port, own) = (served.port(), served.keys());
    // One image takes seconds, so that the run is not over when the server is killed.
    let weather = Weather::before(port, 8);
    weather.set(Faults { slow: Some(SLOW), ..Faults::default() });
    let mut pipeline = Pipeline::new();
    pipeline.set("s3", json!({ "endpoint": weather.endpoint() }));
    pipeline.set("images", json!({ "from": "s3://tiles/in/" }));
    pipeline.set("to", "s3://tiles/out/");
    pipeline.set("rows-per-shard", 20);
    pipeline.set("clients", 2);
    for (name, value) in served.env() {
        pipeline.env(name, value);
    }
    let out = root.path().join("tiles/out");
    let mut worker = pipeline.worker().spawn().expect("gpu-worker starts");
    within(Duration::from_secs(60), "the first shard", || out.join("_done").is_dir());
    served.kill();
    weather.set(Faults::default());
    assert!(worker.try_wait().expect("a child").is_none(), "it was killed in mid-run");
    std::thread::sleep(Duration::from_secs(1));
    let served = Served::start(root.path(), port, Some(&own));
    assert!(worker.wait().expect("it ends").success());
    served.end();
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err(), "nobody listens any more");
    let (found, etags) = rows(&out);
    assert_eq!(BTreeSet::from_iter(found.iter().map(|(key, _)| key.clone())), keys);
    assert_eq!((found.len(), etags), (keys.len(), true));
    assert!(found.iter().all(|(_, error)| error.is_none()), "{found:?}");
    assert!(out.join("_manifest.json").is_file());
}

/// AWS's own client, and pyarrow's, which is AWS's in C++.
const CLIENTS: &str = r#"
import io, os, boto3, pyarrow.fs
from boto3.s3.transfer import TransferConfig
s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL_S3"])
s3.create_bucket(Bucket="made")
assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["made"]
odd = "deep/line\nbreak \"quoted\" +%41&\u00fc.jpg"
for key in ["a", "deep/1", "deep/2", odd]:
    s3.put_object(Bucket="made", Key=key, Body=key.encode())
large = os.urandom(12 << 20)
s3.upload_fileobj(io.BytesIO(large), "made", "large", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
assert s3.get_object(Bucket="made", Key="large")["Body"].read() == large
assert s3.get_object(Bucket="made", Key="large", Range="bytes=5-9")["Body"].read() == large[5:10]
assert s3.get_object(Bucket="made", Key=odd)["Body"].read() == odd.encode()
pages = s3.get_paginator("list_objects_v2").paginate(Bucket="made", PaginationConfig={"PageSize": 2})
found = {entry["Key"]: entry for page in pages for entry in page["Contents"]}
assert sorted(found) == sorted(["a", "deep/1", "deep/2", odd, "large"]), found
assert all(s3.head_object(Bucket="made", Key=key)["ETag"] == entry["ETag"] for key, entry in found.items())
top = s3.list_objects_v2(Bucket="made", Delimiter="/")
assert [entry["Prefix"] for entry in top["CommonPrefixes"]] == ["deep/"], top
try:
    s3.put_object(Bucket="made", Key="a", Body=b"", IfNoneMatch="*")
    raise SystemExit("it was replaced")
except s3.exceptions.ClientError as error:
    assert error.response["Error"]["Code"] == "PreconditionFailed", error
upload = s3.create_multipart_upload(Bucket="made", Key="never")["UploadId"]
s3.upload_part(Bucket="made", Key="never", UploadId=upload, PartNumber=1, Body=b"x")
s3.abort_multipart_upload(Bucket="made", Key="never", UploadId=upload)
arrow = pyarrow.fs.S3FileSystem(endpoint_override=os.environ["AWS_ENDPOINT_URL_S3"])
assert sorted(about.path for about in arrow.get_file_info(pyarrow.fs.FileSelector("made"))) == ["made/a", "made/deep", "made/large"]
with arrow.open_output_stream("made/by-arrow") as out:
    out.write(large)
assert arrow.open_input_file("made/by-arrow").read() == large
s3.delete_objects(Bucket="made", Delete={"Objects": [{"Key": key} for key in found]})
s3.delete_object(Bucket="made", Key="by-arrow")
assert "Contents" not in s3.list_objects_v2(Bucket="made")
"#;

#[test]
fn clients_of_other_authors_speak_with_the_server() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let served = Served::start(root.path(), 0, None);
    let mut client = Command::new(python());
    client.args(["-c", CLIENTS]).env("AWS_EC2_METADATA_DISABLED", "true");
    client.env("AWS_CONFIG_FILE", "/nowhere").env("AWS_SHARED_CREDENTIALS_FILE", "/nowhere");
    client.envs(served.env().iter().cloned());
    let output = client.output().expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    served.end();
    // An upload that was given up leaves nothing.
    let uploads = fs::read_dir(root.path().join(".uploads")).expect("there were some");
    assert_eq!(uploads.count(), 0);
}

const GLACIER: &str = "<Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage class</Message><StorageClass>GLACIER</StorageClass></Error>";
const KMS: &str = "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::1:user/ci is not authorized to perform: kms:Decrypt on the resource associated with this ciphertext</Message></Error>";
const DENIED: &str = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>";
const MALFORMED: &str = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>";

/// A pipeline over five images of an S3, the first of which has a word of its own in its key.
fn over_five(served: &Served, root: &Path, weather: &Weather) -> Pipeline {
    for key in ["odd.jpg", "p1.jpg", "p2.jpg", "p3.jpg", "p4.jpg"] {
        let path = root.join("tiles/in").join(key);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is writable");
        fs::write(path, LEAF).expect("the folder is writable");
    }
    let mut pipeline = Pipeline::new();
    pipeline.set("s3", json!({ "endpoint": weather.endpoint(), "region": "us-east-1" }));
    pipeline.set("images", json!({ "from": "s3://tiles/in/" }));
    pipeline.set("patience", "2s");
    for (name, value) in served.env() {
        pipeline.env(name, value);
    }
    pipeline
}

#[test]
fn what_is_one_objects_trouble_is_its_row_and_what_is_everyones_ends_the_run_by_its_name() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let served = Served::start(root.path(), 0, None);
    let weather = Weather::before(served.port(), 9);
    let mut pipeline = over_five(&served, root.path(), &weather);
    for (document, said) in
        [(GLACIER, "it is archived"), (KMS, "encryption key cannot be used"), (DENIED, "not allowed")]
    {
        weather.set(Faults { refused: Some(("odd.jpg", "403 Forbidden", document)), ..Faults::default() });
        // Whichever comes first, the one that is refused or one that is not.
        for clients in [1, 5] {
            pipeline.set("clients", clients);
            let _ = fs::remove_dir_all(pipeline.path().join("out"));
            let ran = pipeline.run();
            assert!(ran.output.status.success(), "{said}: {}", ran.said());
            let rows = pipeline.rows();
            let odd =
                rows.iter().find(|row| row.0 == "odd.jpg").and_then(|row| row.1.clone()).unwrap_or_default();
            assert!(odd.contains(said), "{rows:#?}");
            assert_eq!(rows.iter().filter(|row| row.1.is_none()).count(), 4, "{rows:#?}");
        }
    }
    for (faults, what, hint) in [
        (
            Faults { refused: Some((".jpg", "403 Forbidden", DENIED)), ..Faults::default() },
            "not allowed",
            "s3:GetObject",
        ),
        (
            Faults { refused: Some((".jpg", "403 Forbidden", KMS)), ..Faults::default() },
            "encryption key",
            "kms:Decrypt",
        ),
        (
            Faults { all: Some(("400 Bad Request", "", MALFORMED)), ..Faults::default() },
            "another region",
            "AWS_REGION=eu-west-1",
        ),
        (
            Faults {
                all: Some(("301 Moved Permanently", "x-amz-bucket-region: eu-west-1\r\n", "")),
                ..Faults::default()
            },
            "another region",
            "AWS_REGION=eu-west-1",
        ),
    ] {
        weather.set(faults);
        let _ = fs::remove_dir_all(pipeline.path().join("out"));
        let ran = pipeline.run();
        assert_eq!(ran.output.status.code(), Some(70), "{}", ran.said());
        let (said, told) = ran.error.expect("an error");
        assert!(said.contains(what) && told.contains(hint), "{said}; {told}");
    }
    served.end();
}
