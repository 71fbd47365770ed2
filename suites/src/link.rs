//! Where a symbolic link leads, by its text alone: what stays below a folder, and what leaves it.

use std::path::{Component, Path, PathBuf};

/// Where the link `link`, a path below some root, leads if `target` is its text: a path below that root, empty for the root
/// itself; `None` where it leaves the root, or does not depend on it.
pub fn leads_to(link: &Path, target: &Path) -> Option<PathBuf> {
    let mut at = link.parent().unwrap_or(Path::new("")).to_owned();
    for part in target.components() {
        match part {
            Component::Normal(part) => at.push(part),
            Component::CurDir => {}
            Component::ParentDir => {
                if !at.pop() {
                    return None;
                }
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(at)
}

/// The text of a link at `link` that leads to `to`, both below one root.
pub fn text_to(link: &Path, to: &Path) -> PathBuf {
    let folder = Vec::from_iter(link.parent().unwrap_or(Path::new("")).components());
    let to = Vec::from_iter(to.components());
    let common = folder.iter().zip(&to).take_while(|(one, other)| one == other).count();
    let up = folder[common..].iter().map(|_| Component::ParentDir);
    let text: PathBuf = up.chain(to[common..].iter().copied()).collect();
    if text.as_os_str().is_empty() { PathBuf::from(".") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_where_its_text_says_and_never_out_of_its_root() {
        for (link, target, to) in [
            ("a", "b", Some("b")),
            ("d/a", "../b", Some("b")),
            ("d/a", "./x/../y", Some("d/y")),
            ("d/a", "..", Some("")),
            ("a", "../b", None),
            ("d/a", "../../b", None),
            ("d/a", "../../d/b", None),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(
                leads_to(Path::new(link), Path::new(target)),
                to.map(PathBuf::from),
                "{link} {target}"
            );
        }
    }

    #[test]
    fn the_text_of_a_link_leads_to_what_it_is_made_for() {
        for (link, to, text) in
            [("a", "b/c", "b/c"), ("d/a", "b", "../b"), ("d/e/a", "d/f", "../f"), ("d/a", "d", ".")]
        {
            let (link, to) = (Path::new(link), Path::new(to));
            assert_eq!(text_to(link, to), Path::new(text));
            assert_eq!(leads_to(link, &text_to(link, to)).as_deref(), Some(to));
        }
    }
}
