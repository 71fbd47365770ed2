//! Whether a JPEG has its end. The decoder fills the rest of a file that was cut off with grey and says nothing, and a
//! model predicts grey as readily as leaves; libjpeg warns, and Pillow refuses, as we do.

/// Start of image, as every JPEG begins.
const START: [u8; 2] = [0xff, 0xd8];
const SCAN: u8 = 0xda;
const END: [u8; 2] = [0xff, 0xd9];

/// Whether this is a JPEG that ends before its end marker. What is behind the marker does not count.
pub(super) fn is_cut_off(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(&START) else { return false };
    // Thumbnails lie in the segments before the pixels, and have end markers of their own.
    !pixels(rest).is_some_and(|pixels| pixels.windows(2).rev().any(|pair| pair == END))
}

/// What is behind the header of the first scan; nothing where the file does not come so far.
fn pixels(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        // Any number of fill bytes may stand before a marker.
        let marker = rest.iter().position(|byte| *byte != 0xff).filter(|at| *at > 0)?;
        let kind = rest[marker];
        let segment = &rest[marker + 1..];
        // The length counts its own two bytes.
        let length = usize::from(u16::from_be_bytes(segment.first_chunk().copied()?));
        rest = segment.get(length.max(2)..)?;
        if kind == SCAN {
            return Some(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaf() -> Vec<u8> {
        let pixels = image::RgbImage::from_fn(64, 48, |x, y| {
            let grey = u8::try_from((x * 37 + y * 91) % 251).unwrap();
            image::Rgb([grey, 255 - grey, grey / 2])
        });
        let mut bytes = Vec::new();
        let encoder = image::codecs::jpeg::JpegEncoder::new(&mut bytes);
        pixels.write_with_encoder(encoder).unwrap();
        bytes
    }

    #[test]
    fn a_whole_one_is_whole_and_one_without_its_end_is_not_wherever_it_was_cut() {
        let leaf = leaf();
        assert!(!is_cut_off(&leaf));
        assert!(!is_cut_off(&[&leaf[..], b"what a camera adds"].concat()));
        for length in 2..leaf.len() - 1 {
            assert!(is_cut_off(&leaf[..length]), "{length} of {}", leaf.len());
        }
    }

    #[test]
    fn the_end_of_a_thumbnail_is_not_the_images() {
        let (leaf, mut thumbnail) = (leaf(), leaf());
        thumbnail.truncate(2000);
        thumbnail.extend(END);
        let length = u16::try_from(thumbnail.len() + 2).unwrap().to_be_bytes();
        let whole = [&leaf[..2], &[0xff, 0xe1], &length[..], &thumbnail, &leaf[2..]].concat();
        assert!(!is_cut_off(&whole));
        assert!(is_cut_off(&whole[..whole.len() - 20]));
    }

    #[test]
    fn what_is_no_jpeg_is_not_judged() {
        for bytes in [&b""[..], b"\x89PNG", b"RIFF"] {
            assert!(!is_cut_off(bytes));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            is_cut_off(&[&START[..], &bytes].concat());
        }
    }
}
