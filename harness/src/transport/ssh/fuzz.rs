//! The doors of ssh's, for [`crate::fuzz`]: the user's files, which others write into, and the keys that machines show.

use std::time::{Duration, SystemTime};

use super::address::Address;
use super::certificate::Certificate;
use super::known_hosts::{self, Entry, Says, Verdict};
use super::{HostKey, SshOptions, config, host_certificate};
use crate::fuzz::assert_clean;
use crate::transport::KnownKey;

/// The name that is looked for in files.
const NAME: &str = "gpu.lab";

/// A file of known host keys, which is also taken for one of revoked keys.
pub(crate) fn known_hosts(data: &[u8]) {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), data).is_err() {
        return;
    }
    let files = [file.path().to_owned()];
    let lines = data.split(|byte| *byte == b'\n').count();
    let revoked = known_hosts::revoked(&files).unwrap_or_default();
    let Ok(entries) = known_hosts::entries(&files, NAME) else { return };
    for Entry { known, .. } in entries.iter().chain(&revoked) {
        assert!((1..=lines).contains(&known.line), "line {} of {lines}", known.line);
        shown(&known.key);
    }
    for Entry { known, .. } in &entries {
        let says = |says| entries.iter().any(|other| other.says == says && other.known.key == known.key);
        let trusted = known_hosts::judge(&entries, &known.key) == Verdict::Trusted;
        assert_eq!(trusted, says(Says::Its) && !says(Says::Revoked), "{known:?}");
    }
}

/// What a person is shown of a key.
fn shown(key: &HostKey) {
    let said = format!("{key:?} {key}");
    assert_clean(&said);
    assert!(key.kind() == "unknown" || HostKey::parse(&key.to_string()).as_ref() == Ok(key), "{said}");
}

/// A key, or a certificate, that a machine shows.
pub(crate) fn host_key(data: &[u8]) {
    let key = HostKey::from_blob(data);
    shown(&key);
    let entry = |says: Says, blob: Vec<u8>| {
        let known = KnownKey {
            file: "known_hosts".into(),
            line: 1,
            key: HostKey::from_blob(blob),
            name: NAME.into(),
        };
        Entry { known, says }
    };
    // By an authority that is trusted, so that all that is said of the key is looked at.
    let authority = Certificate::parse(data).map(|certificate| certificate.authority);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let judged = |says: Says| {
        let entries = Vec::from_iter(authority.clone().map(|authority| entry(says, authority)));
        host_certificate::check(&key, NAME, &entries, now)
    };
    if let Err(why) = judged(Says::Authority) {
        assert_clean(&why);
    }
    assert!(judged(Says::Its).is_err() && judged(Says::Revoked).is_err(), "nobody trusts its authority");
}

/// A configuration of ssh's, and behind a NUL byte a second file that it may include.
pub(crate) fn configuration(data: &[u8]) {
    let mut files = data.splitn(2, |byte| *byte == 0);
    let Ok(home) = tempfile::tempdir() else { return };
    let path = |name: &str| home.path().join(name);
    let written =
        ["config", "extra"].map(path).map(|path| std::fs::write(path, files.next().unwrap_or_default()));
    if written.iter().any(Result::is_err) {
        return;
    }
    let options = SshOptions { user: "me".into(), ..SshOptions::below(home.path(), path("config")) };
    for host in [NAME, "10.0.0.1"] {
        let address = Address { user: None, host: host.into(), port: None };
        match config::read_nowhere(&address, &options) {
            Ok(settings) => assert!(settings.port > 0),
            Err(error) => drop(error.to_string()),
        }
    }
}
