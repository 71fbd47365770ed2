//! How long libtorch's threads spin while they wait for each other.
//!
//! libgomp lets them spin for milliseconds. Where something else runs on the same cores, a thread that spins keeps the
//! one that it waits for from running: steps then take ten times as long (measured: 0.05 s against 0.5 s beside a
//! compiler). Spinning for some microseconds loses nothing on a quiet machine and little on a busy one.
//!
//! libgomp reads its settings while it is loaded, before `main`; the functions of `.preinit_array` come before that.

use std::ffi::{CStr, c_char, c_int};

/// libgomp's unit is one turn of its waiting loop.
const SETTING: (&CStr, &CStr) = (c"GOMP_SPINCOUNT", c"3000");

type Early = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

#[used]
// SAFETY: the loader calls what is in this section once, in the main program, with these arguments.
#[unsafe(link_section = ".preinit_array")]
static BEFORE_LIBRARIES: Early = spin_briefly;

extern "C" fn spin_briefly(_: c_int, _: *const *const c_char, _: *const *const c_char) {
    const KEEP_WHAT_IS_SET: c_int = 0;
    // SAFETY: no other thread runs yet, and both texts end in NUL.
    unsafe { libc::setenv(SETTING.0.as_ptr(), SETTING.1.as_ptr(), KEEP_WHAT_IS_SET) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_is_there_before_the_program_starts() {
        // `cargo test` starts this program without it.
        let set = std::env::var(SETTING.0.to_str().unwrap()).unwrap();
        assert!(set.parse::<u32>().is_ok(), "{set}");
    }
}
