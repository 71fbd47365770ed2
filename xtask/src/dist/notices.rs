//! The licences of what is in the programs: most ask that their text goes along with the code.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::parts::{Part, Resolved};

/// The file that has them.
pub(crate) const NAME: &str = "THIRD-PARTY-LICENSES.txt";

/// Its text: each licence once, below the names of all that came with that very text.
pub(crate) fn text(resolved: &Resolved) -> Result<String> {
    let mut of_text: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut bare = Vec::new();
    // Crates of this repository have no source; its own licences lie beside.
    for part in resolved.parts()?.iter().filter(|part| part.package["source"].is_string()) {
        let name = format!("{} {} ({})", part.text("name"), part.text("version"), part.text("license"));
        let files = license_files(part)?;
        if files.is_empty() {
            bare.push(name.clone());
        }
        for file in files {
            let bytes = fs::read(&file).with_context(|| format!("failed to read {}", file.display()))?;
            of_text.entry(String::from_utf8_lossy(&bytes).trim().to_owned()).or_default().push(name.clone());
        }
    }
    let mut text = "gpu-harness, gpu-agent and gpu-worker contain code of these projects.\n".to_owned();
    for (license, names) in &of_text {
        let _ = write!(text, "\n{RULE}\n{}\n{RULE}\n\n{license}\n", names.join("\n"));
    }
    let _ = write!(text, "\n{RULE}\nWithout a text of their own:\n{}\n", bare.join("\n"));
    Ok(text)
}

const RULE: &str = "================================================================================";

/// The licences in a crate's folder, and those of the library in C that it carries in a folder of its own.
fn license_files(part: &Part) -> Result<Vec<PathBuf>> {
    let folder = Path::new(part.text("manifest_path")).parent().context("a manifest lies in a folder")?;
    let mut folders = vec![folder.to_owned()];
    if part.text("name").ends_with("-sys") || part.text("name").ends_with("-src") {
        for parent in [folder.to_owned(), folder.join("src")] {
            folders.extend(entries(&parent).filter(|path| path.is_dir()));
        }
    }
    let files = folders.iter().flat_map(|folder| entries(folder));
    let mut found = Vec::from_iter(files.filter(|path| path.is_file() && is_license(path)));
    found.sort();
    Ok(found)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()))
}

fn is_license(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_text_of_a_library_in_c_is_found_with_that_of_its_crate() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        };
        for name in ["LICENSE-MIT", "zstd/COPYING", "zstd/lib.c", "src/lib.rs", "src/zlib/LICENSE"] {
            put(name);
        }
        let package = json!({"name": "zstd-sys", "manifest_path": folder.path().join("Cargo.toml")});
        let files = license_files(&Part { package: &package, below: Vec::new() }).unwrap();
        let names = Vec::from_iter(files.iter().map(|file| file.strip_prefix(folder.path()).unwrap()));
        assert_eq!(names, ["LICENSE-MIT", "src/zlib/LICENSE", "zstd/COPYING"].map(Path::new));
    }
}
