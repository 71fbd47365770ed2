//! Promises of the server: what a client of S3 writes it reads again and finds in the folder, and nobody else does.

use std::path::Path;
use std::sync::Arc;

use gpu_bucket::{Server, server};
use gpu_stores::{Fault, Keys, Location, Object, S3Settings, Store};

fn bucket(server: &Server, keys: Keys) -> Arc<dyn Store> {
    let settings = S3Settings {
        endpoint: Some(server.endpoint()),
        region: Some(server::REGION.into()),
        keys: Some(keys),
        ..S3Settings::default()
    };
    gpu_stores::open(&Location::S3 { bucket: "tiles".into(), prefix: "in/".into() }, &settings).unwrap()
}

fn started(root: &Path) -> Server {
    std::fs::create_dir_all(root.join("tiles")).unwrap();
    Server::start(root, 0, Keys::random()).unwrap()
}

fn listed(store: &dyn Store) -> Vec<Object> {
    let mut found = Vec::new();
    store
        .list("", &mut |object| {
            found.push(object);
            true
        })
        .unwrap();
    found
}

#[test]
fn what_is_written_is_listed_and_read_whatever_its_key_is() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    let store = bucket(&server, server.keys().clone());
    // More than a page of a listing has.
    let mut keys = Vec::from_iter((0..1203).map(|number| format!("{:02}/{number}.jpg", number % 7)));
    keys.extend(
        ["line\nbreak \"quoted\" 'too'.jpg", "ünï/コード.jpg", "a+b %41&c=d?#;.jpg", "[x]{y}~^`|*.jpg"]
            .map(str::to_owned),
    );
    for key in &keys {
        store.put(key, key.as_bytes()).unwrap();
    }
    store.put("sub/large", &vec![7; 5 << 20]).unwrap();
    keys.push("sub/large".into());
    keys.sort();
    let found = listed(store.as_ref());
    assert_eq!(found.iter().map(|object| &object.key).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
    for object in &found {
        let bytes = store.get(object).unwrap();
        assert!(object.key == "sub/large" || bytes == object.key.as_bytes(), "{object:?}");
        assert!(!object.etag.is_empty() && object.size == bytes.len() as u64, "{object:?}");
        // As a file in the folder, and nothing beside it.
        assert_eq!(std::fs::read(folder.path().join("tiles/in").join(&object.key)).unwrap(), bytes);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn an_object_is_made_once_or_replaced_and_a_reader_notices() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    let store = bucket(&server, server.keys().clone());
    store.create("a", b"one").unwrap();
    assert_eq!(store.create("a", b"two").unwrap_err().fault, Fault::Exists);
    let listed = listed(store.as_ref());
    assert_eq!(store.get(&listed[0]).unwrap(), b"one");
    assert!(store.has("a").unwrap() && !store.has("b").unwrap());
    store.put("a", b"too").unwrap();
    assert_eq!(store.get(&listed[0]).unwrap_err().fault, Fault::Replaced);
    assert_eq!(store.read("b").unwrap_err().fault, Fault::Missing);
    let outside = store.read("../../../etc/passwd").unwrap_err();
    assert!(!matches!(outside.fault, Fault::Unavailable(_)), "{outside}");
}

#[test]
fn whoever_has_no_keys_of_it_is_refused_and_after_its_end_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    let own = bucket(&server, server.keys().clone());
    own.put("a", b"one").unwrap();
    let wrong = Keys { secret: "other".into(), ..server.keys().clone() };
    for keys in [wrong, Keys::random()] {
        let error = bucket(&server, keys).read("a").unwrap_err();
        assert!(matches!(error.fault, Fault::Credentials(_)), "{error}");
    }
    drop(server);
    assert!(matches!(own.read("a").unwrap_err().fault, Fault::Unavailable(_)));
}

#[test]
fn a_large_object_comes_in_parts_and_one_that_cannot_be_completed_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = started(folder.path());
    let store = bucket(&server, server.keys().clone());
    let large = Vec::from_iter((0..10_000_000u32).flat_map(u32::to_le_bytes));
    store.put("large", &large).unwrap();
    assert!(store.read("large").unwrap() == large);
    // Below an object there can be none, as files have it: that is seen when all parts are there.
    let error = store.put("large/below", &large).unwrap_err();
    assert!(error.to_string().contains("large/below"), "{error}");
    assert_eq!(std::fs::read_dir(folder.path().join(".uploads")).unwrap().count(), 0);
    assert_eq!(listed(store.as_ref()).len(), 1);
}
