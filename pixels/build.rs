//! Builds the part that calls libjpeg-turbo, in C: its errors are longjmps.
#![allow(clippy::print_stdout, reason = "cargo reads what it prints")]

fn main() {
    println!("cargo:rerun-if-changed=shim");
    let include = std::env::var_os("DEP_TURBOJPEG_INCLUDE");
    cc::Build::new()
        .std("c11")
        .pic(true)
        .opt_level(2)
        .include(include.expect("turbojpeg-sys names the folder of libjpeg-turbo's headers"))
        .file("shim/jpeg.c")
        .compile("pixels_jpeg");
}
