//! How much unpacking a TIFF may ask for: what its pixels take, whatever its lists of strips and tiles say.
//!
//! Lists may name the same bytes for every strip. Where those are one long stream that unpacks to little, each of ten thousand strips
//! reads all of it: a small file that takes an hour.

use super::{Tiff, damaged};
use crate::Result;

/// What a packing that makes more of its bytes than they were adds at its most, beside as much again: a header, a checksum.
const HEAD: usize = 64;
/// The same of an image in a strip or tile, which has tables.
const IMAGE_HEAD: usize = 1 << 10;
/// Samples of bands that nobody sees, unpacked all the same: for each pixel, for each byte of the file, and for any.
const UNSEEN: [u64; 3] = [64, 2_048, 1 << 28];

impl Tiff<'_> {
    /// The most bytes that a strip or tile of so many needs for them.
    pub(super) fn longest_packed(&self, whole: usize) -> usize {
        let head = if self.layout.compression.is_image() { IMAGE_HEAD } else { HEAD };
        whole.saturating_mul(2).saturating_add(head)
    }

    /// Fails where unpacking would take far more than the pixels that come of it.
    pub(super) fn check_work(&self) -> Result<()> {
        let (layout, file) = (&self.layout, self.directory.length());
        let [each, byte, any] = UNSEEN;
        let pixels = u64::from(layout.width) * u64::from(layout.height);
        let most = any.saturating_add(each.saturating_mul(pixels)).saturating_add(byte.saturating_mul(file));
        if layout.bands().saturating_mul(pixels) > most {
            return Err(damaged(format_args!("{} samples of each pixel are not in it", layout.samples)));
        }
        // Strips of one colour may well be the same bytes. What is longer than that needs is read once: so long is the file.
        let mut left = file;
        for (column, row, plane) in self.chunks() {
            let whole = layout.whole(column, row);
            let packed = match self.packed(layout.index(column, row, plane), whole) {
                Ok(Some(packed)) => packed,
                Ok(None) => continue,
                // Unpacking ends there at the latest, and says so.
                Err(_) => break,
            };
            let read = packed.len() + self.tables().len();
            let beyond = read.saturating_sub(self.longest_packed(whole)) as u64;
            left =
                left.checked_sub(beyond).ok_or_else(|| damaged("its strips or tiles lie in each other"))?;
        }
        Ok(())
    }

    /// Every strip or tile that is unpacked: its column, its row and its plane.
    fn chunks(&self) -> impl Iterator<Item = (u32, u32, usize)> {
        let planes = self.planes();
        let (across, down) = (self.layout.across(), self.layout.down());
        let places = (0..down).flat_map(move |row| (0..across).map(move |column| (column, row)));
        places.flat_map(move |(column, row)| (0..planes).map(move |plane| (column, row, plane)))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use crate::{Encoded, Unusable};

    const DEFLATE: u32 = 8;

    /// A grey TIFF of so many rows of eight pixels, each a strip, all of which are these bytes. `tags`: more of them, or others.
    fn of_one_strip(rows: u32, packed: &[u8], tags: &[(u16, u32)]) -> Vec<u8> {
        let usual = [(256, 8), (257, rows), (258, 8), (259, DEFLATE), (262, 1), (277, 1), (278, 1)];
        let mut all = std::collections::BTreeMap::from(usual);
        all.extend(tags.iter().copied());
        let length = u32::try_from(packed.len()).unwrap();
        let at = 8 + length;
        let lists = [(273, vec![8; rows as usize]), (279, vec![length; rows as usize])];
        let lists = Vec::from_iter(lists.into_iter().filter(|(tag, _)| all.get(tag) != Some(&0)));
        all.retain(|tag, _| ![273, 279].contains(tag));
        let mut file = b"II\x2a\0\0\0\0\0".to_vec();
        file.extend(packed);
        for (index, (tag, list)) in (0..).zip(&lists) {
            let place = at + index * 4 * rows;
            all.insert(*tag, if let [one] = list[..] { one } else { place });
            file.extend(list.iter().flat_map(|number| number.to_le_bytes()));
        }
        let directory = u32::try_from(file.len()).unwrap();
        file[4..8].copy_from_slice(&directory.to_le_bytes());
        file.extend(u16::try_from(all.len()).unwrap().to_le_bytes());
        for (tag, value) in all {
            let count = if [273, 279].contains(&tag) { rows } else { 1 };
            file.extend(tag.to_le_bytes());
            file.extend(4_u16.to_le_bytes());
            file.extend(count.to_le_bytes());
            file.extend(value.to_le_bytes());
        }
        file.extend([0; 4]);
        file
    }

    /// Eight bytes as a Deflate stream, after so many blocks that hold nothing.
    fn deflated(empty_blocks: usize) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
        encoder.write_all(&[7; 8]).unwrap();
        let mut stream = encoder.finish().unwrap();
        let nothing = [0, 0, 0, 0xff, 0xff].repeat(empty_blocks);
        stream.splice(2..2, nothing);
        stream
    }

    fn decoded(file: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let image = Encoded::open(file).and_then(|encoded| encoded.decode());
        image.map(image::RgbImage::into_raw).map_err(|Unusable(why)| why)
    }

    #[test]
    fn strips_of_one_colour_are_the_same_bytes_and_a_picture() {
        let rows = 300;
        for tags in [&[][..], &[(279, 0)], &[(266, 1)]] {
            let file = of_one_strip(rows, &deflated(0), tags);
            assert_eq!(decoded(&file), Ok(vec![7; 3 * 8 * rows as usize]), "{tags:?}");
        }
        // A stream that is long for nothing is read, once for the whole file.
        assert_eq!(decoded(&of_one_strip(1, &deflated(1_000), &[])), Ok(vec![7; 24]));
    }

    #[test]
    fn strips_that_share_a_long_stream_are_refused_before_each_has_read_it() {
        let long = deflated(20_000);
        let reversed = Vec::from_iter(long.iter().map(|byte| byte.reverse_bits()));
        for (packed, tags) in [(&long, &[][..]), (&reversed, &[(266, 2)])] {
            let why = decoded(&of_one_strip(300, packed, tags)).unwrap_err();
            assert!(why.contains("its strips or tiles lie in each other"), "{why}");
        }
        // Without their lengths none reads further than any strip needs.
        let why = decoded(&of_one_strip(300, &long, &[(279, 0)])).unwrap_err();
        assert!(why.contains("a strip or tile has 0 of 8 bytes"), "{why}");
    }

    #[test]
    fn bands_that_the_file_cannot_hold_are_refused_before_they_are_unpacked() {
        let tags = [(256, 4_000), (257, 2_000), (277, 60_000), (278, 1)];
        let why = decoded(&of_one_strip(2_000, &deflated(0), &tags)).unwrap_err();
        assert!(why.contains("60000 samples of each pixel are not in it"), "{why}");
    }
}
