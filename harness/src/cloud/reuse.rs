//! Runs of the same job on one machine take turns at one node: the one that ends hands it on to the one that waits.
//!
//! Whose turn it is is told by a file lock, which the kernel takes back when its holder dies, however that was. A second
//! lock, which all that wait share, tells the holder that somebody does. What the next run needs to know of the node
//! lies in a file for as long as the node is between two runs, and no longer: who takes the node over removes it. So a
//! file tells of a node that no run has, and a run that dies leaves a free turn and no file.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use gpu_suites::event::ResourceKind;
use gpu_suites::id::{NodeName, RunId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize as _, Zeroizing};

use super::CloudNode;
use super::provider::TypeGpus;

/// Where the jobs' folders lie in the cache folder.
const FOLDER: &str = "reuse";
/// Held by the run whose turn it is.
const TURN: &str = "turn";
/// Shared by the runs that wait.
const WAITING: &str = "waiting";
/// The node between two runs.
const NODE: &str = "node.json";
/// As much of a sha256 as tells jobs apart.
const NAME_BYTES: usize = 16;

/// The runs of one job on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    folder: PathBuf,
}

/// The right to have the job's node, for as long as the value lives.
#[derive(Debug)]
pub struct Turn {
    folder: PathBuf,
    _lock: File,
}

/// A run's place among those that wait, for as long as the value lives.
#[derive(Debug)]
pub struct QueuePlace {
    _lock: File,
}

/// A node between two runs: all that the next one needs to use it and to give it back.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftNode {
    /// The run that made it, which its tags name.
    pub run: RunId,
    pub region: String,
    pub instance: String,
    /// What to log in with, as OpenSSH writes a private key.
    pub client_key: String,
    /// What it proves itself with: `ssh-ed25519 AAAA…`.
    pub host_key: String,
    pub expires_at: Timestamp,
    pub usd_per_hour: Option<f64>,
    /// The GPUs of its type.
    pub gpus: Option<TypeGpus>,
    /// Everything that was made for it and has to go with it.
    pub resources: Vec<(ResourceKind, String)>,
}

impl Drop for LeftNode {
    fn drop(&mut self) {
        self.client_key.zeroize();
    }
}

impl std::fmt::Debug for LeftNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeftNode").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Job {
    /// The job of the project in `root` on the node of that name: other settings, and it is another job. How long a
    /// run waits and what it may cost is its own affair.
    pub fn new(cache: &Path, root: &Path, node: &NodeName, settings: &CloudNode) -> Self {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let mut settings = settings.clone();
        settings.wait = std::time::Duration::ZERO;
        settings.max_cost = None;
        let version = env!("CARGO_PKG_VERSION");
        let told = format!("{version}\n{}\n{node}\n{settings:?}", root.display());
        let name = hex::encode(&Sha256::digest(told.as_bytes())[..NAME_BYTES]);
        Self { folder: cache.join(FOLDER).join(name) }
    }

    /// The turn, where nobody has it.
    pub fn turn(&self) -> io::Result<Option<Turn>> {
        let lock = open(&self.folder, TURN)?;
        Ok(try_lock(&lock)?.then(|| Turn { folder: self.folder.clone(), _lock: lock }))
    }

    /// A place among those that wait: whoever has the turn sees it.
    pub fn wait(&self) -> io::Result<QueuePlace> {
        let lock = open(&self.folder, WAITING)?;
        // Nobody holds it alone for longer than a look takes.
        lock.lock_shared()?;
        Ok(QueuePlace { _lock: lock })
    }
}

impl Turn {
    /// Whether a run waits for its turn.
    pub fn is_awaited(&self) -> io::Result<bool> {
        Ok(!try_lock(&open(&self.folder, WAITING)?)?)
    }

    /// The node that the run before has left.
    pub fn node(&self) -> io::Result<Option<LeftNode>> {
        read(&self.folder.join(NODE))
    }

    /// From now on no run finds a node here.
    pub fn forget(&self) -> io::Result<()> {
        remove(&self.folder.join(NODE))
    }

    /// Leaves the node to the next run. The file is there whole, or not at all; only this user reads it.
    pub fn leave(&self, node: &LeftNode) -> io::Result<()> {
        let text = Zeroizing::new(serde_json::to_vec(node)?);
        let mut new = tempfile::NamedTempFile::new_in(&self.folder)?;
        new.write_all(&text)?;
        new.as_file().sync_all()?;
        new.persist(self.folder.join(NODE))?;
        Ok(())
    }
}

/// A node that was left to a next run: where it is told of, its region and its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    file: PathBuf,
    pub region: String,
    pub instance: String,
    pub expires_at: Timestamp,
}

