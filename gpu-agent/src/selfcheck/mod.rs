//! What does this node have?
use crate::folder::Folder;
pub(crate) enum Worker {
    Path(std::path::PathBuf),
    Blob(gpu_suites::id::Sha256),
}
pub(crate) fn command(_f: &Folder, _j: bool, _w: Option<&Worker>) -> std::io::Result<()> {
    Ok(())
}
