//! Links GCC's AddressSanitizer where `cargo xtask soak fuzz` has the libraries in C built with it: rustc has GCC link without
//! any library of its own, the sanitizer's too.

fn main() {
    println!("cargo:rerun-if-env-changed=FUZZ_ADDRESS_SANITIZER");
    let Some(archive) = std::env::var_os("FUZZ_ADDRESS_SANITIZER") else { return };
    // In the program itself and whole: as a shared library it would have to be the first one to be loaded.
    let archive = archive.display().to_string();
    let whole = ["-Wl,--whole-archive", &archive, "-Wl,--no-whole-archive", "-Wl,--export-dynamic"];
    for argument in whole.into_iter().chain(["-lstdc++", "-lm", "-ldl", "-lpthread", "-lrt"]) {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}
