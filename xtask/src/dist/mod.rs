//! What is released, made from this checkout: `cargo xtask dist`.
//!
//! | module | question it answers |
//! | --- | --- |
//! | [`release`] | which version is this, of which commit? |
//! | [`programs`] | how are the programs built so that they start on other machines than this one? |
//! | [`elf`] | what does a program ask of the machine that it starts on? |
//! | [`wheel`], [`deb`], [`archive`] | how are the programs packed, for whom? |
//! | [`parts`], [`sbom`], [`notices`] | what is in the programs, and under which licences? |
//! | [`papers`] | what goes along with them? |
//! | [`image`] | how does a CI image get them? |
//! | [`sums`] | what has to be compared after a download? |
//! | [`proof`] | do they start where there is nothing else? (`cargo xtask soak dist`) |

mod archive;
mod deb;
mod elf;
mod image;
mod notices;
mod papers;
mod parts;
mod programs;
pub(crate) mod proof;
mod release;
mod sbom;
mod sums;
mod wheel;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use self::papers::Papers;
use self::programs::Programs;
use self::release::Release;
use crate::cargo;
use crate::setup;

/// PyPI takes 100 MB a file; a CI step fetches it every time.
const WHEEL_LIMIT: u64 = 60 << 20;

/// Options of `cargo xtask dist`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Pack a checkout with changes that no commit has, too; `--version` then says so by a `+`
    #[arg(long)]
    dirty: bool,
}

/// `cargo xtask dist`.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let release = Release::of_checkout()?;
    ensure!(
        options.dirty || !release.has_changes(),
        "the checkout has changes that no commit has, so that nobody could say what was released: commit them (or --dirty)"
    );
    let made = make(&release)?;
    println!("in {}:", made.display());
    for (name, size) in contents(&made)? {
        println!("  {:>9}  {name}", mebibytes(size));
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds, checks and packs; gives the folder with all of it.
fn make(release: &Release) -> Result<PathBuf> {
    let ready = setup::ensure(setup::Needs::Dist)?;
    let programs = Programs::build(&ready, release)?;
    programs.check()?;
    let folder = cargo::root().join("dist");
    // What an earlier version left would be taken for a part of this one.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to clear {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let papers = Papers::of(release)?;
    let wheel = wheel::write(&folder, release, &programs, &papers)?;
    let size = wheel.metadata()?.len();
    ensure!(
        size <= WHEEL_LIMIT,
        "{} is {}, more than {}: what has grown?",
        wheel.display(),
        mebibytes(size),
        mebibytes(WHEEL_LIMIT)
    );
    archive::write(&folder, release, &programs, &papers)?;
    deb::write(&folder, release, &programs, &papers)?;
    let sbom = folder.join(format!("gpu-harness-{}.cdx.json", release.version));
    fs::write(&sbom, &papers.sbom).with_context(|| format!("failed to write {}", sbom.display()))?;
    image::write(&folder, release)?;
    sums::write(&folder)?;
    Ok(folder)
}

/// The files of a folder by name, with their sizes.
fn contents(folder: &Path) -> Result<Vec<(String, u64)>> {
    let failed = || format!("failed to read {}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(failed)? {
        let entry = entry.with_context(failed)?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()));
    }
    files.sort();
    Ok(files)
}

#[expect(clippy::cast_precision_loss, reason = "for a person")]
fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
