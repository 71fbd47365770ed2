//! The wheel: the Python package of python/ and the programs, which pip puts into the environment's folder of programs.
//!
//! <https://packaging.python.org/en/latest/specifications/binary-distribution-format/>

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::papers::Papers;
use super::programs::Programs;
use super::release::Release;
use crate::cargo;

/// The distribution's name as file names have it.
const NAME: &str = "gpu_harness";
/// Any Python 3; any Linux with this glibc, which is what gpu-harness and gpu-agent ask for.
const TAG: &str = "py3-none-manylinux_2_17_x86_64";

/// The wheel's file name.
pub(crate) fn file_name(release: &Release) -> String {
    format!("{NAME}-{}-{TAG}.whl", release.version)
}

/// Writes it into `folder`.
pub(crate) fn write(
    folder: &Path,
    release: &Release,
    programs: &Programs,
    papers: &Papers,
) -> Result<PathBuf> {
    pack(folder, &cargo::root().join("python"), release, programs, papers)
}

fn pack(
    folder: &Path,
    sources: &Path,
    release: &Release,
    programs: &Programs,
    papers: &Papers,
) -> Result<PathBuf> {
    let entry_points = fs::read_to_string(sources.join("entry_points.txt"))
        .context("failed to read python/entry_points.txt")?;
    for module in modules(&entry_points) {
        let file = sources.join(module.replace('.', "/")).with_extension("py");
        // pytest would fail in every environment that has the wheel.
        ensure!(file.is_file(), "python/entry_points.txt names {module}, and there is no {}", file.display());
    }
    let path = folder.join(file_name(release));
    let mut wheel = Wheel::create(&path)?;
    for file in python_files(&sources.join(NAME))? {
        let name = file.strip_prefix(sources).context("it was found there")?;
        wheel.add_file(&name.to_string_lossy(), &file, 0o644)?;
    }
    let about = |file: &str| format!("{NAME}-{}.{file}", release.version);
    for program in programs.iter() {
        wheel.add_file(&about(&format!("data/scripts/{}", program.name)), &program.path, 0o755)?;
    }
    let info = |file: &str| about(&format!("dist-info/{file}"));
    wheel.add(&info("METADATA"), metadata(release, papers)?.as_bytes(), 0o644)?;
    wheel.add(
        &info("WHEEL"),
        format!("Wheel-Version: 1.0\nGenerator: cargo xtask dist\nRoot-Is-Purelib: false\nTag: {TAG}\n")
            .as_bytes(),
        0o644,
    )?;
    wheel.add(&info("entry_points.txt"), entry_points.as_bytes(), 0o644)?;
    for (name, text) in &papers.licenses {
        wheel.add(&info(&format!("licenses/{name}")), text.as_bytes(), 0o644)?;
    }
    // Where PEP 770 has it.
    wheel.add(&info("sboms/gpu-harness.cdx.json"), papers.sbom.as_bytes(), 0o644)?;
    wheel.finish(&info("RECORD"))?;
    Ok(path)
}

fn metadata(release: &Release, papers: &Papers) -> Result<String> {
    let readme = fs::read_to_string(cargo::root().join("README.md")).context("failed to read README.md")?;
    let mut text = format!(
        "Metadata-Version: 2.4\nName: gpu-harness\nVersion: {}\nSummary: {}\nLicense-Expression: MIT OR Apache-2.0\n",
        release.version, release.description
    );
    for (name, _) in &papers.licenses {
        let _ = writeln!(text, "License-File: {name}");
    }
    text.push_str(
        "Requires-Python: >=3.8\nClassifier: Framework :: Pytest\nClassifier: Operating System :: POSIX :: Linux\n\
         Classifier: Programming Language :: Python :: 3\nClassifier: Programming Language :: Rust\n\
         Description-Content-Type: text/markdown\n\n",
    );
    text.push_str(&readme);
    Ok(text)
}

/// The modules that a list of entry points names.
fn modules(entry_points: &str) -> Vec<&str> {
    let targets = entry_points.lines().filter_map(|line| Some(line.split_once('=')?.1.trim()));
    Vec::from_iter(targets.map(|target| target.split(':').next().unwrap_or(target)))
}

