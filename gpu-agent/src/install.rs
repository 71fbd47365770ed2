//! `gpu-agent environment`: puts onto the node what its cases need, as a process of its own that a run's supervisor starts,
//! hears and can end. What is asked for comes on standard input, since an index's address may hold a password; what becomes of
//! it goes to standard output, an object a line.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use gpu_wheels::fetch::{Progress, Source};
use gpu_wheels::index::Index;
use gpu_wheels::libtorch::{Build, Purpose, install};
use gpu_wheels::web::Web;
use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::gpu_driver;

/// How often it is told how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Wanted {
    Cpu,
    Cuda,
}

/// The build, and the index that it is had from where the harness names one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) libtorch: Wanted,
    pub(crate) index: Option<String>,
}

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Said {
    Progress { bytes: u64, total: u64, rate: u64 },
    Ready { place: String, bytes: u64 },
    Failed(String),
}

impl Wanted {
    pub(crate) fn build(self) -> Build {
        match self {
            Self::Cpu => Build::Cpu,
            Self::Cuda => Build::Cuda,
        }
    }

    /// What cases need of which some use a GPU: CUDA where a driver answers that can do with it.
    pub(crate) fn on_this_node(some_use_a_gpu: bool) -> Self {
        if some_use_a_gpu
            && gpu_driver::major().is_some_and(|driver| driver >= gpu_wheels::libtorch::OLDEST_DRIVER)
        {
            Self::Cuda
        } else {
            Self::Cpu
        }
    }
}

impl Order {
    /// What a person reads.
    pub(crate) fn what(&self) -> String {
        format!("libtorch {}", self.libtorch.build().version())
    }
}

/// Carries out the order on standard input. That it failed is told like all else.
pub(crate) fn command(folder: &Folder) -> Result<(), Box<dyn Error>> {
    let mut order = String::new();
    io::stdin().lock().read_to_string(&mut order)?;
    let order: Order = serde_json::from_str(&order)?;
    let said = match carry_out(&order, folder) {
        Ok(ready) => ready,
        Err(error) => Said::Failed(crate::chain(error.as_ref())),
    };
    Ok(say(&said)?)
}

fn carry_out(order: &Order, folder: &Folder) -> Result<Said, Box<dyn Error>> {
    let index = order.index.as_deref().map_or_else(Index::configured, Index::at)?;
    let place = order.libtorch.build().place(folder.path());
    let source = Source { web: Web::connect(), index };
    let (begun, mut told, mut fetched) = (Instant::now(), None::<Instant>, 0);
    say(&Said::Progress { bytes: 0, total: 0, rate: 0 })?;
    install(order.libtorch.build(), Purpose::Run, &place, &source, &mut |progress| {
        fetched = progress.bytes.saturating_sub(progress.found);
        if told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            told = Some(Instant::now());
            // Whoever does not listen any more ends this process.
            let _ = say(&told_of(progress, fetched, begun.elapsed()));
        }
    })?;
    Ok(Said::Ready { place: place.display().to_string(), bytes: fetched })
}

fn told_of(progress: Progress, fetched: u64, took: Duration) -> Said {
    let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
    let Progress { bytes, total, .. } = progress;
    Said::Progress { bytes, total, rate: fetched.saturating_mul(1000) / milliseconds }
}

fn say(said: &Said) -> io::Result<()> {
    let line = serde_json::to_string(said)? + "\n";
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush())
}
