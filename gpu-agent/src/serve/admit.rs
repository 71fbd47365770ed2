//! Is a plan one that can be run? Everything in it came over the wire: names become paths here.

use std::collections::BTreeSet;
use std::path::Path;

use gpu_suites::id::CaseId;
use gpu_suites::link::leads_to;
use gpu_suites::plan::{PROTOCOL, Plan, PlannedCase};
use gpu_suites::spec::{InputPath, Work};
use gpu_suites::wire::Refusal;

/// Refuses a plan whose names could leave their folders, or that makes no sense.
pub(super) fn admit(plan: &Plan) -> Result<(), Refusal> {
    if plan.protocol != PROTOCOL {
        return Err(Refusal::Protocol { agent: PROTOCOL, harness: plan.protocol });
    }
    let bad = |cause: String| Err(Refusal::BadRequest { cause });
    if !plan.run.is_valid() {
        return bad(format!("{:?} is no run id", plan.run.as_str()));
    }
    if let Some(blob) = plan.blobs().into_iter().find(|blob| !blob.is_valid()) {
        return bad(format!("{:?} is no sha256", blob.as_str()));
    }
    let mut folders = BTreeSet::new();
    for case in &plan.cases {
        if !is_name(case.id.suite()) || !is_name(case.id.case()) {
            return bad(format!("{:?} is no case id", case.id.as_str()));
        }
        if !folders.insert(case.id.folder()) {
            return bad(format!("{} is in the plan twice", case.id));
        }
        if let Err(cause) = sensible(case, plan) {
            return bad(format!("{}: {cause}", case.id));
        }
    }
    Ok(())
}

/// `[A-Za-z0-9_.-]+`, and not a hidden file's.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    (1..=100).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('.')
}

/// A link stays below the case's folder, and nothing is made through one.
fn links(case: &PlannedCase) -> Result<(), String> {
    let mut at = BTreeSet::new();
    for (link, target) in &case.links {
        let name = link.on_node().ok_or_else(|| format!("the link {link:?} leaves the case's folder"))?;
        if target.is_empty() || leads_to(&name, Path::new(target)).is_none() {
            return Err(format!("the link {link:?} leads out of the case's folder"));
        }
        at.insert(name);
    }
    if at.is_empty() {
        return Ok(());
    }
    let through = |path: &InputPath, skip: usize| {
        path.on_node().is_some_and(|path| path.ancestors().skip(skip).any(|above| at.contains(above)))
    };
    let inputs = case.inputs.keys().find(|input| through(input, 0));
    match inputs.or_else(|| case.links.keys().find(|link| through(link, 1))) {
        Some(path) => Err(format!("the input {path:?} lies behind a link")),
        None => Ok(()),
    }
}

fn sensible(case: &PlannedCase, plan: &Plan) -> Result<(), String> {
    let PlannedCase { id, spec, inputs, .. } = case;
    if let Some(path) = inputs.keys().find(|path| path.on_node().is_none()) {
        return Err(format!("the input {path:?} leaves the case's folder"));
    }
    links(case)?;
    if let Some(path) = spec.inputs().into_iter().find(|path| !inputs.contains_key(path)) {
        return Err(format!("the input {path} has no content"));
    }
    match spec.work() {
        Some(work) if work.needs_worker() => match plan.worker {
            Some(_) => Ok(()),
            None => Err("a case of a built-in model needs a worker".into()),
        },
        Some(Work::Command(command)) if command.run.first().is_none_or(String::is_empty) => {
            Err("`run` names no program".into())
        }
        Some(Work::Command(command)) => {
            let odd = |text: &str| text.contains('\0');
            let bad_name = |name: &str| name.is_empty() || name.contains('=') || odd(name);
            if command.run.iter().any(|word| odd(word)) {
                return Err("a word of `run` holds a NUL".into());
            }
            match command.env.iter().find(|(name, value)| bad_name(name) || odd(value)) {
                Some((name, _)) => Err(format!("the environment variable {name:?} cannot be set")),
                None => Ok(()),
            }
        }
        _ => Err(format!(
            "{} needs exactly one of `train`, `throughput`, `pipeline`, `canary` and `command`",
            CaseId::case(id)
        )),
    }
}