/// The package's files in order, without what Python left there when it ran them.
fn python_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("failed to read {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "py")
                || path.ends_with("py.typed")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// A zip that remembers what is in it.
struct Wheel {
    zip: ZipWriter<File>,
    record: String,
}

impl Wheel {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("failed to make {}", path.display()))?;
        Ok(Self { zip: ZipWriter::new(file), record: String::new() })
    }

    fn add_file(&mut self, name: &str, file: &Path, mode: u32) -> Result<()> {
        let content = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        self.add(name, &content, mode)
    }

    fn add(&mut self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(content));
        let _ = writeln!(self.record, "{name},sha256={hash},{}", content.len());
        self.store(name, content, mode)
    }

    fn store(&mut self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9))
            // The same bytes whenever it is made.
            .last_modified_time(DateTime::default())
            .unix_permissions(mode);
        self.zip.start_file(name, options).with_context(|| format!("failed to pack {name}"))?;
        self.zip.write_all(content).with_context(|| format!("failed to pack {name}"))
    }

    /// Ends with the list of all files, which cannot have its own hash.
    fn finish(mut self, record: &str) -> Result<()> {
        let mut text = std::mem::take(&mut self.record);
        let _ = writeln!(text, "{record},,");
        self.store(record, text.as_bytes(), 0o644)?;
        self.zip.finish().context("failed to end the wheel")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn pip_finds_each_file_as_it_was_recorded_and_the_programs_can_be_started() {
        let folder = tempfile::tempdir().unwrap();
        let python = folder.path().join("python");
        for (name, text) in [
            ("entry_points.txt", "[pytest11]\nx = gpu_harness.plugin\n"),
            ("gpu_harness/__init__.py", ""),
            ("gpu_harness/plugin.py", "1\n"),
            ("gpu_harness/__pycache__/plugin.pyc", "2"),
            ("gpu-x", "program"),
        ] {
            let path = python.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let release =
            Release { version: "1.2.3".into(), description: "d".into(), commit: "c".into(), time: 0 };
        let papers = Papers { licenses: vec![("LICENSE-MIT", "free".into())], sbom: "{}".into() };
        let programs = Programs::of_test(python.join("gpu-x"));
        let path = pack(folder.path(), &python, &release, &programs, &papers).unwrap();
        assert_eq!(path.file_name().unwrap(), "gpu_harness-1.2.3-py3-none-manylinux_2_17_x86_64.whl");
        let mut zip = zip::ZipArchive::new(File::open(path).unwrap()).unwrap();
        let mut record = String::new();
        zip.by_name("gpu_harness-1.2.3.dist-info/RECORD").unwrap().read_to_string(&mut record).unwrap();
        let mut recorded = Vec::from_iter(record.lines().map(|line| line.split(',').next().unwrap()));
        recorded.sort_unstable();
        let mut names = Vec::from_iter(zip.file_names().map(str::to_owned));
        names.sort();
        assert_eq!(recorded, names);
        assert!(names.iter().all(|name| !name.contains("pyc")), "{names:?}");
        for (name, mode) in
            [("gpu_harness-1.2.3.data/scripts/gpu-x", 0o755), ("gpu_harness/plugin.py", 0o644)]
        {
            let mut entry = zip.by_name(name).unwrap();
            assert_eq!(entry.unix_mode().unwrap() & 0o777, mode, "{name}");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            let sum = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&content));
            assert!(record.contains(&format!("{name},sha256={sum},{}\n", content.len())), "{record}");
        }
    }

    #[test]
    fn a_module_that_is_not_there_is_not_promised_to_pytest() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("gpu_harness")).unwrap();
        fs::write(folder.path().join("entry_points.txt"), "[pytest11]\nx = gpu_harness.plugin\n").unwrap();
        let release =
            Release { version: "1.2.3".into(), description: "d".into(), commit: "c".into(), time: 0 };
        let papers = Papers { licenses: Vec::new(), sbom: String::new() };
        let programs = Programs::of_test(folder.path().join("gpu-x"));
        let error = pack(folder.path(), folder.path(), &release, &programs, &papers).unwrap_err();
        assert!(error.to_string().starts_with("python/entry_points.txt names gpu_harness.plugin"), "{error}");
    }

    #[test]
    fn the_modules_of_entry_points_are_found() {
        let text = "[pytest11]\ngpu_harness = gpu_harness.pytest_plugin\n\n[console_scripts]\nx = a.b:main\n";
        assert_eq!(modules(text), ["gpu_harness.pytest_plugin", "a.b"]);
    }
}
