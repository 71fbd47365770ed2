//! A node that is kept after a failure, so that somebody can look at it: its key, and the command that gets in.
//!
//! The key lies in the cache folder, not in the run's folder: that one is handed round as a CI artifact.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// What is needed to get into a node.
#[derive(Debug)]
pub struct Door<'a> {
    pub instance: &'a str,
    pub user: &'a str,
    pub host: &'a str,
    pub port: u16,
    /// The private key, as OpenSSH writes one.
    pub client_key: &'a str,
    /// The public host key: `ssh-ed25519 AAAA…`.
    pub host_key: &'a str,
}

#[derive(Debug, thiserror::Error)]
#[error("failed to keep the key of {instance} in {}", path.display())]
pub struct KeepError {
    instance: String,
    path: PathBuf,
    source: io::Error,
}

fn folder(cache: &Path) -> PathBuf {
    cache.join("kept")
}

/// Writes the key and the known host where only this user reads them; the command that gets in.
pub fn keep(cache: &Path, door: &Door<'_>) -> Result<String, KeepError> {
    let path = folder(cache).join(door.instance);
    let failed = |source| KeepError { instance: door.instance.to_owned(), path: path.clone(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
    let key = path.join("id_ed25519");
    write(&key, door.client_key).map_err(failed)?;
    let known = path.join("known_hosts");
    let host = if door.port == 22 { door.host.to_owned() } else { format!("[{}]:{}", door.host, door.port) };
    write(&known, &format!("{host} {}\n", door.host_key)).map_err(failed)?;
    Ok(format!(
        "ssh -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} -p {} {}@{}",
        key.display(),
        known.display(),
        door.port,
        door.user,
        door.host
    ))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// The instances whose keys are kept here.
pub fn instances(cache: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder(cache)).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

/// Removes the key of an instance that is no more.
pub fn forget(cache: &Path, instance: &str) -> io::Result<()> {
    match fs::remove_dir_all(folder(cache).join(instance)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_kept_key_is_for_its_owner_only_and_is_forgotten_with_its_node() {
        let cache = tempfile::tempdir().unwrap();
        let door = Door {
            instance: "i-1",
            user: "ubuntu",
            host: "203.0.113.7",
            port: 2222,
            client_key: "SECRET",
            host_key: "ssh-ed25519 AAAA",
        };
        let command = keep(cache.path(), &door).unwrap();
        assert!(command.ends_with("-p 2222 ubuntu@203.0.113.7") && !command.contains("SECRET"), "{command}");
        let folder = cache.path().join("kept/i-1");
        assert_eq!(fs::metadata(folder.join("id_ed25519")).unwrap().permissions().mode() & 0o777, 0o600);
        let known = fs::read_to_string(folder.join("known_hosts")).unwrap();
        assert_eq!(known, "[203.0.113.7]:2222 ssh-ed25519 AAAA\n");
        assert_eq!(instances(cache.path()), ["i-1"]);
        forget(cache.path(), "i-1").unwrap();
        forget(cache.path(), "i-1").unwrap();
        assert!(instances(cache.path()).is_empty());
    }
}
