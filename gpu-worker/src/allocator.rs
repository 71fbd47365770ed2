//! Where memory comes from, for Rust and for libtorch: jemalloc stands in for the C library's `malloc` in this process.
//!
//! A run of images of all sizes leaves holes in glibc's arenas that grow with the length of the run; to have it get each
//! activation from the kernel anew takes half of the rate of a small model (docs/benchmarks.md).

use std::ffi::{CStr, c_char};

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// What is freed is there for the next batch, and goes back to the kernel when it was of no use for some seconds. Activations
/// come from the same arenas as all else: in one of their own, as is the rule for large blocks, each would be given back at
/// once. Pages are large ones where the kernel has them: a decoded photograph is nine thousand small ones.
const SETTINGS: &CStr =
    c"background_thread:true,dirty_decay_ms:5000,muzzy_decay_ms:0,oversize_threshold:0,thp:always";

/// The name is jemalloc's: it reads this before anything else runs.
#[used]
#[unsafe(export_name = "malloc_conf")]
static MALLOC_CONF: Conf = Conf(SETTINGS.as_ptr());

/// A `const char *` of C.
#[repr(transparent)]
struct Conf(*const c_char);

// SAFETY: it points to constant bytes.
unsafe impl Sync for Conf {}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;
    use std::ptr;

    use super::*;

    unsafe extern "C" {
        /// jemalloc(3): reads, and writes, one of its settings.
        fn mallctl(
            name: *const c_char,
            old: *mut c_void,
            old_length: *mut usize,
            new: *mut c_void,
            new_length: usize,
        ) -> i32;
    }

    #[test]
    fn libtorch_takes_memory_from_the_same_place() {
        let mut about = libc::Dl_info {
            dli_fname: ptr::null(),
            dli_fbase: ptr::null_mut(),
            dli_sname: ptr::null(),
            dli_saddr: ptr::null_mut(),
        };
        // SAFETY: the name of whatever a library finds for `malloc` is a string of the loader's, which stays.
        let file = unsafe {
            let found = libc::dlsym(libc::RTLD_DEFAULT, c"malloc".as_ptr());
            assert_ne!(libc::dladdr(found, &raw mut about), 0);
            CStr::from_ptr(about.dli_fname).to_string_lossy().into_owned()
        };
        let program = std::env::current_exe().unwrap();
        assert_eq!(std::path::Path::new(&file).file_name(), program.file_name());
    }

    #[test]
    fn the_settings_have_arrived() {
        let (mut decay, mut length) = (0_isize, size_of::<isize>());
        // SAFETY: the setting is an ssize_t, and there is room for one.
        let outcome = unsafe {
            let place = (&raw mut decay).cast();
            mallctl(c"opt.dirty_decay_ms".as_ptr(), place, &raw mut length, ptr::null_mut(), 0)
        };
        assert_eq!((outcome, decay), (0, 5000));
    }
}
