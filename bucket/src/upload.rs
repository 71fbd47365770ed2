//! Where are the parts of an object that comes in parts? In a folder of its own, beside the buckets, until it is
//! complete or given up.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rand::RngExt as _;

/// No bucket's name begins with a dot.
const UPLOADS: &str = ".uploads";

/// An upload that has begun.
#[derive(Debug)]
pub(crate) struct Upload {
    folder: PathBuf,
}

impl Upload {
    /// Begins one; gives its id.
    pub(crate) fn begin(root: &Path) -> io::Result<String> {
        let id = format!("{:032x}", rand::rng().random::<u128>());
        fs::create_dir_all(root.join(UPLOADS).join(&id))?;
        Ok(id)
    }

    /// The one with this id, where there is one.
    pub(crate) fn find(root: &Path, id: &str) -> Option<Self> {
        let sound = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let folder = root.join(UPLOADS).join(id);
        (sound && folder.is_dir()).then_some(Self { folder })
    }

    pub(crate) fn put(&self, number: i32, bytes: &[u8]) -> io::Result<()> {
        let (unfinished, part) = (self.folder.join(format!("{number}.unfinished")), self.part(number));
        fs::write(&unfinished, bytes)?;
        fs::rename(unfinished, part)
    }

    fn part(&self, number: i32) -> PathBuf {
        self.folder.join(number.to_string())
    }

    pub(crate) fn has(&self, number: i32) -> bool {
        self.part(number).is_file()
    }

    /// Writes the parts with these numbers, one after the other.
    pub(crate) fn join(&self, numbers: &[i32], whole: &mut fs::File) -> io::Result<()> {
        for number in numbers {
            io::copy(&mut fs::File::open(self.part(*number))?, whole)?;
        }
        Ok(())
    }

    /// Removes the parts.
    pub(crate) fn end(self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }
}
