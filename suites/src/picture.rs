//! What kind of image a file is, by its first bytes: its name tells nothing.

/// Kinds of images that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    /// Any JPEG.
    Jpeg,
    /// PNG, an animation's first picture too.
    Png,
    /// TIFF, `GeoTIFF` and `BigTIFF`.
    Tiff,
    /// WebP of either kind.
    WebP,
}

impl Picture {
    /// By a file's first twelve bytes; `None` for what is not read.
    pub fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some(Self::Tiff),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::WebP),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_by_its_first_bytes_and_nothing_else_is_one() {
        for (start, kind) in [
            (&b"\xff\xd8\xff\xe0"[..], Some(Picture::Jpeg)),
            (b"\x89PNG\r\n\x1a\n", Some(Picture::Png)),
            (b"II*\0", Some(Picture::Tiff)),
            (b"MM\0*", Some(Picture::Tiff)),
            (b"II+\0", Some(Picture::Tiff)),
            (b"RIFF\0\0\0\0WEBPVP8 ", Some(Picture::WebP)),
            (b"RIFF\0\0\0\0WAVE", None),
            (b"GIF89a", None),
            (b"\xff\xd8", None),
            (b"", None),
        ] {
            assert_eq!(Picture::of(start), kind, "{start:?}");
        }
    }
}
