//! Which driver of NVIDIA's the kernel has, asked of nobody that may hang: a line of /proc.

use std::fs;

const VERSION: &str = "/proc/driver/nvidia/version";

/// Its major version; `None`: there is none.
pub(crate) fn major() -> Option<u32> {
    of(&fs::read_to_string(VERSION).ok()?)
}

/// The first word that is numbers with dots: what stands before it differs from one kind of module to the next.
fn of(text: &str) -> Option<u32> {
    let mut words = text.lines().next()?.split_whitespace();
    words.find_map(|word| {
        let (major, rest) = word.split_once('.')?;
        rest.chars().all(|c| c.is_ascii_digit() || c == '.').then_some(major.parse().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_is_told_whichever_module_it_is() {
        for (line, major) in [
            (
                "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024",
                Some(535),
            ),
            (
                "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.82.07  Release Build  (dvs@x)  Wed Aug 27",
                Some(580),
            ),
            ("NVRM version:", None),
        ] {
            assert_eq!(of(&format!("{line}\nGCC version:  gcc version 12.3.0\n")), major, "{line}");
        }
    }
}
