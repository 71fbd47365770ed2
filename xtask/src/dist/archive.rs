//! The programs in a tar.zst: for an image without Python, and for a folder of one's own.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, Result};
use tar::{Builder, Header};

use super::papers::Papers;
use super::programs::Programs;
use super::release::Release;

/// A minute once, for a fifth less to fetch every time.
const LEVEL: i32 = 19;

/// Writes it into `folder`.
pub(crate) fn write(folder: &Path, release: &Release, programs: &Programs, papers: &Papers) -> Result<()> {
    let name = format!("gpu-harness-{}-x86_64-linux", release.version);
    let path = folder.join(format!("{name}.tar.zst"));
    let failed = || format!("failed to write {}", path.display());
    let file = File::create(&path).with_context(failed)?;
    let compressed = zstd::Encoder::new(file, LEVEL).with_context(failed)?.auto_finish();
    let mut tar = Tar::new(compressed, release.time);
    for program in programs.iter() {
        tar.add_file(&format!("{name}/{}", program.name), &program.path, 0o755)?;
    }
    for (license, text) in &papers.licenses {
        tar.add(&format!("{name}/{license}"), text.as_bytes(), 0o644)?;
    }
    tar.finish().with_context(failed)
}

/// A tar whose bytes depend on nothing but its files and one time.
pub(crate) struct Tar<W: std::io::Write> {
    builder: Builder<W>,
    time: u64,
}

impl<W: std::io::Write> Tar<W> {
    pub(crate) fn new(writer: W, time: u64) -> Self {
        Self { builder: Builder::new(writer), time }
    }

    pub(crate) fn add_file(&mut self, name: &str, file: &Path, mode: u32) -> Result<()> {
        let content = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
        self.add(name, &content, mode)
    }

    pub(crate) fn add(&mut self, name: &str, content: &[u8], mode: u32) -> Result<()> {
        let mut header = self.header(mode);
        header.set_size(content.len() as u64);
        self.builder.append_data(&mut header, name, content).with_context(|| format!("failed to pack {name}"))
    }

    pub(crate) fn add_folder(&mut self, name: &str) -> Result<()> {
        let mut header = self.header(0o755);
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        self.builder
            .append_data(&mut header, name, std::io::empty())
            .with_context(|| format!("failed to pack {name}"))
    }

    fn header(&self, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_mode(mode);
        header.set_mtime(self.time);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    pub(crate) fn finish(self) -> std::io::Result<()> {
        self.builder.into_inner()?.flush()
    }
}
