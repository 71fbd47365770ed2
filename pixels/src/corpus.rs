//! The images of fixtures/pixels, and what the references make of them.

use std::io::Read;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Encoded, Unusable};

const IMAGES: &[u8] = include_bytes!("../../fixtures/pixels/corpus.tar.zst");
const RIGHT: &str = include_str!("../../fixtures/pixels/corpus.json");
/// Room for the archive, unpacked.
const WHOLE: usize = 4 << 20;

/// Name, bytes, and what is right of each image.
pub(crate) fn files() -> Vec<(String, Vec<u8>, Value)> {
    let mut right: Map<String, Value> = serde_json::from_str(RIGHT).unwrap();
    let archive = zstd::bulk::decompress(IMAGES, WHOLE).unwrap();
    let mut files = Vec::new();
    for entry in tar::Archive::new(archive.as_slice()).entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let right = right.remove(&name).unwrap();
        files.push((name, bytes, right));
    }
    assert!(right.is_empty(), "{right:?}");
    files
}

fn decoded(bytes: &[u8]) -> super::Result<(u32, u32, String)> {
    let encoded = Encoded::open(bytes)?;
    assert!(encoded.memory() < 1 << 40);
    let image = encoded.decode()?;
    Ok((image.width(), image.height(), hex::encode(Sha256::digest(image.as_raw()))))
}

#[test]
fn every_image_is_decoded_as_the_references_do_or_refused_by_name() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (name, bytes, right) in files() {
        if right.get("geo").is_some() {
            continue;
        }
        count += 1;
        let found = decoded(&bytes);
        let is_right = match &found {
            Ok((width, height, rgb)) => {
                right["rgb"] == rgb.as_str() && right["size"] == serde_json::json!([width, height])
            }
            Err(Unusable(why)) => right["error"].as_str().is_some_and(|part| why.contains(part)),
        };
        if !is_right {
            wrong.push(format!("{name}: {found:?}, right is {right}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 250, "{count}");
}

/// Cut anywhere, or with a byte that is another one, an image is pixels or an error, and takes no more than was said.
#[test]
fn no_damage_breaks_a_decoder() {
    for (index, (name, bytes, _)) in files().into_iter().enumerate() {
        for step in 0..12 {
            let at = (index * 7919 + step * 104_729) % bytes.len().max(1);
            let mut damaged = bytes.clone();
            match step % 3 {
                0 => damaged.truncate(at),
                1 => damaged.iter_mut().skip(at).take(4).for_each(|byte| *byte = 0xff),
                _ => damaged.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (step % 8)),
            }
            let Ok(encoded) = Encoded::open(&damaged) else { continue };
            if encoded.memory() > 64 << 20 {
                continue;
            }
            if let Err(Unusable(why)) = encoded.decode() {
                assert!(!why.contains("the decoder broke"), "{name}, {step} at {at}: {why}");
            }
        }
    }
}
