//! The doors at which images come in, each as a function of bytes: what a fuzzer calls (`fuzz/`), and the tests below.
//!
//! Whatever comes, a door neither panics nor hangs. PNG and WebP are other people's decoders, whose panics are caught and make
//! a bad image of it; a fuzzer sees them all the same.

use gpu_suites::picture::Picture as Kind;

use super::{Encoded, Unusable, geo};

/// A door: its name is a file's in `fuzz/targets` and a folder's in `fuzz/seeds`.
pub type Door = fn(&[u8]);

/// Every door.
pub const DOORS: [(&str, Door); 3] = [("jpeg", jpeg), ("raster", raster), ("tiff", tiff)];

/// Bytes that an image may take here: a larger one tells nothing new, and takes a fuzzer's time.
const MOST_MEMORY: u64 = 16 << 20;

/// A JPEG.
pub fn jpeg(data: &[u8]) {
    image(data, &[Kind::Jpeg]);
}

/// A TIFF, and where on Earth it is.
pub fn tiff(data: &[u8]) {
    let _ = geo::of(data);
    image(data, &[Kind::Tiff]);
}

/// A PNG or a WebP.
pub fn raster(data: &[u8]) {
    image(data, &[Kind::Png, Kind::WebP]);
}

fn image(data: &[u8], kinds: &[Kind]) {
    if !Kind::of(data).is_some_and(|kind| kinds.contains(&kind)) {
        return;
    }
    let decoded = Encoded::open(data).and_then(|encoded| {
        if encoded.memory() > MOST_MEMORY { Ok(None) } else { encoded.decode().map(Some) }
    });
    if let Err(Unusable(why)) = decoded {
        assert!(!why.contains("the decoder broke"), "{why}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_door_has_a_target_and_seeds_that_it_takes() {
        let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
        for (name, door) in DOORS {
            assert!(fuzz.join("targets").join(format!("{name}.rs")).is_file(), "{name}");
            let mut sound = 0;
            for file in std::fs::read_dir(fuzz.join("seeds").join(name)).unwrap() {
                let seed = std::fs::read(file.unwrap().path()).unwrap();
                door(&seed);
                sound += usize::from(Encoded::open(&seed).and_then(|encoded| encoded.decode()).is_ok());
            }
            assert!(sound > 4, "{name}: {sound}");
            door(b"");
            door(&[0xff; 3000]);
        }
    }
}
