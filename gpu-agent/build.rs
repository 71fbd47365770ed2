//! Builds the shim in C++ that gpu-worker needs beside tch (with the feature `torch`), and keeps gpu-agent down to libc.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "cargo reads what it prints")]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    without_libgcc_s();
    #[cfg(feature = "torch")]
    shim::build();
}

/// Puts the unwinder into gpu-agent itself. Rust's std asks for `-lgcc_s`, a shared library that a small node may
/// lack; a linker script of that name, found first, gives it the same code from GCC's static libraries.
fn without_libgcc_s() {
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let folder = std::path::Path::new(&out).join("static-unwinder");
    std::fs::create_dir_all(&folder).expect("OUT_DIR is writable");
    std::fs::write(folder.join("libgcc_s.so"), "GROUP ( -lgcc_eh -lgcc )\n").expect("OUT_DIR is writable");
    println!("cargo:rustc-link-arg-bin=gpu-agent=-L{}", folder.display());
}

#[cfg(feature = "torch")]
mod shim {
    use std::path::PathBuf;

    const SOURCES: [&str; 4] = ["shim/context.cpp", "shim/cost.cpp", "shim/optim.cpp", "shim/script.cpp"];

    pub(super) fn build() {
        println!("cargo:rerun-if-changed=shim");
        let lib =
            PathBuf::from(std::env::var_os("DEP_TCH_LIBTORCH_LIB").expect(
                "torch-sys names the folder of libtorch's libraries; set LIBTORCH to a libtorch 2.11.0",
            ));
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
            // The library is named at its extern block, so that gpu-agent, in the same package, does not link it.
            .cargo_metadata(false)
            .compile("worker_shim");
        let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
        println!("cargo:rustc-link-search=native={out}");
        // For runs by hand and for tests; on a node LD_LIBRARY_PATH, which comes first, names the node's libtorch.
        println!("cargo:rustc-link-arg-bin=gpu-worker=-Wl,--enable-new-dtags,-rpath,{}", lib.display());
    }
}
