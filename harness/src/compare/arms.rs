//! What is run: each case of both versions, one after the other and then the other way round (ABBA), as one plan for one
//! node. So all that a run has (live output, reports, limits, a node that is given back) a comparison has too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gpu_suites::event::CaseSummary;
use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, RunId};
use gpu_suites::plan::PlannedCase;
use gpu_suites::regression::pairs::LEAST;
use gpu_suites::spec::InputPath;

use super::Version;
use crate::files::content::Blob;
use crate::plan::{Options, PlanError, Prepared, Selection};
use crate::text::Explain;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arm {
    Base,
    Head,
}

/// Two versions of some cases, ready to be planned.
#[derive(Debug)]
pub struct Ready {
    base: Option<Selection>,
    head: Selection,
    /// In place of a base of its own: this file for the head's input of the same name.
    replaced: Option<PathBuf>,
    pairs: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum ArmsError {
    #[error("in {version}")]
    Plan { version: String, source: PlanError },
    #[error("{base} and {head} have no case in common; {head} has: {}", known.join(", "))]
    NothingInCommon { base: String, head: String, known: Vec<String> },
    #[error("no case that was chosen has an input named {name}, so {} replaces none", path.display())]
    NotAnInput { path: PathBuf, name: String },
    #[error("failed to read {}", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A case would have to be repeated too seldom.
    #[error("--pairs {pairs}: it takes {LEAST} pairs or more to tell a difference from chance")]
    Pairs { pairs: usize },
}

impl Explain for ArmsError {
    fn exit(&self) -> Exit {
        match self {
            Self::Plan { source, .. } => source.exit(),
            _ => Exit::Usage,
        }
    }
}

impl Arm {
    const fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Head => "head",
        }
    }

    /// The id of a case of this version in a pair, counted from 1: `suite::case.base-1`.
    pub fn id(self, case: &CaseId, pair: usize) -> CaseId {
        CaseId(format!("{case}.{}-{pair}", self.name()))
    }
}

impl Ready {
    pub fn read(
        (base, head): (&Version, &Version),
        suites: &[PathBuf],
        cases: &[String],
        pairs: usize,
        cwd: &Path,
    ) -> Result<Self, ArmsError> {
        if pairs < LEAST {
            return Err(ArmsError::Pairs { pairs });
        }
        let select = |version: &Version| {
            let folder = version.folder(cwd);
            // Of a suite that is named by its whole path, each version has its own.
            let own = |path: &PathBuf| folder.join(path.strip_prefix(cwd).unwrap_or(path));
            let suites = if suites.is_empty() { vec![] } else { Vec::from_iter(suites.iter().map(own)) };
            Selection::read(&suites, cases, &folder)
                .map_err(|source| ArmsError::Plan { version: version.name(), source })
        };
        let head_selection = select(head)?;
        let (base_selection, replaced) = match base {
            Version::File(path) => (None, Some(path.clone())),
            Version::Working | Version::Commit(_) => (Some(select(base)?), None),
        };
        if let Some(base_selection) = &base_selection {
            let known = Vec::from_iter(base_selection.specs().map(|(id, _)| id));
            if !head_selection.specs().any(|(id, _)| known.contains(&id)) {
                return Err(ArmsError::NothingInCommon {
                    base: base.name(),
                    head: head.name(),
                    known: head_selection.specs().map(|(id, _)| id.0).collect(),
                });
            }
        }
        Ok(Self { base: base_selection, head: head_selection, replaced, pairs })
    }

    pub fn head(&self) -> &Selection {
        &self.head
    }

    /// The plan: for each case that both have, all its pairs.
    pub fn prepare(&self, run: &RunId, options: &Options) -> Result<Prepared, ArmsError> {
        // Which of the two is wrong is said by the path of the mistake.
        let plan = |selection: &Selection, arm: Arm| {
            selection
                .prepare(run.clone(), options)
                .map_err(|source| ArmsError::Plan { version: format!("the {}", arm.name()), source })
        };
        let head = plan(&self.head, Arm::Head)?;
        let base = match &self.base {
            Some(base) => plan(base, Arm::Base)?,
            None => self.replaced(&head)?,
        };
        let mut prepared = Prepared {
            cases: Vec::new(),
            skipped: Vec::new(),
            inputs: head.inputs.clone(),
            blobs: base.blobs.iter().chain(&head.blobs).cloned().collect(),
            plan: head.plan.clone(),
        };
        prepared.plan.cases.clear();
        let of_base: BTreeMap<_, _> = base.plan.cases.iter().map(|case| (&case.id, case)).collect();
        for case in &head.plan.cases {
            let Some(before) = of_base.get(&case.id) else { continue };
            let summary = head.cases.iter().find(|summary| summary.id == case.id);
            for pair in 1..=self.pairs {
                let (base, head) = ((Arm::Base, *before), (Arm::Head, case));
                for (arm, planned) in if pair % 2 == 1 { [base, head] } else { [head, base] } {
                    let id = arm.id(&case.id, pair);
                    prepared
                        .cases
                        .extend(summary.map(|summary| CaseSummary { id: id.clone(), ..summary.clone() }));
                    prepared.plan.cases.push(PlannedCase { id, ..planned.clone() });
                }
            }
        }
        Ok(prepared)
    }

    /// The head once more, with the file in its input's place.
    fn replaced(&self, head: &Prepared) -> Result<Prepared, ArmsError> {
        let path = self.replaced.clone().unwrap_or_default();
        let blob = Blob::read(&path).map_err(|source| ArmsError::File { path: path.clone(), source })?;
        let name = path.file_name().unwrap_or_default();
        let mut base = Prepared {
            plan: head.plan.clone(),
            cases: head.cases.clone(),
            skipped: Vec::new(),
            inputs: Vec::new(),
            blobs: Vec::new(),
        };
        let is_it = |input: &InputPath| Path::new(&input.0).file_name() == Some(name);
        base.plan.cases.retain(|case| case.inputs.keys().any(is_it));
        for case in &mut base.plan.cases {
            for (input, sha256) in &mut case.inputs {
                if is_it(input) {
                    *sha256 = blob.sha256.clone();
                    base.blobs.push(blob.clone().named(input.clone()));
                }
            }
        }
        if base.plan.cases.is_empty() {
            return Err(ArmsError::NotAnInput { name: name.display().to_string(), path });
        }
        Ok(base)
    }
}
