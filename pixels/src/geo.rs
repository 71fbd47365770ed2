//! Where on Earth a `GeoTIFF`'s pixels are (OGC 19-008r4), as GDAL and rasterio read it: its origin, the size of a pixel, and the
//! system of coordinates.

use crate::tiff::directory::Directory;

/// The place of an image whose axes are those of its system of coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Geo {
    /// Outer corner of the first pixel, and the width and height of a pixel: rows run towards smaller y where the height is
    /// above 0. Nothing of an image that lies askew, or whose place is a list of points.
    pub place: Option<Place>,
    /// Number of the system of coordinates in EPSG's list.
    pub epsg: Option<i32>,
}

/// Origin and size of the pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Outer corner of the first pixel.
    pub origin: [f64; 2],
    /// Width and height of a pixel.
    pub pixel: [f64; 2],
}

const PIXEL_SCALE: u16 = 33_550;
const TIE_POINTS: u16 = 33_922;
const TRANSFORMATION: u16 = 34_264;
const KEYS: u16 = 34_735;
/// Keys of the directory.
const MODEL_TYPE: u64 = 1024;
const RASTER_TYPE: u64 = 1025;
const GEOGRAPHIC: u64 = 2048;
const PROJECTED: u64 = 3072;
const LINEAR_UNITS: u64 = 3076;
/// Of `RASTER_TYPE`: tie points are centres of pixels, and no corners.
const PIXEL_IS_POINT: u64 = 2;
/// Of `LINEAR_UNITS`.
const METRES: u64 = 9001;
/// Systems in metres: UTM's zones.
const UTM: std::ops::RangeInclusive<u64> = 32_601..=32_760;
/// Numbers that EPSG gives; "user-defined" and private ones lie above.
const EPSG: std::ops::RangeInclusive<u64> = 1024..=32_766;

/// The place that a TIFF says it is at, where it does.
pub fn of(bytes: &[u8]) -> Option<Geo> {
    if !matches!(bytes.get(..4)?, b"II*\0" | b"MM\0*" | b"II+\0" | b"MM\0+") {
        return None;
    }
    let directory = Directory::of_first_page(bytes).ok()?;
    let place = place(&directory);
    // Points of control are in a system of their own.
    let epsg = if place.is_none() && has_points(&directory) { None } else { epsg(&directory) };
    let geo = Geo { place, epsg };
    (geo.place.is_some() || geo.epsg.is_some()).then_some(geo)
}

/// Whether points are tied to places, one by one.
fn has_points(directory: &Directory<'_>) -> bool {
    directory.values(TIE_POINTS).is_some() && directory.values(TRANSFORMATION).is_none()
}

/// From a scale and the first tie point, or from a matrix; tie points alone are points of control, which tell no one place.
fn place(directory: &Directory<'_>) -> Option<Place> {
    let numbers = |tag| directory.floats(tag).unwrap_or_default();
    let (scale, ties, matrix) = (numbers(PIXEL_SCALE), numbers(TIE_POINTS), numbers(TRANSFORMATION));
    let ([mut x, mut y], [width, height]) = match (scale.as_slice(), ties.as_slice(), matrix.as_slice()) {
        (&[width, height, ..], &[column, row, _, x, y, ..], _) if width != 0.0 && height != 0.0 => {
            // A scale below 0 is taken for one above 0, as GDAL does: those who write it mean north-up.
            let height = height.abs();
            ([x - column * width, y + row * height], [width, height])
        }
        (&[width, height, ..], [], _) if width != 0.0 && height != 0.0 => ([0.0, 0.0], [width, height.abs()]),
        (_, _, &[right, 0.0, _, x, 0.0, down, _, y, ..]) if scale.is_empty() => ([x, y], [right, -down]),
        _ => return None,
    };
    if key(directory, RASTER_TYPE) == Some(PIXEL_IS_POINT) {
        (x, y) = (x - width / 2.0, y + height / 2.0);
    }
    let sound =
        [x, y, width, height].iter().all(|number| number.is_finite()) && width != 0.0 && height != 0.0;
    sound.then_some(Place { origin: [x, y], pixel: [width, height] })
}

/// The number of the projected system, or of the geographic one where the image is in degrees: that one is also named as what
/// a projected system is based on. A system in other units than its number's is another one.
fn epsg(directory: &Directory<'_>) -> Option<i32> {
    let number = match key(directory, MODEL_TYPE) {
        Some(1) | None => key(directory, PROJECTED),
        Some(2 | 3) => key(directory, GEOGRAPHIC),
        Some(_) => None,
    };
    let in_metres = key(directory, LINEAR_UNITS).is_none_or(|units| units == METRES);
    let number = number.filter(|number| in_metres || !UTM.contains(number));
    number.filter(|number| EPSG.contains(number)).and_then(|number| i32::try_from(number).ok())
}

/// Keys come in fours: the key, where its value is (0: right here), how many, the value.
fn key(directory: &Directory<'_>, wanted: u64) -> Option<u64> {
    let keys = directory.values(KEYS)?;
    (1..keys.len() / 4)
        .map(|entry| [0, 1, 2, 3].map(|column| keys.unsigned(4 * entry + column)))
        .find_map(|[key, place, _, value]| if key == Some(wanted) && place == Some(0) { value } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    #[test]
    fn the_place_is_the_one_that_rasterio_says() {
        let mut count = 0;
        for (name, bytes, right) in corpus::files() {
            let Some(right) = right.get("geo") else { continue };
            let found = of(&bytes);
            let place = found.and_then(|geo| geo.place);
            let numbers = |key: &str| {
                let pair = right[key].as_array()?;
                Some(Vec::from_iter(pair.iter().map(|number| number.as_f64().unwrap())))
            };
            let near = |found: Option<[f64; 2]>, right: Option<Vec<f64>>| match (found, right) {
                (None, None) => true,
                (Some(found), Some(right)) => {
                    found.iter().zip(right).all(|(one, other)| (one - other).abs() < 1e-9)
                }
                _ => false,
            };
            assert!(near(place.map(|place| place.origin), numbers("origin")), "{name}: {found:?}, {right}");
            assert!(near(place.map(|place| place.pixel), numbers("pixel")), "{name}: {found:?}, {right}");
            assert_eq!(found.and_then(|geo| geo.epsg).map(i64::from), right["epsg"].as_i64(), "{name}");
            count += 1;
        }
        assert!(count > 25, "{count}");
        assert_eq!(of(b"\x89PNG\r\n"), None);
        assert_eq!(of(b"II*\0"), None);
    }
}
