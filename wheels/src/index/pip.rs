//! pip's configuration files, read without pip: a node may have no Python.

use std::env;
use std::fs;
use std::path::PathBuf;

/// The index that they name, the nearest file first.
pub(super) fn index_url() -> Option<String> {
    files().into_iter().find_map(|file| index_in(&fs::read_to_string(file).ok()?))
}

fn files() -> Vec<PathBuf> {
    let path = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = path("HOME");
    let config = path("XDG_CONFIG_HOME").or_else(|| home.as_ref().map(|home| home.join(".config")));
    let mut files = Vec::from_iter(path("PIP_CONFIG_FILE"));
    files.extend(config.map(|config| config.join("pip/pip.conf")));
    files.extend(home.map(|home| home.join(".pip/pip.conf")));
    files.extend(["/etc/xdg/pip/pip.conf", "/etc/pip.conf"].map(PathBuf::from));
    files
}

/// `index-url` of the section `global`.
fn index_in(text: &str) -> Option<String> {
    let mut section = "";
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
        } else if let Some((key, value)) = line.split_once(['=', ':'])
            && section == "global"
            && ["index-url", "index_url"].contains(&key.trim())
            && !value.trim().is_empty()
        {
            return Some(value.trim().to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_of_the_global_section_counts() {
        let text = "# index-url = https://no\n[install]\nindex-url = https://other\n[global]\ntimeout = 60\n\
                    index-url: https://mirror/simple\n";
        assert_eq!(index_in(text).as_deref(), Some("https://mirror/simple"));
        assert_eq!(index_in("[global]\ntimeout=60\n"), None);
    }
}
