//! What will be run: the chosen cases of the chosen suites, with their files, as a plan for a node.

pub mod canary;
pub mod golden;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use globset::{Glob, GlobMatcher};
use gpu_suites::event::{CaseSummary, Input};
use gpu_suites::exit::Exit;
use gpu_suites::id::{CaseId, RunId};
use gpu_suites::load::{self, Diagnostic, LoadError, Loaded};
use gpu_suites::plan::{Lease, PROTOCOL, Plan, PlannedCase};
use gpu_suites::spec::{Case, Environment, InputPath};
use gpu_suites::unit::Span;

use crate::config::need::NodeNeed;
use crate::files::binaries::{Program, ProgramError};
use crate::files::cache;
use crate::files::content::Blob;
use crate::files::inputs::{self, Inputs};
use crate::here::Env;
use crate::text::Explain;

/// The suites that were asked for, and which of their cases.
#[derive(Debug, Clone)]
pub struct Selection {
    suites: Arc<[Loaded]>,
    chosen: Vec<(usize, usize)>,
}

#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("--case {pattern}: {problem}")]
    Pattern { pattern: String, problem: String },
    #[error("no case matches --case {}; there are: {}", patterns.join(" --case "), known.join(", "))]
    NoMatch { patterns: Vec<String>, known: Vec<String> },
    /// Two suites have the same name, so that their cases could not be told apart.
    #[error("{} and {} are both named `{name}`; rename one", first.display(), second.display())]
    DuplicateSuite { name: String, first: PathBuf, second: PathBuf },
    /// Files that the cases need are missing or are not what they should be.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n"))]
    Inputs(Vec<Diagnostic>),
    #[error(transparent)]
    Program(#[from] ProgramError),
}

