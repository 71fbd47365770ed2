//! Is a plan one that can be run? Everything in it came over the wire: names become paths here.

use std::collections::BTreeSet;
use std::path::Path;

use gpu_suites::link::leads_to;
use gpu_suites::plan::{PROTOCOL, Plan, PlannedCase};
use gpu_suites::spec::InputPath;
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
        if !case.id.is_valid() {
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
    let PlannedCase { spec, inputs, .. } = case;
    if let Some(path) = inputs.keys().find(|path| path.on_node().is_none()) {
        return Err(format!("the input {path:?} leaves the case's folder"));
    }
    links(case)?;
    if let Some(path) = spec.inputs().into_iter().find(|path| !inputs.contains_key(path)) {
        return Err(format!("the input {path} has no content"));
    }
    if spec.needs_worker() && plan.worker.is_none() {
        return Err("a case of a built-in model needs a worker".into());
    }
    spec.work.startable()
}
