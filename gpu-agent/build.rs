//! Keeps gpu-agent down to libc.
#![allow(clippy::print_stdout, reason = "cargo reads what it prints")]

/// Puts the unwinder into gpu-agent itself. Rust's std asks for `-lgcc_s`, a shared library that a small node may
/// lack; a linker script of that name, found first, gives it the same code from GCC's static libraries.
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let folder = std::path::Path::new(&out).join("static-unwinder");
    std::fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    std::fs::write(folder.join("libgcc_s.so"), "GROUP ( -lgcc_eh -lgcc )\n").expect("OUT_DIR is writable");
    println!("cargo:rustc-link-arg-bin=gpu-agent=-L{}", folder.display());
    // It travels to every node: without debug information, std's too, half as much is compressed and sent.
    println!("cargo:rustc-link-arg-bin=gpu-agent=-Wl,--strip-debug");
}
