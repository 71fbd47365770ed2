//! Files of the project, and of nothing else: which file a path below a folder means, and how it is opened.
//!
//! What a project names travels to nodes, and is quoted where it is wrong. A link in it must therefore not lead to what only
//! this machine may know: a key, a token, the environment of a process. Links from one place in the project to another are
//! followed.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

/// The folder in which a checkout's credentials lie beside its history.
const GIT: &str = ".git";

#[derive(Debug, thiserror::Error)]
pub enum BeneathError {
    #[error("a link leads out of {}", root.display())]
    Outside {
        /// The folder that it leads out of.
        root: PathBuf,
    },
    /// It lies in `.git`, where CI services leave their tokens.
    #[error("it lies in .git, which may hold credentials")]
    Git,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where that which `path` means really lies: links are followed, as long as it is below `root`.
pub fn find(root: &Path, path: &Path) -> Result<PathBuf, BeneathError> {
    let (real_root, real) = (root.canonicalize()?, path.canonicalize()?);
    match real.strip_prefix(&real_root) {
        Err(_) => Err(BeneathError::Outside { root: root.to_owned() }),
        Ok(below) if below.components().any(|part| part.as_os_str() == GIT) => Err(BeneathError::Git),
        Ok(_) => Ok(real),
    }
}

/// Opens what lies at an absolute path that was found, for reading and without waiting for a writer. A part of it that has
/// become a link since is not followed.
pub fn open(real: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match openat2(CWD, real, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS) {
        // Older than Linux 5.6, or a container that does not let it through.
        Err(Errno::NOSYS | Errno::PERM) => open_part_by_part(real, flags),
        opened => Ok(opened?.into()),
    }
}

fn open_part_by_part(real: &Path, flags: OFlags) -> io::Result<File> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at: OwnedFd = openat(CWD, c"/", folder, Mode::empty())?;
    let mut parts = real.components().peekable();
    while let Some(part) = parts.next() {
        let name = match part {
            Component::RootDir => continue,
            Component::Normal(name) => name,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a path without links")),
        };
        let flags = if parts.peek().is_some() { folder } else { flags };
        at = openat(&at, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    }
    Ok(at.into())
}

/// The folder that nothing leaves: the git working tree that `folder` lies in, else `folder` itself. A link on the way
/// down from a working tree (or from `cwd`) does not make another project of what it leads to.
pub fn project(folder: &Path, cwd: Option<&Path>) -> PathBuf {
    let is_one = |above: &Path| above.join(GIT).exists() || cwd == Some(above);
    let own = folder.ancestors().find(|above| above.join(GIT).exists()).unwrap_or(folder);
    let higher = own.ancestors().skip(1).filter(|above| is_one(above));
    higher
        .fold(own, |project, above| if is_reached_by_a_link(above, project) { above } else { project })
        .to_owned()
}

/// Whether one of the folders below `above`, down to `below`, is a link.
fn is_reached_by_a_link(above: &Path, below: &Path) -> bool {
    below.ancestors().take_while(|at| *at != above).any(Path::is_symlink)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read as _;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A project with links of each kind, beside what it must not reach.
    fn rig() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (project, secret) = (folder.path().join("project"), folder.path().join("secret"));
        fs::create_dir_all(project.join("data")).unwrap();
        fs::create_dir_all(project.join(".git")).unwrap();
        fs::create_dir_all(&secret).unwrap();
        fs::write(project.join("data/a"), "mine").unwrap();
        fs::write(project.join(".git/config"), "token").unwrap();
        fs::write(secret.join("a"), "theirs").unwrap();
        for (to, at) in [
            ("data/a", "file"),
            ("data", "folder"),
            ("../secret/a", "out"),
            ("../secret", "out-folder"),
            (".git/config", "git"),
            ("/proc/self/environ", "environ"),
            ("/dev/fd/0", "fd"),
            ("loop", "loop"),
            ("gone", "dangling"),
        ] {
            symlink(to, project.join(at)).unwrap();
        }
        symlink(project.join("data/a"), project.join("absolute")).unwrap();
        symlink("out", project.join("twice")).unwrap();
        (folder, project)
    }

    fn read(real: &Path) -> io::Result<String> {
        let mut text = String::new();
        open(real)?.read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn a_link_within_the_project_is_followed_and_one_that_leads_out_is_not() {
        let (_folder, project) = rig();
        let found = |name: &str| find(&project, &project.join(name));
        for inside in ["data/a", "file", "folder/a", "absolute", "data/../data/a"] {
            assert_eq!(read(&found(inside).unwrap()).unwrap(), "mine", "{inside}");
        }
        for outside in ["out", "out-folder/a", "twice", "environ", "../secret/a", "/etc/passwd"] {
            assert!(
                matches!(found(outside), Err(BeneathError::Outside { .. })),
                "{outside}: {:?}",
                found(outside)
            );
        }
        for git in ["git", ".git/config"] {
            assert!(matches!(found(git), Err(BeneathError::Git)), "{git}");
        }
        for not_there in ["dangling", "loop", "no"] {
            assert!(matches!(found(not_there), Err(BeneathError::Io(_))), "{not_there}");
        }
        assert!(found("fd").is_err());
    }

    #[test]
    fn what_has_become_a_link_since_it_was_found_is_not_followed() {
        let (folder, project) = rig();
        let real = find(&project, &project.join("data/a")).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        assert!(open_part_by_part(&real, flags).is_ok());
        fs::remove_dir_all(project.join("data")).unwrap();
        symlink(folder.path().join("secret"), project.join("data")).unwrap();
        assert!(real.exists() && read(&real).is_err() && open_part_by_part(&real, flags).is_err());
        fs::remove_file(project.join("data")).unwrap();
        fs::create_dir(project.join("data")).unwrap();
        symlink(folder.path().join("secret/a"), project.join("data/a")).unwrap();
        assert!(real.exists() && read(&real).is_err() && open_part_by_part(&real, flags).is_err());
    }

    #[test]
    fn a_link_to_another_working_tree_stays_a_link_out_of_this_one() {
        let (folder, project) = rig();
        let other = folder.path().join("secret");
        assert_eq!(super::project(&project.join("data"), None), project);
        assert_eq!(super::project(&other, None), other, "where there is no working tree");
        fs::create_dir(other.join(".git")).unwrap();
        assert_eq!(super::project(&project.join("out-folder"), None), project);
        assert_eq!(super::project(&other, None), other);
        fs::remove_dir_all(project.join(".git")).unwrap();
        assert_eq!(super::project(&project.join("out-folder"), Some(&project)), project);
    }
}
