//! The programs as a package of Debian and Ubuntu: an `ar` of three files. gzip, which every dpkg reads.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::archive::Tar;
use super::papers::Papers;
use super::programs::Programs;
use super::release::Release;

/// The package's file name.
pub(crate) fn file_name(release: &Release) -> String {
    format!("gpu-harness_{}_amd64.deb", release.version)
}

/// Writes it into `folder`.
pub(crate) fn write(folder: &Path, release: &Release, programs: &Programs, papers: &Papers) -> Result<()> {
    let data = gzipped(release, |tar| {
        for parent in ["./", "./usr/", "./usr/bin/", "./usr/share/", "./usr/share/doc/", DOC] {
            tar.add_folder(parent)?;
        }
        for program in programs.iter() {
            tar.add_file(&format!("./usr/bin/{}", program.name), &program.path, 0o755)?;
        }
        let copyright =
            papers.licenses.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join("\n\n");
        tar.add(&format!("{DOC}copyright"), copyright.as_bytes(), 0o644)
    })?;
    let installed: u64 = programs
        .iter()
        .map(|program| Ok(fs::metadata(&program.path)?.len()))
        .sum::<std::io::Result<u64>>()
        .context("failed to look at the programs")?;
    let control = control(release, installed / 1024);
    let control = gzipped(release, |tar| tar.add("./control", control.as_bytes(), 0o644))?;
    let members = [("debian-binary", &b"2.0\n"[..]), ("control.tar.gz", &control), ("data.tar.gz", &data)];
    let path = folder.join(file_name(release));
    fs::write(&path, ar(&members, release.time))
        .with_context(|| format!("failed to write {}", path.display()))
}

const DOC: &str = "./usr/share/doc/gpu-harness/";

/// gpu-worker asks for more than `Depends` says, but is only sent from here: it runs on the node.
fn control(release: &Release, kibibytes: u64) -> String {
    format!(
        "Package: gpu-harness\nVersion: {}\nArchitecture: amd64\nMaintainer: the authors of gpu-harness\n\
         Installed-Size: {kibibytes}\nDepends: libc6 (>= 2.17)\nRecommends: ca-certificates, git, openssh-client\n\
         Section: devel\nPriority: optional\nDescription: {}\n",
        release.version, release.description
    )
}

fn gzipped(
    release: &Release,
    fill: impl FnOnce(&mut Tar<&mut GzEncoder<Vec<u8>>>) -> Result<()>,
) -> Result<Vec<u8>> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    let mut tar = Tar::new(&mut gzip, release.time);
    fill(&mut tar)?;
    tar.finish().context("failed to end a tar")?;
    gzip.finish().context("failed to end a gzip")
}

/// The format of `ar`, as dpkg reads it: a header of 60 bytes a member, members at even places.
fn ar(members: &[(&str, &[u8])], time: u64) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let header = format!("{name:<16}{time:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, "100644", content.len());
        archive.extend(header.bytes());
        archive.extend(*content);
        if content.len() % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_headers_of_sixty_bytes_and_begin_at_even_places() {
        let archive = ar(&[("debian-binary", b"2.0\n"), ("odd", b"abc"), ("last", b"")], 1_700_000_000);
        let text = String::from_utf8(archive).unwrap();
        let at = |name: &str| text.find(name).unwrap();
        assert_eq!(at("debian-binary"), 8);
        assert_eq!(at("odd"), 8 + 60 + 4);
        assert_eq!(at("last"), 72 + 60 + 4);
        assert!(text.contains("1700000000  0     0     100644  4         `\n2.0\n"), "{text}");
    }
}
