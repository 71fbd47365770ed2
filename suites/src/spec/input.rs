//! A file that a case needs: where it lies here, and what it is called on the node.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A file named by a suite: a path relative to the suite's root, or `cache:PATH` for a file that
/// `cargo xtask setup` fetched into the cache folder.
///
/// The root is the nearest folder above the suite file that holds `gpu-harness.yaml` or `.git`, else the suite
/// file's own folder. On the node the file has the same relative name below the case's working folder, with
/// `cache:` files under `cache/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(extend("pattern" = r"^(?!(cache:)?/)(?!(cache:)?(.*/)?\.\.(/|$))."))]
pub struct InputPath(pub String);

impl InputPath {
    /// The path below the cache folder, where this names one.
    pub fn in_cache(&self) -> Option<&Path> {
        self.0.strip_prefix("cache:").map(Path::new)
    }

    /// The name below the case's working folder on the node, or `None` where the path is absolute, empty or leaves
    /// its root through `..`.
    pub fn on_node(&self) -> Option<PathBuf> {
        let (below, path) = match self.in_cache() {
            Some(path) => (Path::new("cache"), path),
            None => (Path::new(""), Path::new(&self.0)),
        };
        let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        let name: PathBuf = path.components().filter(|part| *part != Component::CurDir).collect();
        (plain && !name.as_os_str().is_empty()).then(|| below.join(name))
    }

    /// Whether it may mean several files: `*`, `?` and `[…]` stay within a name, `**` is any folders.
    pub fn is_pattern(&self) -> bool {
        self.0.contains(['*', '?', '['])
    }

    /// Whether it means this path below the working folder, by its name or as a pattern.
    pub fn matches(&self, path: &Path) -> bool {
        let Some(own) = self.on_node() else { return false };
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: false,
        };
        let pattern = own.to_str().filter(|_| self.is_pattern()).map(glob::Pattern::new);
        own == path
            || pattern.and_then(Result::ok).is_some_and(|pattern| pattern.matches_path_with(path, options))
    }
}

impl fmt::Display for InputPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_files_and_a_name_means_itself() {
        for (pattern, path, means) in [
            ("out/TEST-*.xml", "out/TEST-a.xml", true),
            ("./out/TEST-*.xml", "out/TEST-a.xml", true),
            ("out/*.xml", "out/deep/a.xml", false),
            ("**/*.xml", "out/deep/a.xml", true),
            ("out/a.xml", "out/a.xml", true),
            ("out/[1].xml", "out/[1].xml", true),
            ("out/[.xml", "out/a.xml", false),
            ("../*.xml", "a.xml", false),
        ] {
            assert_eq!(InputPath(pattern.into()).matches(Path::new(path)), means, "{pattern} {path}");
        }
    }

    #[test]
    fn a_path_that_leaves_its_root_has_no_name_on_the_node() {
        for (path, name) in [
            ("fixtures/a.png", Some("fixtures/a.png")),
            ("./a.png", Some("a.png")),
            ("cache:tiles/a.png", Some("cache/tiles/a.png")),
            ("../a.png", None),
            ("a/../../b.png", None),
            ("/etc/passwd", None),
            ("cache:/etc/passwd", None),
            ("cache:../x", None),
            ("", None),
        ] {
            assert_eq!(InputPath(path.into()).on_node(), name.map(PathBuf::from), "{path}");
        }
    }
}