/// The nodes of all jobs that are between two runs. A file that is no such thing is passed over.
pub fn left(cache: &Path) -> Vec<Left> {
    let jobs = fs::read_dir(cache.join(FOLDER)).into_iter().flatten().flatten();
    let files = jobs.map(|job| job.path().join(NODE));
    let nodes = files.filter_map(|file| {
        let node = read(&file).ok().flatten()?;
        let (region, instance, expires_at) = (node.region.clone(), node.instance.clone(), node.expires_at);
        Some(Left { file, region, instance, expires_at })
    });
    nodes.collect()
}

impl Left {
    /// Removes the file, where it still tells of this instance.
    pub fn forget(&self) -> io::Result<()> {
        match read(&self.file)? {
            Some(node) if node.instance == self.instance => remove(&self.file),
            _ => Ok(()),
        }
    }
}

fn open(folder: &Path, name: &str) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.join(name))
}

fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read(file: &Path) -> io::Result<Option<LeftNode>> {
    match fs::read(file).map(Zeroizing::new) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn settings(more: &str) -> CloudNode {
        CloudNode::Ec2(crate::config::ec2::settings(more).unwrap())
    }

    fn job(cache: &Path, root: &str, node: &str, more: &str) -> Job {
        Job::new(cache, Path::new(root), &NodeName(node.into()), &settings(more))
    }

    fn node() -> LeftNode {
        LeftNode {
            run: RunId("r-1".into()),
            region: "us-east-1".into(),
            instance: "i-1".into(),
            client_key: "SECRET".into(),
            host_key: "ssh-ed25519 AAAA".into(),
            expires_at: "2026-11-23T10:00:00Z".parse().unwrap(),
            usd_per_hour: Some(0.5),
            gpus: Some(TypeGpus { count: 1, name: "L4".into() }),
            resources: vec![(ResourceKind::INSTANCE, "i-1".into())],
        }
    }

    #[test]
    fn a_job_is_a_project_a_node_and_its_settings_and_not_what_a_run_may_wait_or_cost() {
        let cache = Path::new("/cache");
        let one = job(cache, "/a", "cloud", "reuse: true");
        assert_eq!(one, job(cache, "/a", "cloud", "reuse: true\nwait: 3m\nmax-cost: 2"));
        for other in [
            job(cache, "/b", "cloud", "reuse: true"),
            job(cache, "/a", "other", "reuse: true"),
            job(cache, "/a", "cloud", "reuse: true\ntypes: [g6.xlarge]"),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn one_run_at_a_time_has_the_turn_and_sees_that_another_waits() {
        let cache = tempfile::tempdir().unwrap();
        let (job, other) =
            (job(cache.path(), "/a", "cloud", ""), job(cache.path(), "/a", "cloud", "reuse: true"));
        let turn = job.turn().unwrap().unwrap();
        assert!(job.turn().unwrap().is_none() && other.turn().unwrap().is_some());
        assert!(!turn.is_awaited().unwrap());
        let places = (job.wait().unwrap(), job.wait().unwrap());
        drop(places.0);
        assert!(turn.is_awaited().unwrap());
        drop(places.1);
        assert!(!turn.is_awaited().unwrap());
        drop(turn);
        assert!(job.turn().unwrap().is_some());
    }

    #[test]
    fn a_node_is_left_where_only_this_user_reads_it_until_it_is_taken() {
        let cache = tempfile::tempdir().unwrap();
        let job = job(cache.path(), "/a", "cloud", "");
        let turn = job.turn().unwrap().unwrap();
        assert_eq!(turn.node().unwrap(), None);
        turn.leave(&node()).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&job.folder), mode(&job.folder.join(NODE))), (0o700, 0o600));
        drop(turn);
        let turn = job.turn().unwrap().unwrap();
        assert_eq!(turn.node().unwrap(), Some(node()));
        assert!(!format!("{:?}", node()).contains("SECRET"));
        turn.forget().unwrap();
        turn.forget().unwrap();
        assert_eq!(turn.node().unwrap(), None);
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten_unless_another_was_left_meanwhile() {
        let cache = tempfile::tempdir().unwrap();
        let turn = job(cache.path(), "/a", "cloud", "").turn().unwrap().unwrap();
        turn.leave(&node()).unwrap();
        let [gone] = left(cache.path()).try_into().unwrap();
        let mut other = node();
        other.instance = "i-2".into();
        turn.leave(&other).unwrap();
        gone.forget().unwrap();
        assert_eq!(turn.node().unwrap(), Some(other));
        left(cache.path())[0].forget().unwrap();
        assert!(left(cache.path()).is_empty());
    }
}
