//! An image's bytes as pixels: what the references make of them, or an error that says what they lack.
//!
//! | module | question it answers |
//! | --- | --- |
//! | `jpeg` | which pixels has a JPEG, of its own or in a TIFF? |
//! | `tiff` | which pixels has a TIFF? |
//! | `raster` | which pixels has a PNG or a WebP? |
//! | [`geo`] | where on Earth are a `GeoTIFF`'s pixels? |
//!
//! JPEGs are libjpeg-turbo's, as Pillow, `OpenCV` and torchvision hand them to a training; TIFFs are read as GDAL and Pillow
//! read them. A file says of itself what it likes: how much it would take is known before anything is unpacked.
#![warn(missing_docs)]

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod geo;
mod jpeg;
mod raster;
mod tiff;

#[cfg(test)]
mod corpus;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use gpu_suites::picture::Picture as Kind;
use image::{ImageFormat, RgbImage};

use self::jpeg::{Colour, Jpeg};
use self::raster::Raster;
use self::tiff::Tiff;

/// Why an image cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable(pub String);

/// What comes of an image, or why nothing does.
pub type Result<T> = std::result::Result<T, Unusable>;

/// An image whose header was read.
pub struct Encoded<'a> {
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    picture: Picture<'a>,
}

enum Picture<'a> {
    Jpeg(Jpeg<'a>),
    Tiff(Box<Tiff<'a>>),
    Raster(Raster<'a>),
}

impl<'a> Encoded<'a> {
    /// Reads the header. What the file is, its content says.
    pub fn open(bytes: &'a [u8]) -> Result<Self> {
        let opened = unbroken(|| match kind(bytes)? {
            Kind::Jpeg => {
                let jpeg = Jpeg::open(&[], bytes)?;
                Ok(Self {
                    width: jpeg.header.width,
                    height: jpeg.header.height,
                    picture: Picture::Jpeg(jpeg),
                })
            }
            Kind::Tiff => {
                let tiff = Tiff::open(bytes)?;
                Ok(Self {
                    width: tiff.width(),
                    height: tiff.height(),
                    picture: Picture::Tiff(Box::new(tiff)),
                })
            }
            kind @ (Kind::Png | Kind::WebP) => {
                let format = if kind == Kind::Png { ImageFormat::Png } else { ImageFormat::WebP };
                let raster = Raster::open(bytes, format)?;
                Ok(Self { width: raster.width, height: raster.height, picture: Picture::Raster(raster) })
            }
        })?;
        if opened.width == 0 || opened.height == 0 {
            return Err(Unusable("it has no pixels".into()));
        }
        Ok(opened)
    }

    /// All of its pixels.
    pub fn pixels(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    /// Bytes that decoding takes at its most, the decoded image among them.
    pub fn memory(&self) -> u64 {
        let beside = match &self.picture {
            Picture::Jpeg(jpeg) => jpeg.header.coefficients,
            Picture::Tiff(tiff) => tiff.memory(),
            Picture::Raster(raster) => raster.memory,
        };
        (3 * self.pixels()).saturating_add(beside)
    }

    /// The pixels.
    pub fn decode(&self) -> Result<RgbImage> {
        let pixels = unbroken(|| match &self.picture {
            Picture::Jpeg(jpeg) => jpeg.decode(Colour::AsMarked),
            Picture::Tiff(tiff) => tiff.decode(),
            Picture::Raster(raster) => raster.decode(),
        })?;
        RgbImage::from_raw(self.width, self.height, pixels)
            .ok_or_else(|| Unusable("the decoder gave less than its header said".into()))
    }
}

fn kind(bytes: &[u8]) -> Result<Kind> {
    if bytes.is_empty() {
        return Err(Unusable("it is empty".into()));
    }
    Kind::of(bytes).ok_or_else(|| Unusable("it is none of JPEG, PNG, TIFF and WebP".into()))
}

/// What a file says of itself is not ours: a decoder that panics on it has found a bad image.
fn unbroken<T>(decode: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|panic| Err(Unusable(format!("the decoder broke: {}", said(panic.as_ref())))))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic")
}
