//! What a suite must fulfil beyond its types. What one kind of case or one check asks stands in its own file; here are
//! the rules of every case, and of all cases together.

use std::collections::HashMap;

use crate::checks::ExitStatus;
use crate::id::{CheckName, MAX_NAME, is_name};
use crate::spec::{Case, Suite, Work};
use crate::violations::{Violation, Violations};

/// Everything that does not hold of the parts that could be read.
pub(super) fn violations(head: Option<&Suite>, cases: &[Option<Case>]) -> Vec<Violation> {
    let mut all = Vec::new();
    if let Some(suite) = head {
        let mut violations = Violations::new(String::new(), &mut all);
        name(&mut violations, "suite", &suite.suite);
        if cases.is_empty() {
            let kinds = Work::KINDS.map(|kind| format!("`{kind}:`"));
            let hint = format!("add a case: `- name: …` with {}", either(&kinds));
            violations.add("cases", "the suite has no cases", hint);
        }
    }
    let mut names = HashMap::new();
    for (index, case) in cases.iter().enumerate() {
        let Some(case) = case else { continue };
        let mut violations = Violations::new(format!("cases[{index}]"), &mut all);
        if let Some(earlier) = names.insert(case.name.as_str(), index) {
            let also = (format!("cases[{earlier}].name"), "the first one is here".into());
            let message = format!("a second case `{}`", case.name);
            violations.add_against("name", message, "give each case its own name", also);
        }
        of_case(&mut violations, case);
    }
    all
}

/// `a, b or c`.
pub(super) fn either(all: &[String]) -> String {
    match all {
        [before @ .., last] if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => all.concat(),
    }
}

fn name(violations: &mut Violations<'_>, key: &str, name: &str) {
    if !is_name(name) {
        let hint = format!("use 1 to {MAX_NAME} of A-Z a-z 0-9 _ . - and begin with a letter or digit");
        violations.add(key, format!("`{name}` cannot be a name"), hint);
    }
}

fn of_case(violations: &mut Violations<'_>, case: &Case) {
    name(violations, "name", &case.name);
    case.work.rules(case, violations);
    if case.timeout.0.is_zero() {
        violations.add("timeout", "a timeout of no time at all", "write a longer one, e.g. 10m");
    }
    if case.skip.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        violations.add("skip", "no reason is given", "say why the case is left out");
    }
    for (key, input) in case.work.inputs().into_iter().filter(|(_, input)| input.on_node().is_none()) {
        let hint =
            "name a file below the folder of gpu-harness.yaml (or .git), without `..`, or `cache:PATH`";
        violations.add(key, format!("`{input}` leads out of the suite's root"), hint);
    }
    which_checks(violations, case);
    case.checks.rules(case.facts(), &mut violations.below("checks"));
}

/// The checks that `must-fail` and `skip-checks` name have to be run.
fn which_checks(violations: &mut Violations<'_>, case: &Case) {
    let runs = case.selected_checks();
    let how = |check: &CheckName| match check {
        _ if *check == ExitStatus::NAME => "it is for `command` cases".to_owned(),
        _ => format!("name it under `checks`, e.g. `{check}: {{}}`"),
    };
    if case.needs_worker() && case.checks.exit_status.is_some() {
        let hint = "remove it: a worker that does not end well is an error";
        violations.add("checks.exit-status", "`exit-status` is for `command` cases", hint);
    }
    for (index, check) in case.must_fail.iter().enumerate() {
        let key = format!("must-fail[{index}]");
        if case.must_fail[..index].contains(check) {
            violations.add(key, format!("`{check}` is listed twice"), "keep one of them");
        } else if case.skip_checks.contains_key(check) {
            let hint = "take it out of `skip-checks` or of `must-fail`";
            violations.add(key, format!("`{check}` must fail and is skipped"), hint);
        } else if !runs.contains(check) {
            violations.add(key, format!("`{check}` must fail, and the case does not run it"), how(check));
        }
    }
    for (check, reason) in &case.skip_checks {
        let key = format!("skip-checks.{check}");
        if !runs.contains(check) {
            violations.add(key, format!("`{check}` is skipped, and the case does not run it"), "remove it");
        } else if reason.trim().is_empty() {
            violations.add(key, "no reason is given", "say why the check is left out");
        }
    }
    if runs.iter().all(|check| case.skip_checks.contains_key(check)) {
        let hint = "leave one check, or leave the whole case out with `skip: REASON`";
        violations.add("skip-checks", "every check of the case is skipped: it could never pass", hint);
    }
}
