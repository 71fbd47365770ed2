//! Builds the shims in C++ that gpu-worker needs beside tch.
#![allow(clippy::print_stdout, reason = "cargo reads what it prints")]

use std::path::PathBuf;

const SOURCES: [&str; 4] = ["shim/context.cpp", "shim/cost.cpp", "shim/optim.cpp", "shim/script.cpp"];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=shim");
    of_libtorch();
}

fn of_libtorch() {
    let lib = PathBuf::from(
        std::env::var_os("DEP_TCH_LIBTORCH_LIB")
            .expect("torch-sys names the folder of libtorch's libraries; set LIBTORCH to a libtorch 2.11.0"),
    );
    let include = lib.with_file_name("include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .pic(true)
        .warnings(false)
        .opt_level(2)
        .define("_GLIBCXX_USE_CXX11_ABI", "1")
        // As libtorch itself was built: some of its headers' classes look different without.
        .define("NDEBUG", None)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .files(SOURCES)
        .cargo_metadata(false)
        .compile("worker_shim");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    println!("cargo:rustc-link-search=native={out}");
    // For runs by hand and for tests; on a node LD_LIBRARY_PATH, which comes first, names the node's libtorch. What is released
    // knows no folder of this machine.
    if std::env::var_os("CARGO_CFG_PORTABLE").is_none() {
        println!("cargo:rustc-link-arg-bins=-Wl,--enable-new-dtags,-rpath,{}", lib.display());
    }
    // It travels to nodes: without debug information half as much is compressed and sent.
    println!("cargo:rustc-link-arg-bins=-Wl,--strip-debug");
}
