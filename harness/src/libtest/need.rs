//! Whether a case can be run at all, decided when the tests are listed: a test that is ignored later looks like a pass.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use gpu_suites::spec::{Case, Device};

use super::test_node::TestNode;

/// The longest reason that is told.
pub(super) const LONGEST: usize = 300;

/// Where the driver lists the GPUs that it has.
const DRIVER: &str = "/proc/driver/nvidia/gpus";
/// The driver's door; in a container it may be there without the list.
const DOOR: &str = "/dev/nvidiactl";

static HAS_GPU: LazyLock<bool> = LazyLock::new(|| has_gpu(Path::new(DRIVER), Path::new(DOOR)));

/// Why the case is not to be run, if so.
pub(super) fn reason_to_ignore(case: &Case, place: &TestNode) -> Option<String> {
    if let Some(reason) = &case.skip {
        return Some(reason.clone());
    }
    let needs_gpu = case.device == Device::Cuda || case.gpu.is_some();
    (needs_gpu && place.is_here() && !*HAS_GPU).then(|| {
        "needs a GPU, and this machine has none: name a node in GPU_HARNESS_NODE, or with --gpu-remote --node N"
            .to_owned()
    })
}

fn has_gpu(driver: &Path, door: &Path) -> bool {
    match fs::read_dir(driver) {
        Ok(mut gpus) => gpus.next().is_some(),
        Err(_) => door.exists(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_without_gpus_is_no_gpu() {
        let folder = tempfile::tempdir().unwrap();
        let (driver, door) = (folder.path().join("gpus"), folder.path().join("door"));
        assert!(!has_gpu(&driver, &door));
        fs::write(&door, "").unwrap();
        assert!(has_gpu(&driver, &door));
        fs::create_dir(&driver).unwrap();
        assert!(!has_gpu(&driver, &door));
        fs::create_dir(driver.join("0000:01:00.0")).unwrap();
        assert!(has_gpu(&driver, &door));
    }
}
