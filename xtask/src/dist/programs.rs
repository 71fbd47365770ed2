//! The programs, built so that they start on other machines than this one.
//!
//! `gpu-harness` runs in any CI image and `gpu-agent` on any node: they are linked by zig, which knows the symbols of every
//! glibc, against one that is older than every system still in use, with TLS inside. `gpu-worker` runs where libtorch runs, and
//! shares its C++ library with it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::elf::{Allowed, Asked};
use super::release::Release;
use crate::cargo;
use crate::setup::Ready;

pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The profile in Cargo.toml.
const PROFILE: &str = "dist";

/// glibc's parts, of which newer ones are one file.
const GLIBC: [&str; 6] =
    ["libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2"];

/// As CentOS 7 and Amazon Linux 2 have it.
const ANYWHERE: Allowed = Allowed { newest: &[("GLIBC", &[2, 17])], libraries: &GLIBC };

/// As Amazon Linux 2023 has it, and Ubuntu 22.04: glibc 2.34 and what comes with GCC 11.
const BESIDE_LIBTORCH: Allowed = Allowed {
    newest: &[("GLIBC", &[2, 34]), ("GLIBCXX", &[3, 4, 29]), ("CXXABI", &[1, 3, 13]), ("GCC", &[4, 3, 0])],
    libraries: &[
        "libc.so.6",
        "libm.so.6",
        "libpthread.so.0",
        "libdl.so.2",
        "librt.so.1",
        "ld-linux-x86-64.so.2",
        "libgcc_s.so.1",
        "libstdc++.so.6",
        "libtorch.so",
        "libtorch_cpu.so",
        "libc10.so",
    ],
};

/// The glibc that the linker is told, behind the target.
const GLIBC_ANYWHERE: &str = "2.17";

/// One program, built.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    pub(crate) path: PathBuf,
    allowed: &'static Allowed,
}

/// All that are released.
pub(crate) struct Programs(Vec<Program>);

impl Programs {
    /// Builds them; what is built already is not built again.
    pub(crate) fn build(ready: &Ready, release: &Release) -> Result<Self> {
        let zig = ready.zig.as_deref().context("the set-up names no zig")?;
        // A folder for each compiler: build scripts look at the one in the environment, and would run again at every turn.
        let target = cargo::target_folder()?.join("dist");
        let by_zig = target.join("zig");
        let mut anywhere = zigbuild(cargo::plain(), zig, release)?;
        anywhere.arg("--target-dir").arg(&by_zig);
        cargo::run(anywhere.args(["--package=gpu-harness", "--package=gpu-agent"]))?;
        let by_gcc = target.join("gcc");
        let mut worker = cargo::cargo(&ready.libtorch);
        build_options(&mut worker, "build", TARGET, release);
        cargo::run(worker.arg("--target-dir").arg(&by_gcc).arg("--package=gpu-worker"))?;
        let program = |folder: &Path, name, allowed| Program {
            name,
            path: folder.join(TARGET).join(PROFILE).join(name),
            allowed,
        };
        Ok(Self(vec![
            program(&by_zig, "gpu-harness", &ANYWHERE),
            program(&by_zig, "gpu-agent", &ANYWHERE),
            program(&by_gcc, "gpu-worker", &BESIDE_LIBTORCH),
        ]))
    }

    /// Fails where one of them asks for more than the machines have that it is for.
    pub(crate) fn check(&self) -> Result<()> {
        for program in self.iter() {
            let asked = Asked::of(&program.path)?;
            asked.check(program.name, program.allowed)?;
            let glibc = asked.newest("GLIBC").unwrap_or_else(|| "no".to_owned());
            println!("{} starts with glibc {glibc} or newer", program.name);
        }
        Ok(())
    }

    /// One that needs nothing.
    #[cfg(test)]
    pub(crate) fn of_test(path: PathBuf) -> Self {
        Self(vec![Program { name: "gpu-x", path, allowed: &ANYWHERE }])
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Program> {
        self.0.iter()
    }
}

/// `cargo zigbuild` for the oldest glibc.
fn zigbuild(mut command: Command, zig: &Path, release: &Release) -> Result<Command> {
    build_options(&mut command, "zigbuild", &format!("{TARGET}.{GLIBC_ANYWHERE}"), release);
    // cargo finds cargo-zigbuild there, and that the zig of the same Python.
    let path = env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(zig.to_owned()).chain(env::split_paths(&path));
    command.env("PATH", env::join_paths(path).context("PATH has a folder that cannot stand in one")?);
    // zlib's own source in place of the system's library.
    command.env("LIBZ_SYS_STATIC", "1");
    Ok(command)
}

fn build_options(command: &mut Command, verb: &str, target: &str, release: &Release) {
    command.args([verb, "--locked", "--bins"]).args(["--profile", PROFILE, "--target", target]);
    // Cargo.toml and build scripts go by `portable`: OpenSSL inside, no folder of this machine to look for libraries in.
    command.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", rustflags());
    command.env("GPU_HARNESS_COMMIT", &release.commit);
}

/// `portable`, and no folder of this machine in the programs' messages.
pub(crate) fn rustflags() -> OsString {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let mut flags = OsString::from("--cfg=portable");
    for (folder, name) in [(Some(cargo::root().to_owned()), "gpu-harness"), (home, "cargo")] {
        if let Some(folder) = folder {
            // Where a blank is no separator.
            flags.push("\u{1f}--remap-path-prefix=");
            flags.push(folder);
            flags.push("=");
            flags.push(name);
        }
    }
    flags
}
