//! Finds pinned Python wheels on the package index that pip uses on this machine, and fetches them.
//!
//! The index only says where a file lies. What is in it is pinned here, so that a mirror serves as well as PyPI.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use super::cache::Cache;
use super::download::{Download, DownloadError, Network, Patience, Trust};

/// The index of packages where pip is configured for none.
const PYPI: &str = "https://pypi.org/simple";

/// One file on a package index.
pub(crate) struct Wheel {
    /// The project's normalised name.
    project: &'static str,
    file: &'static str,
    pub(crate) sha256: &'static str,
}

pub(crate) const TORCH: Wheel = Wheel {
    project: "torch",
    file: "torch-2.11.0-cp311-cp311-manylinux_2_28_x86_64.whl",
    sha256: "7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a",
};
pub(crate) const CUDA_RUNTIME: Wheel = Wheel {
    project: "nvidia-cuda-runtime",
    file: "nvidia_cuda_runtime-13.0.96-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
    sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
};
pub(crate) const CUPTI: Wheel = Wheel {
    project: "nvidia-cuda-cupti",
    file: "nvidia_cuda_cupti-13.0.85-py3-none-manylinux_2_25_x86_64.whl",
    sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
};
pub(crate) const DEEPFOREST: Wheel = Wheel {
    project: "deepforest",
    file: "deepforest-2.1.0-py3-none-any.whl",
    sha256: "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54",
};

#[derive(Debug, thiserror::Error)]
pub(crate) enum WheelError {
    #[error("failed to find {file} on {page}: the page does not name it")]
    NotListed { file: &'static str, page: String },
    #[error(transparent)]
    Download(#[from] DownloadError),
}

impl Wheel {
    /// What the file is called in messages: project and version.
    pub(crate) fn label(&self) -> String {
        self.file.splitn(3, '-').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The wheel, in the cache's downloads. The caller removes it when it has what it wants.
    pub(crate) fn fetch(&self, cache: &Cache, network: &Network) -> Result<PathBuf, WheelError> {
        let place = cache.download(self.file);
        let url = if place.is_file() && network.is_off() { String::new() } else { self.url(network)? };
        let download = Download {
            url: &url,
            label: &self.label(),
            trust: Trust::Sha256(self.sha256),
            patience: Patience::Some,
        };
        download.fetch(network, &place)?;
        Ok(place)
    }

    fn url(&self, network: &Network) -> Result<String, WheelError> {
        let page = format!("{}/{}/", index(network).trim_end_matches('/'), self.project);
        let text = network.text(&page)?;
        let link = link_to(&text, self.file);
        link.map(|link| join(&page, &link)).ok_or(WheelError::NotListed { file: self.file, page })
    }
}

/// The index that pip uses: `$PIP_INDEX_URL`, its configuration files, or PyPI.
fn index(network: &Network) -> String {
    if let Some(index) = env::var("PIP_INDEX_URL").ok().filter(|index| !index.is_empty()) {
        return index;
    }
    if network.is_off() {
        return PYPI.to_owned();
    }
    let configured =
        Command::new("python3").args(["-m", "pip", "config", "get", "global.index-url"]).output();
    let configured = configured.ok().filter(|output| output.status.success());
    let configured = configured.and_then(|output| String::from_utf8(output.stdout).ok());
    configured
        .map(|index| index.trim().to_owned())
        .filter(|i| !i.is_empty())
        .unwrap_or_else(|| PYPI.to_owned())
}

/// The link of an index page (PEP 503: one anchor a file) that leads to `file`, without its `#sha256=`.
fn link_to(page: &str, file: &str) -> Option<String> {
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut links = links.map(|link| link.split('#').next().unwrap_or(link).replace("&amp;", "&"));
    links.find(|link| link.split('?').next().is_some_and(|path| path.rsplit('/').next() == Some(file)))
}

/// What `link` means on `page`.
fn join(page: &str, link: &str) -> String {
    if link.contains("://") {
        return link.to_owned();
    }
    let origin_ends = page.find("://").map_or(0, |at| at + 3);
    let origin_ends = page[origin_ends..].find('/').map_or(page.len(), |at| origin_ends + at);
    let (origin, path) = page.split_at(origin_ends);
    let mut folders: Vec<&str> = if link.starts_with('/') { Vec::new() } else { path.split('/').collect() };
    // The last part of a path is a page, not a folder.
    folders.pop();
    for part in link.trim_start_matches('/').split('/') {
        match part {
            "." => {}
            ".." => drop(folders.pop()),
            part => folders.push(part),
        }
    }
    format!("{origin}/{}", folders.join("/").trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wheel_is_found_on_an_index_page_whatever_its_links_look_like() {
        let page = "https://host/root/simple/torch/";
        for (link, wanted) in [
            ("https://files.example/a/b/x-1.whl#sha256=00", "https://files.example/a/b/x-1.whl"),
            ("../../packages/x-1.whl#sha256=00", "https://host/root/packages/x-1.whl"),
            ("/packages/x-1.whl", "https://host/packages/x-1.whl"),
            ("x-1.whl?a=1&amp;b=2", "https://host/root/simple/torch/x-1.whl?a=1&b=2"),
        ] {
            let html = format!("<a href=\"other-x-1.whl\">o</a><a class=\"f\" href=\"{link}\">x-1.whl</a>");
            let found = link_to(&html, "x-1.whl").expect("the page names it");
            assert_eq!(join(page, &found), wanted);
        }
        assert_eq!(link_to("<a href=\"x-2.whl\">x-1.whl</a>", "x-1.whl"), None);
    }
}
