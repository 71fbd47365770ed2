//! JPEGs as libjpeg-turbo decodes them, which is what Pillow, `OpenCV` and torchvision hand to a training.

use std::ffi::{CStr, c_char, c_int};

// The library that the shim calls: build.rs links the shim itself.
use turbojpeg_sys as _;

use super::{Result, Unusable};

/// What a JPEG's header says.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Header {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) components: u32,
    precision: u32,
    /// Bytes that the decoder keeps until it has read the last of several scans.
    pub(crate) coefficients: u64,
}

/// How samples become colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Colour {
    /// By the file's markers, to RGB.
    AsMarked = 0,
    /// Not at all.
    Samples = 1,
    /// From YCbCr to RGB, whatever the markers say.
    Ycc = 2,
}

/// A JPEG, and the tables that it shares with others in the same TIFF.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Jpeg<'a> {
    tables: &'a [u8],
    bytes: &'a [u8],
    pub(crate) header: Header,
}

/// Room for a text of the shim's.
const MESSAGE: usize = 256;

unsafe extern "C" {
    fn pixels_jpeg_header(
        tables: *const u8,
        tables_length: usize,
        bytes: *const u8,
        length: usize,
        about: *mut Header,
        message: *mut c_char,
    ) -> c_int;
    fn pixels_jpeg_decode(
        tables: *const u8,
        tables_length: usize,
        bytes: *const u8,
        length: usize,
        colour: Colour,
        expected: *const Header,
        pixels: *mut u8,
        message: *mut c_char,
    ) -> c_int;
}

impl<'a> Jpeg<'a> {
    /// Reads the header.
    pub(crate) fn open(tables: &'a [u8], bytes: &'a [u8]) -> Result<Self> {
        let mut header = Header::default();
        call(|message| {
            // SAFETY: the slices are as long as is said, the header and the message are ours and large enough.
            unsafe {
                pixels_jpeg_header(
                    tables.as_ptr(),
                    tables.len(),
                    bytes.as_ptr(),
                    bytes.len(),
                    &raw mut header,
                    message,
                )
            }
        })?;
        Ok(Self { tables, bytes, header })
    }

    /// The pixels, row by row: RGB, or the components as they are.
    pub(crate) fn decode(&self, colour: Colour) -> Result<Vec<u8>> {
        let Header { width, height, components, .. } = self.header;
        let channels = if colour == Colour::Samples { components as usize } else { 3 };
        let mut pixels = vec![0; width as usize * height as usize * channels];
        call(|message| {
            // SAFETY: as above. The shim decodes only what has the header that the room was made for.
            unsafe {
                pixels_jpeg_decode(
                    self.tables.as_ptr(),
                    self.tables.len(),
                    self.bytes.as_ptr(),
                    self.bytes.len(),
                    colour,
                    &raw const self.header,
                    pixels.as_mut_ptr(),
                    message,
                )
            }
        })?;
        Ok(pixels)
    }
}

/// Calls a function of the shim; its text is the error.
fn call(function: impl FnOnce(*mut c_char) -> c_int) -> Result<()> {
    let mut message = [0; MESSAGE];
    if function(message.as_mut_ptr()) == 0 {
        return Ok(());
    }
    // SAFETY: the shim ends every text that it writes, within the room that it has.
    let text = unsafe { CStr::from_ptr(message.as_ptr()) };
    Err(Unusable(text.to_string_lossy().into_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEAF: &[u8] = include_bytes!("../../tests/rig/leaf.jpg");

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>> {
        Jpeg::open(&[], bytes)?.decode(Colour::AsMarked)
    }

    #[test]
    fn a_whole_one_is_decoded_and_one_without_its_end_is_not_wherever_it_was_cut() {
        assert!(decoded(LEAF).is_ok());
        assert!(decoded(&[LEAF, b"what a camera adds"].concat()).is_ok());
        for length in (0..LEAF.len() - 1).step_by(7).chain(LEAF.len() - 16..LEAF.len() - 1) {
            let Err(Unusable(why)) = decoded(&LEAF[..length]) else { panic!("{length} of {}", LEAF.len()) };
            assert!(why.contains("cut off") || length < 700, "{length}: {why}");
        }
    }

    #[test]
    fn a_run_of_bytes_that_was_overwritten_is_found() {
        let mut damaged = LEAF.to_vec();
        let middle = damaged.len() / 2;
        damaged[middle..middle + 120].fill(0x55);
        let Err(Unusable(why)) = decoded(&damaged) else { panic!("it was decoded") };
        assert!(why.contains("damaged"), "{why}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_bytes_break_it(at in 0..LEAF.len(), with in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut bytes = LEAF.to_vec();
            for (byte, new) in bytes[at..].iter_mut().zip(with) {
                *byte = new;
            }
            if let Ok(jpeg) = Jpeg::open(&[], &bytes)
                && u64::from(jpeg.header.width) * u64::from(jpeg.header.height) < 1 << 22
            {
                let _ = jpeg.decode(Colour::AsMarked);
            }
        }
    }
}
