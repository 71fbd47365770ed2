//! What a case's process finds in its environment: the node's, without what looks like a credential, and the case's own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use gpu_suites::plan::PlannedCase;

use crate::folder::{CaseDir, RunDir};
use crate::libtorch::Libtorch;
use crate::strays;

/// Words that end the name of a credential, such as `AWS_SECRET_ACCESS_KEY` or `SYSTEM_ACCESSTOKEN`.
const SECRET: [&str; 9] =
    ["TOKEN", "TOKENS", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIALS", "KEY"];

/// Whether a variable's name looks like a credential's: one of its words ends in one of those above. What a suite
/// sets itself is passed on whatever its name is.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    name.starts_with("AWS_")
        || name == "SSH_AUTH_SOCK"
        || name.split('_').any(|word| SECRET.iter().any(|secret| word.ends_with(secret)))
}

/// Whether a variable of the node's goes along. A pipeline is this project's own program, and its stores may want keys.
fn goes_along(name: &str, pipeline: bool) -> bool {
    !is_secret(name) || (pipeline && name.starts_with("AWS_"))
}

pub(super) fn of_case(
    case: &PlannedCase,
    run: &RunDir,
    dir: &CaseDir,
    libtorch: Option<&Libtorch>,
    node: impl Iterator<Item = (OsString, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let pipeline = case.spec.work.pipeline().is_some();
    let mut environment: BTreeMap<OsString, OsString> =
        node.filter(|(name, _)| goes_along(&name.to_string_lossy(), pipeline)).collect();
    if let Some(command) = case.spec.work.command() {
        environment.extend(command.env.iter().map(|(name, value)| (name.into(), value.into())));
    }
    if let (Some(libtorch), true) = (libtorch, case.spec.needs_worker()) {
        let first = libtorch.libraries().into_os_string();
        let path = join(first, environment.remove(OsStr::new("LD_LIBRARY_PATH")));
        environment.insert("LD_LIBRARY_PATH".into(), path);
        // See gpu-worker/src/openmp.rs: without it the worker has to start itself a second time.
        environment.entry("GOMP_SPINCOUNT".into()).or_insert_with(|| "3000".into());
    }
    let own: [(&str, &Path); 2] =
        [(strays::MARK, &dir.metrics()), ("GPU_HARNESS_ARTIFACTS", &dir.artifacts())];
    environment.extend(own.map(|(name, path)| (name.into(), path.into())));
    environment.insert("GPU_HARNESS_CASE".into(), case.id.as_str().into());
    environment.insert("GPU_HARNESS_SEED".into(), case.spec.seed.to_string().into());
    environment.insert("GPU_HARNESS_RUN".into(), run.run().as_str().into());
    environment
}

fn join(first: OsString, rest: Option<OsString>) -> OsString {
    match rest {
        Some(rest) if !rest.is_empty() => [first, rest].join(":".as_ref()),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_of_the_node_does_not_reach_a_case() {
        for (name, secret) in [
            ("PATH", false),
            ("CUDA_VISIBLE_DEVICES", false),
            ("TOKENIZERS_PARALLELISM", false),
            ("KEYBOARD", false),
            ("GITHUB_TOKEN", true),
            ("SYSTEM_ACCESSTOKEN", true),
            ("AWS_PROFILE", true),
            ("DB_PASSWORD_FILE", true),
            ("api_key", true),
            ("OPENAI_API_KEY_2", true),
            ("SSH_AUTH_SOCK", true),
        ] {
            assert_eq!(is_secret(name), secret, "{name}");
            assert_eq!(goes_along(name, false), !secret, "{name}");
        }
        assert!(goes_along("AWS_SECRET_ACCESS_KEY", true) && !goes_along("GITHUB_TOKEN", true));
    }
}
