//! Where on Earth a `GeoTIFF`'s pixels are (OGC 19-008r4): its origin, the size of a pixel, and the system of coordinates.

use std::io::Cursor;

use tiff::decoder::Decoder;
use tiff::tags::Tag;

/// The place of an image whose axes are those of its system of coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Geo {
    /// Outer corner of the first pixel.
    pub(super) origin: [f64; 2],
    /// Width and height of a pixel, both above 0; rows run towards smaller y.
    pub(super) pixel: [f64; 2],
    /// Number of the system of coordinates in EPSG's list.
    pub(super) epsg: Option<i32>,
}

const PIXEL_SCALE: Tag = Tag::Unknown(33_550);
const TIE_POINT: Tag = Tag::Unknown(33_922);
const KEYS: Tag = Tag::Unknown(34_735);
/// Keys of the directory: a projected and a geographic system.
const PROJECTED: u16 = 3072;
const GEOGRAPHIC: u16 = 2048;
/// "User-defined", which is no number of EPSG's.
const USER_DEFINED: u16 = 32_767;

/// The place that a TIFF says it is at, where it does.
pub(super) fn of(bytes: &[u8]) -> Option<Geo> {
    if !matches!(bytes.get(..4)?, b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+") {
        return None;
    }
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    let scale = number_list(&mut decoder, PIXEL_SCALE)?;
    let tie = number_list(&mut decoder, TIE_POINT)?;
    let (&[width, height, ..], &[column, row, _, x, y, ..]) = (scale.as_slice(), tie.as_slice()) else {
        return None;
    };
    let origin = [x - column * width, y + row * height];
    let sound = width > 0.0 && height > 0.0 && origin.iter().all(|number| number.is_finite());
    sound.then(|| Geo { origin, pixel: [width, height], epsg: epsg(&mut decoder) })
}

fn number_list(decoder: &mut Decoder<Cursor<&[u8]>>, tag: Tag) -> Option<Vec<f64>> {
    decoder.find_tag(tag).ok()??.into_f64_vec().ok()
}

/// Keys come in fours: the key, where its value is (0: right here), how many, the value.
fn epsg(decoder: &mut Decoder<Cursor<&[u8]>>) -> Option<i32> {
    let keys = decoder.find_tag(KEYS).ok()??.into_u16_vec().ok()?;
    let entries = Vec::from_iter(keys.get(4..)?.chunks_exact(4));
    let value = |wanted: u16| {
        let entry = entries.iter().find(|entry| entry[0] == wanted && entry[1] == 0)?;
        (entry[3] != USER_DEFINED).then(|| i32::from(entry[3]))
    };
    value(PROJECTED).or_else(|| value(GEOGRAPHIC))
}

#[cfg(test)]
mod tests {
    use tiff::encoder::{TiffEncoder, colortype};

    use super::*;

    #[test]
    fn a_geotiff_says_where_it_is_and_another_image_does_not() {
        let mut bytes = Cursor::new(Vec::new());
        let mut encoder = TiffEncoder::new(&mut bytes).unwrap();
        let mut image = encoder.new_image::<colortype::RGB8>(2, 1).unwrap();
        let directory = image.encoder();
        directory.write_tag(PIXEL_SCALE, [0.1f64, 0.2, 0.0].as_slice()).unwrap();
        directory.write_tag(TIE_POINT, [10.0f64, 20.0, 0.0, 500_000.0, 4_000_000.0, 0.0].as_slice()).unwrap();
        directory.write_tag(KEYS, [1u16, 1, 0, 1, PROJECTED, 0, 1, 32_617].as_slice()).unwrap();
        image.write_data(&[0; 6]).unwrap();
        let geo = of(&bytes.into_inner()).unwrap();
        assert_eq!(geo.epsg, Some(32_617));
        assert!((geo.origin[0] - 499_999.0).abs() < 1e-6 && (geo.origin[1] - 4_000_004.0).abs() < 1e-6);
        assert_eq!(of(b"\x89PNG\r\n"), None);
        assert_eq!(of(b"II*\0"), None);
    }
}
