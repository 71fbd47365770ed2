//! How a test waits for what has to come, however slow the machine is.

use std::time::Duration;

/// Waits until `holds`, for as long as whoever runs the tests lets it: a slow machine is no failure. What is waited for is printed,
/// so that it is known where that is too long.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    eprintln!("waiting: {what}");
    while !holds() {
        std::thread::sleep(Duration::from_millis(20));
    }
}
