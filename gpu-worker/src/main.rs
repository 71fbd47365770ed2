//! gpu-worker runs one case in a process of its own and writes what it measures to `$GPU_HARNESS_METRICS`.
//!
//! It judges nothing: whether the numbers are good is for the checks in gpu-suites, which the supervisor runs. The
//! working folder holds the case's inputs under the names that the case gives them.

mod allocator;
mod cuda;
mod data;
mod device;
mod emit;
mod error;
mod model;
mod openmp;
mod optim;
mod overlay;
mod pipeline;
mod serve_s3;
mod shim;
mod throughput;
mod train;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use gpu_suites::plan::WorkerCase;
use gpu_suites::spec::Work;

use crate::emit::Emitter;
use crate::error::{Result, WorkerError};

/// The case could not be run (`EX_SOFTWARE` of sysexits.h); `@error` says why.
const CANNOT_GO_ON: u8 = 70;
/// The command line makes no sense (`EX_USAGE`).
const USAGE: u8 = 64;

const HELP: &str = "\
Runs one case of a gpu-harness suite. The supervisor starts it; by hand it is of use for a look.

usage: gpu-worker CASE_JSON                     run the case in the current folder
       gpu-worker --bench-steps N CASE_JSON     print seconds per step as JSON
       gpu-worker serve-s3 FOLDER [--port N]    serve the folders below FOLDER as buckets, until standard input ends
       gpu-worker --selfcheck                   print what libtorch and CUDA can do here as JSON

Metrics go to the file that $GPU_HARNESS_METRICS names, else to standard output.";

fn main() -> ExitCode {
    // SAFETY: no other thread runs yet. cuBLAS is deterministic with this workspace; it reads it when it starts.
    unsafe { std::env::set_var("CUBLAS_WORKSPACE_CONFIG", ":4096:8") };
    if let Err(error) = openmp::spin_briefly() {
        tell(&format!("gpu-worker: goes on without a limit to spinning threads: {error}"));
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    match texts.as_slice() {
        ["--selfcheck"] => said(&device::selfcheck().to_string()),
        ["--help" | "-h"] => said(HELP),
        ["--bench-steps", steps, _] => match steps.parse() {
            Ok(steps) => match bench(Path::new(&arguments[2]), steps) {
                Ok(figures) => said(&figures),
                Err(error) => ended(Err(error)),
            },
            Err(_) => misused(),
        },
        ["serve-s3", _] => serve_s3::run(Path::new(&arguments[1]), 0),
        ["serve-s3", _, "--port", port] => match port.parse() {
            Ok(port) => serve_s3::run(Path::new(&arguments[1]), port),
            Err(_) => misused(),
        },
        [path] if !path.starts_with('-') => ended(run(Path::new(&arguments[0]))),
        _ => misused(),
    }
}

fn misused() -> ExitCode {
    tell(HELP);
    ExitCode::from(USAGE)
}

fn run(path: &Path) -> Result<()> {
    let mut emitter = Emitter::open()?;
    let outcome = read(path).and_then(|case| {
        let ran = match &case.spec.work {
            Work::Train(_) => train::run(&case, &mut emitter),
            Work::Throughput(throughput) => throughput::run(&case, throughput, &mut emitter),
            Work::Pipeline(wanted) => pipeline::run(&case, wanted, &mut emitter),
            Work::Canary(canary) => throughput::canary(&case, canary, &mut emitter),
            // What the agent starts itself.
            Work::Command(_) => Err(WorkerError::NothingToDo { id: case.id.to_string() }),
        };
        // What libtorch throws while it runs the user's own model is that model's, backwards too.
        ran.map_err(|error| if case.spec.is_scripted() { error.of_model() } else { error })
    });
    if let Err(error) = &outcome {
        emitter.error(error)?;
    }
    outcome
}

fn bench(path: &Path, steps: u32) -> Result<String> {
    Ok(train::bench(&read(path)?, steps, &mut Emitter::to_nowhere())?.to_string())
}

/// Prints a line to standard output; what could not be said is no success.
fn said(line: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(format!("{line}\n").as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(CANNOT_GO_ON),
    }
}

/// Prints a line on standard error; where that cannot be written, there is nobody to tell.
fn tell(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

fn read(path: &Path) -> Result<WorkerCase> {
    let wrong = |cause: String| WorkerError::Case { path: path.to_owned(), cause };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

fn ended(outcome: Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("gpu-worker: {error}\nhint: {}", error.hint()));
            ExitCode::from(CANNOT_GO_ON)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, MutexGuard, PoisonError};

    use gpu_suites::spec::{Builtin, Task};

    /// libtorch has one random generator for the whole process: tests that draw from it wait for each other.
    pub(crate) fn random_generator() -> MutexGuard<'static, ()> {
        static GENERATOR: Mutex<()> = Mutex::new(());
        GENERATOR.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[test]
    fn the_suite_that_comes_along_has_cases_that_this_worker_can_train() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../suites/overfit-one-image.yaml");
        let suite = gpu_suites::load::load(&path, std::path::Path::new("/")).unwrap().suite;
        let trains: Vec<_> = suite.cases.iter().filter_map(|case| case.work.train()).collect();
        assert!(trains.len() >= 4, "{}", trains.len());
        for train in trains {
            match (train.model.builtin, train.data.task) {
                (Some(Builtin::Unet), task) => {
                    assert!(task == Task::Segment && train.data.size.get() % 8 == 0);
                }
                (Some(Builtin::Resnet18 | Builtin::Resnet50), task) => assert!(task == Task::Classify),
                (None, _) => assert!(train.model.torchscript.is_some()),
            }
        }
    }
}
