//! A plan whose files were written while they were sent: it names what the node was given.

use gpu_suites::plan::{Plan, PlannedCase};
use gpu_suites::spec::Work;

use crate::files::archive::Changed;
use crate::text::clean::one_line;

/// How many of the files are named, and how much of each name.
const MOST_NAMED: usize = 10;
const LONGEST: usize = 200;

/// Puts what the changed files are now in place of what they were. The error is the path of one that the plan cannot do
/// without, or that is no case's input.
pub(crate) fn amend(plan: &mut Plan, changed: &[Changed]) -> Result<(), String> {
    for one in changed {
        let name = one.before.name.as_ref();
        let needs = |case: &&mut PlannedCase| {
            name.is_some_and(|name| case.inputs.get(name) == Some(&one.before.sha256))
        };
        let mut is_known = false;
        for case in plan.cases.iter_mut().filter(needs) {
            is_known = put(case, one);
            if !is_known {
                break;
            }
        }
        if !is_known {
            return Err(one_line(&one.before.path.to_string_lossy(), LONGEST));
        }
    }
    Ok(())
}

/// Whether the case can be run with it.
fn put(case: &mut PlannedCase, Changed { before, now }: &Changed) -> bool {
    let Some(name) = &before.name else { return false };
    case.executable.remove(name);
    if let Some(now) = now {
        case.inputs.insert(name.clone(), now.sha256.clone());
        case.executable.extend(now.executable.then(|| name.clone()));
        return true;
    }
    // A program is to find it gone as well; a model cannot do without its image.
    let Work::Command(command) = &mut case.spec.work else { return false };
    if !command.files.contains(name) {
        return false;
    }
    command.files.retain(|file| file != name);
    case.inputs.remove(name);
    true
}

/// What a person should know of it.
pub(crate) fn told(changed: &[Changed]) -> Option<String> {
    let names = changed.iter().take(MOST_NAMED).filter_map(|one| {
        let gone = if one.now.is_none() { " (gone)" } else { "" };
        Some(format!("{}{gone}", one_line(&one.before.name.as_ref()?.0, LONGEST)))
    });
    let more = changed.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let names = Vec::from_iter(names).join(", ");
    (!changed.is_empty())
        .then(|| format!("written while they were sent, and sent as they were then: {names}{more}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use gpu_suites::id::Sha256;
    use gpu_suites::spec::InputPath;

    use super::*;
    use crate::files::content::Blob;

    fn blob(name: &str, sha256: &str, executable: bool) -> Blob {
        let path = Path::new("/p").join(name);
        Blob { path, sha256: Sha256(sha256.into()), bytes: 1, executable, name: Some(InputPath(name.into())) }
    }

    fn plan() -> Plan {
        serde_json::from_str(
            r#"{"protocol":2,"run":"r","lease":{"ttl":"2m","on_expiry":"exit"},"fail_fast":false,"retries":0,"timeout":null,
            "worker":null,"libtorch":null,"cases":[{"id":"s::c","inputs":{"a":"1","b":"1"},"executable":["a"],
            "spec":{"name":"c","command":{"run":["x"],"files":["a","b"]}}}]}"#,
        )
        .unwrap()
    }

    #[test]
    fn a_plan_names_what_was_sent_under_the_name_that_changed_alone() {
        let mut plan = plan();
        let changed = [Changed { before: blob("b", "1", false), now: Some(blob("b", "2", true)) }];
        amend(&mut plan, &changed).unwrap();
        let case = &plan.cases[0];
        let of = |name: &str| case.inputs[&InputPath(name.into())].as_str();
        assert_eq!((of("a"), of("b"), case.executable.len()), ("1", "2", 2));
        assert!(told(&changed).unwrap().ends_with(": b"));
    }

    #[test]
    fn a_program_finds_gone_what_is_gone_and_what_is_no_input_cannot_be_amended() {
        let mut plan = plan();
        amend(&mut plan, &[Changed { before: blob("a", "1", true), now: None }]).unwrap();
        let case = &plan.cases[0];
        assert_eq!((case.inputs.len(), case.executable.len()), (1, 0));
        assert_eq!(case.spec.work.command().unwrap().files.len(), 1);
        let worker = Blob { name: None, ..blob("worker", "9", true) };
        assert_eq!(amend(&mut plan, &[Changed { before: worker, now: None }]).unwrap_err(), "/p/worker");
    }
}
