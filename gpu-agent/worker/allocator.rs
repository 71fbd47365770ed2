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