impl Explain for PlanError {
    fn exit(&self) -> Exit {
        match self {
            Self::Program(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn is_diagnostic(&self) -> bool {
        matches!(self, Self::Load(LoadError::Wrong(_)) | Self::Inputs(_))
    }
}

/// How the user wants it run.
#[derive(Debug, Clone)]
pub struct Options {
    pub lease: Lease,
    pub fail_fast: bool,
    pub retries: u32,
    pub timeout: Option<Span>,
    pub libtorch: Option<PathBuf>,
    /// See [`Plan::environment`].
    pub environment: Environment,
    /// Says where the cache folder and the programs for the node are.
    pub env: Env,
}

/// A plan and all that has to go to the node for it.
#[derive(Debug)]
pub struct Prepared {
    /// The plan; it leaves out the cases in `skipped`.
    pub plan: Plan,
    pub cases: Vec<CaseSummary>,
    /// Cases that their suite leaves out, with the reason.
    pub skipped: Vec<(CaseId, String)>,
    /// The inputs, for the report.
    pub inputs: Vec<Input>,
    pub blobs: Vec<Blob>,
}

impl Selection {
    /// Reads the suites at `paths` (default: `suites/`) and chooses the cases that match any of `patterns` (default:
    /// all), a glob over `suite::case` or over the case's name alone.
    pub fn read(paths: &[PathBuf], patterns: &[String], cwd: &Path) -> Result<Self, PlanError> {
        let suites: Arc<[Loaded]> =
            load::discover(paths, cwd)?.iter().map(|path| load::load(path, cwd)).collect::<Result<_, _>>()?;
        let mut named: BTreeMap<&str, &Path> = BTreeMap::new();
        for loaded in suites.iter() {
            if let Some(first) = named.insert(&loaded.suite.suite, &loaded.path) {
                return Err(PlanError::DuplicateSuite {
                    name: loaded.suite.suite.clone(),
                    first: first.into(),
                    second: loaded.path.clone(),
                });
            }
        }
        let matchers = patterns.iter().map(|pattern| matcher(pattern)).collect::<Result<Vec<_>, _>>()?;
        let every = suites
            .iter()
            .enumerate()
            .flat_map(|(s, loaded)| (0..loaded.suite.cases.len()).map(move |c| (s, c)));
        let wanted = |&(s, c): &(usize, usize)| {
            let suite: &Loaded = &suites[s];
            let case = &suite.suite.cases[c].name;
            let id = CaseId::new(&suite.suite.suite, case);
            matchers.is_empty() || matchers.iter().any(|m| m.is_match(case) || m.is_match(id.as_str()))
        };
        let chosen: Vec<_> = every.filter(wanted).collect();
        let selection = Self { suites, chosen };
        if selection.chosen.is_empty() {
            let all = selection
                .suites
                .iter()
                .flat_map(|s| s.suite.cases.iter().map(|c| CaseId::new(&s.suite.suite, &c.name).0));
            return Err(PlanError::NoMatch { patterns: patterns.to_vec(), known: all.collect() });
        }
        Ok(selection)
    }

    pub fn cases(&self) -> Vec<CaseSummary> {
        self.chosen.iter().map(|&(s, c)| self.summary(s, c)).collect()
    }

    /// The chosen cases, as their suites say them.
    pub fn specs(&self) -> impl Iterator<Item = (CaseId, &Case)> {
        self.chosen.iter().map(|&(s, c)| {
            let suite = &self.suites[s].suite;
            (CaseId::new(&suite.suite, &suite.cases[c].name), &suite.cases[c])
        })
    }

    /// The files of golden losses that the chosen cases name.
    pub fn goldens(&self, env: &Env) -> impl Iterator<Item = (CaseId, PathBuf)> {
        let cache = cache::folder(env);
        self.chosen.iter().filter_map(move |&(s, c)| {
            let loaded = &self.suites[s];
            let case = &loaded.suite.cases[c];
            let golden = case.work.train()?.golden.as_ref()?;
            Some((
                CaseId::new(&loaded.suite.suite, &case.name),
                inputs::locate(loaded, golden, cache.as_deref()).ok()?.to_write()?,
            ))
        })
    }

    /// This one of the chosen cases alone; `None` where it is not one of them.
    pub fn only(&self, id: &CaseId) -> Option<Self> {
        let place = self.specs().position(|(one, _)| one == *id)?;
        Some(Self { suites: Arc::clone(&self.suites), chosen: vec![self.chosen[place]] })
    }

    fn summary(&self, suite: usize, case: usize) -> CaseSummary {
        let loaded = &self.suites[suite];
        let spec = &loaded.suite.cases[case];
        let line = loaded.position(&format!("cases[{case}]")).map_or(1, |position| position.line);
        CaseSummary {
            id: CaseId::new(&loaded.suite.suite, &spec.name),
            description: spec.description.clone(),
            at: format!("{}:{line}", loaded.path.display()),
            junit: spec
                .work
                .command()
                .into_iter()
                .flat_map(|command| &command.junit)
                .map(ToString::to_string)
                .collect(),
        }
    }

    /// What the chosen cases need together, on top of what `node` is to be anyway.
    pub fn node_need(&self, node: &NodeNeed) -> Result<NodeNeed, PlanError> {
        let mut need = node.clone();
        for &(s, c) in &self.chosen {
            let case = &self.suites[s].suite.cases[c];
            if let Some(more) = case.gpu.as_ref().filter(|_| case.skip.is_none()) {
                need = need.and(more).map_err(|problem| {
                    let message = format!("{problem}; cases that need different GPUs are for different runs");
                    let place = format!("cases[{c}].gpu");
                    PlanError::Inputs(vec![self.suites[s].diagnostic(&place, message, None)])
                })?;
            }
        }
        Ok(need)
    }

    /// The folder that the first suite's paths are relative to.
    pub fn root(&self) -> &Path {
        &self.suites[self.chosen[0].0].root
    }

    /// Reads every file that the chosen cases need and makes the plan.
    pub fn prepare(&self, run: RunId, options: &Options) -> Result<Prepared, PlanError> {
        let mut reader = Inputs::new(&options.env);
        let (mut cases, mut skipped, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
        // Suites of two projects may call two files by one name.
        let mut files: BTreeMap<(InputPath, PathBuf), Blob> = BTreeMap::new();
        for &(s, c) in &self.chosen {
            let loaded = &self.suites[s];
            let spec = &loaded.suite.cases[c];
            let id = CaseId::new(&loaded.suite.suite, &spec.name);
            if let Some(reason) = &spec.skip {
                skipped.push((id, reason.clone()));
                continue;
            }
            match reader.of_case(loaded, c) {
                Ok(found) => {
                    cases.push(planned(id, spec.clone(), &found, BTreeMap::new()));
                    let found = found.into_iter();
                    files.extend(
                        found.map(|(name, blob)| ((name.clone(), blob.path.clone()), blob.named(name))),
                    );
                }
                Err(more) => wrong.extend(more),
            }
        }
        if !wrong.is_empty() {
            return Err(PlanError::Inputs(wrong));
        }
        let needs_worker = cases.iter().any(|case| case.spec.needs_worker());
        let worker = if needs_worker { Some(Program::Worker.find(&options.env)?) } else { None };
        let inputs = files.iter().map(|((name, _), blob)| Input {
            name: name.to_string(),
            sha256: blob.sha256.clone(),
            bytes: blob.bytes,
            source: inputs::provenance(&blob.path),
        });
        Ok(Prepared {
            inputs: inputs.collect(),
            plan: Plan {
                protocol: PROTOCOL,
                run,
                cases,
                lease: options.lease,
                fail_fast: options.fail_fast,
                retries: options.retries,
                timeout: options.timeout,
                worker: worker.as_ref().map(|blob| blob.sha256.clone()),
                reclaimable: false,
                libtorch: options.libtorch.clone(),
                environment: options.environment.clone(),
            },
            cases: self.cases(),
            skipped,
            blobs: files.into_values().chain(worker).collect(),
        })
    }
}

impl Prepared {
    /// A program with its files, as the only case of a run.
    pub fn program(
        id: CaseId,
        spec: Case,
        files: BTreeMap<InputPath, Blob>,
        links: BTreeMap<InputPath, String>,
        run: RunId,
        options: &Options,
    ) -> Self {
        let command = spec.work.command();
        let said = command.map(|command| crate::text::clean::one_line(&command.run.join(" "), 200));
        let junit = command.into_iter().flat_map(|command| &command.junit).map(ToString::to_string).collect();
        let summary = CaseSummary { id: id.clone(), description: said, at: String::new(), junit };
        Self {
            plan: Plan {
                protocol: PROTOCOL,
                run,
                cases: vec![planned(id, spec, &files, links)],
                lease: options.lease,
                fail_fast: options.fail_fast,
                retries: options.retries,
                timeout: options.timeout,
                worker: None,
                reclaimable: false,
                libtorch: options.libtorch.clone(),
                environment: options.environment.clone(),
            },
            cases: vec![summary],
            skipped: Vec::new(),
            // Files by the thousand are named by their tree's commit.
            inputs: Vec::new(),
            blobs: files.into_iter().map(|(name, blob)| blob.named(name)).collect(),
        }
    }
}

/// A case with its files; nothing of it has been run.
fn planned(
    id: CaseId,
    spec: Case,
    files: &BTreeMap<InputPath, Blob>,
    links: BTreeMap<InputPath, String>,
) -> PlannedCase {
    PlannedCase {
        id,
        spec,
        inputs: files.iter().map(|(name, blob)| (name.clone(), blob.sha256.clone())).collect(),
        executable: files.iter().filter(|(_, blob)| blob.executable).map(|(name, _)| name.clone()).collect(),
        links,
        attempts_before: 0,
        retries_used: 0,
    }
}

/// The `--case` patterns, ready to match.
pub fn globs(patterns: &[String]) -> Result<Vec<GlobMatcher>, PlanError> {
    patterns.iter().map(|pattern| matcher(pattern)).collect()
}

fn matcher(pattern: &str) -> Result<GlobMatcher, PlanError> {
    Glob::new(pattern).map(|glob| glob.compile_matcher()).map_err(|error| PlanError::Pattern {
        pattern: pattern.to_owned(),
        problem: error.kind().to_string(),
    })
}
