//! A folder that is an index of the parts that a build of libtorch takes, for a machine that has no way to another.
//!
//! Its wheels are sparse: as large as they should be, with nothing in them but what is asked for.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::fetch::{FetchError, Source, wanted};
use crate::libtorch::{Build, Purpose};

/// Makes `folder` an index for a build: `folder/simple/PROJECT/index.html`, and the wheels beside it.
pub fn keep(build: Build, folder: &Path, source: &Source) -> Result<(), FetchError> {
    build.ordered(Purpose::Run, |orders| {
        for order in orders {
            let page = folder.join("simple").join(order.wheel.project);
            let path = page.join(order.wheel.file);
            let disk = |source| FetchError::Disk { path: path.clone(), source };
            fs::create_dir_all(&page).map_err(disk)?;
            let partial = path.with_added_extension("part");
            let file = File::create(&partial).map_err(disk)?;
            file.set_len(order.wheel.bytes).map_err(disk)?;
            for (at, bytes) in wanted(*order, source)? {
                file.write_all_at(&bytes, at).map_err(disk)?;
            }
            fs::rename(&partial, &path).map_err(disk)?;
            let link = format!("<a href=\"{0}\">{0}</a>\n", order.wheel.file);
            fs::write(page.join("index.html"), link).map_err(disk)?;
        }
        Ok(())
    })
}

/// Whether a folder is an index for a build.
pub fn is_there(build: Build, folder: &Path) -> bool {
    let path = |project: &str, file: &str| -> PathBuf { folder.join("simple").join(project).join(file) };
    let whole = |project, file, bytes| -> io::Result<bool> {
        Ok(path(project, file).metadata()?.len() == bytes && path(project, "index.html").is_file())
    };
    build.wheels().all(|wheel| whole(wheel.project, wheel.file, wheel.bytes).unwrap_or(false))
}
