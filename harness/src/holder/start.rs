//! How a holder comes to be: started once, by whoever needs it first, and outside of all that needs it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use gpu_suites::exit::Exit;

use super::PROGRAM;
use super::serve::Order;
use crate::here::Env;
use crate::text::Explain;

/// How long a holder may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it is looked for meanwhile.
const LOOK: Duration = Duration::from_millis(3);
/// What of its log is told where it does not.
const TOLD: u64 = 4 << 10;
/// Files of holders that are older than any node lives are removed.
const OLD: Duration = Duration::from_secs(8 * 24 * 3600);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "the program gpu-harness, which holds the node, is neither beside the tests nor in PATH; \
         install it with `cargo install --path harness`, or name it in {PROGRAM}"
    )]
    NoProgram,
    #[error("failed to write {}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("failed to start {}", path.display())]
    Spawn { path: PathBuf, source: io::Error },
    #[error("the node holder ended at once: {said}")]
    Ended {
        said: String,
        /// What it said of itself by how it ended.
        exit: Exit,
    },
    #[error("the node holder does not answer after {} s; its log is {}", PATIENCE.as_secs(), log.display())]
    Silent { log: PathBuf },
}

impl Explain for StartError {
    fn exit(&self) -> Exit {
        match self {
            Self::NoProgram => Exit::Usage,
            Self::Ended { exit, .. } => *exit,
            _ => Exit::Infrastructure,
        }
    }
}

/// A connection to the holder of that order, which is started where there is none.
pub(super) fn connect(order: &Order, env: &Env) -> Result<UnixStream, StartError> {
    let socket = &order.address.socket;
    if let Ok(stream) = UnixStream::connect(socket) {
        return Ok(stream);
    }
    let lock = order.address.lock();
    let folder = lock.parent().unwrap_or(Path::new("/"));
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StartError::File { path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed(folder))?;
    let held = private(&lock).map_err(failed(&lock))?;
    // The kernel takes the lock back from one that was killed while it started a holder.
    held.lock().map_err(failed(&lock))?;
    if let Ok(stream) = UnixStream::connect(socket) {
        return Ok(stream);
    }
    sweep(folder);
    match fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(socket)(error)),
        _ => {}
    }
    start(order, env)
}

fn start(order: &Order, env: &Env) -> Result<UnixStream, StartError> {
    let path = program(env).ok_or(StartError::NoProgram)?;
    let log = order.address.log();
    let mut said = private(&log).map_err(|source| StartError::File { path: log.clone(), source })?;
    let spawn_failed = |source| StartError::Spawn { path: path.clone(), source };
    let stream = |file: &File| file.try_clone().map(Stdio::from).map_err(spawn_failed);
    let mut command = Command::new(&path);
    command.arg("hold").arg("--socket").arg(&order.address.socket);
    command.arg("--owner").arg(order.owner.to_string()).arg("--project").arg(&order.project);
    if let Some(node) = &order.node {
        command.arg("--node").arg(node);
    }
    if let Some(idle) = order.idle {
        command.arg("--idle").arg(format!("{}ms", idle.as_millis()));
    }
    if order.tells {
        command.arg("--tell-ci");
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(stream(&said)?).stderr(stream(&said)?);
    // SAFETY: setsid is async-signal-safe and takes no lock.
    unsafe {
        command.pre_exec(|| {
            // A signal to the tests' group, or the end of their terminal, is not for the holder.
            rustix::process::setsid()?;
            Ok(())
        });
    }
    let mut child = command.spawn().map_err(spawn_failed)?;
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if let Ok(stream) = UnixStream::connect(&order.address.socket) {
            return Ok(stream);
        }
        if let Ok(Some(ended)) = child.try_wait() {
            let is_usage = ended.code() == Some(Exit::Usage.code().into());
            let exit = if is_usage { Exit::Usage } else { Exit::Infrastructure };
            return Err(StartError::Ended { said: tail(&mut said), exit });
        }
        std::thread::sleep(LOOK);
    }
    Err(StartError::Silent { log })
}

/// A file that only this user reads, empty unless it is locked by another.
fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn tail(log: &mut File) -> String {
    let length = log.metadata().map_or(0, |metadata| metadata.len());
    let mut text = Vec::new();
    let _ = log.seek(SeekFrom::Start(length.saturating_sub(TOLD)));
    let _ = log.read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let text = text.trim().strip_prefix("error: ").unwrap_or(text.trim()).to_owned();
    if text.is_empty() { "it said nothing".to_owned() } else { text }
}

fn sweep(folder: &Path) {
    let now = SystemTime::now();
    for file in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours =
            file.path().extension().is_some_and(|end| ["lock", "log", "sock"].iter().any(|one| end == *one));
        let age = file.metadata().and_then(|metadata| metadata.modified());
        if is_ours && age.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > OLD)) {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// The program `gpu-harness`: this one, or the variable's, or the one beside the tests, or the one in `PATH`.
fn program(env: &Env) -> Option<PathBuf> {
    const NAME: &str = "gpu-harness";
    if let Some(path) = env.get(PROGRAM) {
        return Some(path.into());
    }
    let own = std::env::current_exe().ok()?;
    // Tests lie in target/PROFILE/deps.
    let beside = own.ancestors().skip(1).take(2).map(|folder| folder.join(NAME));
    let path = env.get("PATH").unwrap_or_default();
    let in_path = Vec::from_iter(std::env::split_paths(&path).map(|folder| folder.join(NAME)));
    let own_name = own.file_name().is_some_and(|name| name == NAME).then(|| own.clone());
    own_name.into_iter().chain(beside).chain(in_path).find(|path| path.is_file())
}
