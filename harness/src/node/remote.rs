//! The agent on a node: how its commands are spelled, how it gets there, and how files get into its store.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use gpu_suites::exit::Exit;
use gpu_suites::id::RunId;
use gpu_suites::wire::{Refusal, Reply};

use crate::files::announced::Announced;
use crate::files::archive::{self, Changed, ChunkReader, ChunkWriter};
use crate::files::artifacts;
use crate::files::binaries::{Program, ProgramError};
use crate::files::content::Blob;
use crate::here::Env;
use crate::node::answer::{self, AnswerError, Bounds};
use crate::node::{Endpoint, Node};
use crate::text::{Explain, chain};
use crate::transport::{Command, Exec, ExitStatus, Transport, TransportError, UploadError, quote};

/// What the shell on the node ends with when the agent is not in its store. No agent ends so.
const NO_AGENT: i32 = 91;

/// What tells CUDA which GPUs there are.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

#[derive(Debug)]
pub struct Remote {
    node: Node,
    agent: Blob,
    transport: Transport,
    /// The one GPU that what runs there may see, where it is to see but one.
    gpu: Option<u32>,
    /// Says where the programs for the node are.
    env: Env,
}

#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The node cannot be reached, or not any more.
    #[error("failed to {}", chain(.0))]
    Transport(TransportError),
    #[error("failed to {}", chain(.0))]
    Upload(UploadError),
    #[error("{node} has not answered for {} s{}", silence.as_secs(), instead(said))]
    Silent {
        node: String,
        silence: Duration,
        /// What it said that is no answer.
        said: String,
    },
    /// The node did not do in time what it was asked.
    #[error("{node} did not {doing} within {}", gpu_suites::unit::Span(*.limit))]
    Slow { node: String, doing: &'static str, limit: Duration },
    /// The agent could not be put into the node's store.
    #[error("failed to put gpu-agent on {node}: {said}")]
    Bootstrap { node: String, said: String, hint: &'static str },
    #[error("{node} refuses")]
    Refused {
        node: String,
        #[source]
        refusal: Refusal,
    },
    /// The agent ended without doing what it was asked.
    #[error("gpu-agent {verb} on {node} ended with {status}: {said}")]
    Ended { verb: &'static str, node: String, status: ExitStatus, said: String },
    /// The agent answers what no agent does, or nothing.
    #[error("gpu-agent {verb} on {node} does not answer as an agent does: {problem}")]
    Answer { verb: &'static str, node: String, problem: String },
    /// The artifacts that came are not those that were announced.
    #[error("the artifacts of {node} are not taken in: {problem}")]
    Artifacts { node: String, problem: String },
    /// What the agent said of the node cannot be understood.
    #[error("what gpu-agent says of {node} cannot be read: {cause}")]
    Facts { node: String, cause: String },
    /// A local file could not be read while it was sent, or written while it was fetched.
    #[error("failed to {doing}")]
    File { doing: String, source: io::Error },
}

impl From<TransportError> for RemoteError {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

impl From<UploadError> for RemoteError {
    fn from(error: UploadError) -> Self {
        Self::Upload(error)
    }
}

impl Explain for RemoteError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Transport(error) | Self::Upload(UploadError::Transport(error)) => error.hint(),
            Self::Bootstrap { hint, .. } => Some((*hint).to_owned()),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        Exit::Infrastructure
    }
}

impl RemoteError {
    /// Whether a new connection may do better.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(error) | Self::Upload(UploadError::Transport(error)) => error.is_transient(),
            Self::Silent { .. } => true,
            _ => false,
        }
    }
}

impl Remote {
    /// The agent on `node`, reached through `transport`.
    pub fn new(node: Node, transport: Transport, env: &Env) -> Result<Self, RemoteError> {
        Ok(Self { node, agent: Program::Agent.find(env)?, transport, gpu: None, env: env.clone() })
    }

    /// The worker's program, where it is to be had.
    pub fn worker(&self) -> Result<Blob, ProgramError> {
        Program::Worker.find(&self.env)
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn agent_bytes(&self) -> u64 {
        self.agent.bytes
    }

    /// Has the node do something that may take so long.
    pub async fn within<T>(
        &self,
        limit: Duration,
        doing: &'static str,
        work: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let slow = |_| RemoteError::Slow { node: self.node.name.to_string(), doing, limit };
        tokio::time::timeout(limit, work).await.map_err(slow).flatten()
    }

    /// The same agent, over a connection of its own.
    pub async fn another(&self) -> Result<Self, RemoteError> {
        let transport = self.transport.another().await?;
        let Self { node, agent, env, .. } = self;
        Ok(Self { node: node.clone(), agent: agent.clone(), transport, gpu: None, env: env.clone() })
    }

    /// From here on what it runs sees this GPU alone, where one is named.
    pub fn see_only(&mut self, gpu: Option<u32>) {
        self.gpu = gpu;
    }

    /// A new connection in place of a broken one.
    pub async fn reconnect(&mut self) -> Result<(), RemoteError> {
        Ok(self.transport.reconnect().await?)
    }

    /// Starts an agent command there.
    pub async fn start(&self, arguments: &[&str]) -> Result<Exec, RemoteError> {
        let command = match &self.node.place {
            Endpoint::Local => self.local(arguments),
            Endpoint::Ssh { .. } => Command::shell(self.script(&format!(
                "if [ -x \"$A\" ]; then exec \"$A\" {}; fi; exit {NO_AGENT}",
                arguments.join(" ")
            ))),
        };
        Ok(self.transport.exec(command).await?)
    }

    fn local(&self, arguments: &[&str]) -> Command {
        let program = self.agent.path.to_string_lossy().into_owned();
        let argv = std::iter::once(program).chain(arguments.iter().map(ToString::to_string)).collect();
        let cache = self
            .node
            .cache
            .as_ref()
            .map(|cache| ("GPU_HARNESS_CACHE".to_owned(), cache.display().to_string()));
        let gpu = self.gpu.map(|gpu| (VISIBLE.to_owned(), gpu.to_string()));
        Command::argv(argv, cache.into_iter().chain(gpu).collect())
    }

    /// `body` for the node's POSIX shell, with `$C` the agent's folder and `$A` the agent's file.
    fn script(&self, body: &str) -> String {
        let folder = self.node.cache.as_ref().map_or(String::new(), |cache| {
            format!("GPU_HARNESS_CACHE={}; export GPU_HARNESS_CACHE; ", quote(&cache.display().to_string()))
        });
        let gpu = self.gpu.map_or(String::new(), |gpu| format!("{VISIBLE}={gpu}; export {VISIBLE}; "));
        let sha256 = &self.agent.sha256;
        format!(
            "{folder}{gpu}C=\"${{GPU_HARNESS_CACHE:-${{XDG_CACHE_HOME:-$HOME/.cache}}/gpu-harness}}\"; \
             A=\"$C/store/{sha256}\"; {body}"
        )
    }

    /// Whether a command that ended like this did not find the agent.
    pub fn lacks_agent(status: &ExitStatus) -> bool {
        *status == ExitStatus::Code(NO_AGENT)
    }

    /// Puts the agent into the node's store, verified by its sha256 there.
    pub async fn bootstrap(&self) -> Result<(), RemoteError> {
        let body = format!(
            "umask 077; T=\"$C/store/.tmp-agent-$$\"; mkdir -p \"$C/store\" || exit 92; \
             gzip -dc > \"$T\" || {{ rm -f \"$T\"; exit 93; }}; \
             case \"$(sha256sum < \"$T\")\" in {}*) ;; *) rm -f \"$T\"; exit 94;; esac; \
             chmod 0555 \"$T\" && mv -f \"$T\" \"$A\"",
            self.agent.sha256
        );
        let packed = archive::gzip(&self.agent.path).map_err(|source| RemoteError::File {
            doing: format!("read {}", self.agent.path.display()),
            source,
        })?;
        let mut exec = self.transport.exec(Command::shell(self.script(&body))).await?;
        for chunk in packed.chunks(256 << 10) {
            if exec.stdin.write(chunk.to_vec()).await.is_err() {
                break;
            }
        }
        exec.stdin.close();
        let status = exec.wait().await?;
        let hint = match status {
            ExitStatus::Code(0) => return Ok(()),
            ExitStatus::Code(92 | 93) => {
                "the folder must be writable and have room: name another with `cache:` for this node in gpu-harness.yaml"
            }
            ExitStatus::Code(94) => "the program was damaged on its way; run again",
            _ => "the node needs a POSIX shell with gzip and sha256sum",
        };
        Err(RemoteError::Bootstrap { node: self.node.name.to_string(), said: exec.stderr_text(), hint })
    }

    /// Sends blobs to the node's store as one zstd tar stream; the agent verifies each. Gives those that others have written
    /// meanwhile.
    pub(crate) async fn send(&self, blobs: Vec<Blob>) -> Result<Vec<Changed>, RemoteError> {
        let bytes: u64 = blobs.iter().map(|blob| blob.bytes).sum();
        let far = !matches!(self.node.place, Endpoint::Local);
        if far && bytes >= SIDE_BY_SIDE {
            self.send_side_by_side(blobs).await
        } else {
            self.send_stream(blobs).await
        }
    }

    /// Little: packed, sent and unpacked at once, in one channel.
    async fn send_stream(&self, blobs: Vec<Blob>) -> Result<Vec<Changed>, RemoteError> {
        let mut exec = self.start(&["receive"]).await?;
        let (chunks, mut packed) = tokio::sync::mpsc::channel(4);
        let pack = tokio::task::spawn_blocking(move || archive::pack(&blobs, ChunkWriter(chunks)));
        while let Some(chunk) = packed.recv().await {
            if exec.stdin.write(chunk).await.is_err() {
                break;
            }
        }
        drop(packed);
        exec.stdin.close();
        let received = self.received(exec).await;
        let packing = pack.await.map_err(io::Error::other).flatten();
        match (received, packing) {
            // Where the far side is to blame, packing ended early too; its own word says more.
            (Err(RemoteError::Ended { .. }), Err(source)) => Err(packing_failed(source)),
            (Err(error), _) => Err(error),
            (Ok(()), packed) => packed.map_err(packing_failed),
        }
    }

    /// Much: packed into a file here, which goes over several channels at once, since a round trip lets only so much
    /// of one be on the way.
    async fn send_side_by_side(&self, blobs: Vec<Blob>) -> Result<Vec<Changed>, RemoteError> {
        let pack = move || {
            let file = tempfile::NamedTempFile::new()?;
            let changed = archive::pack(&blobs, file.as_file())?;
            io::Result::Ok((file, changed))
        };
        let packed = tokio::task::spawn_blocking(pack).await.map_err(io::Error::other).flatten();
        let (packed, changed) = packed.map_err(packing_failed)?;
        let there = self.temporary_file().await?;
        self.transport.upload(packed.path(), &there).await?;
        let there = quote(&there);
        let line = format!("\"$A\" receive < {there}; S=$?; rm -f {there}; exit $S");
        self.received(self.transport.exec(Command::shell(self.script(&line))).await?).await?;
        Ok(changed)
    }

    /// A new empty file beside the node's store.
    async fn temporary_file(&self) -> Result<String, RemoteError> {
        let line = "umask 077; exec mktemp \"$C/store/.tmp-upload-XXXXXX\"";
        let mut exec = self.transport.exec(Command::shell(self.script(line))).await?;
        let (said, status) = self.answer("mktemp", &mut exec, NAME).await?;
        let path = String::from_utf8_lossy(&said).trim_end_matches('\n').to_owned();
        if status.success() && !path.is_empty() { Ok(path) } else { Err(self.ended("mktemp", status, &exec)) }
    }

    async fn received(&self, mut exec: Exec) -> Result<(), RemoteError> {
        let (said, status) = self.answer("receive", &mut exec, RECEIVED).await?;
        match serde_json::from_slice(&said) {
            Ok(Reply::Received { .. }) => Ok(()),
            Ok(Reply::Refused { error }) => {
                Err(RemoteError::Refused { node: self.node.name.to_string(), refusal: error })
            }
            _ => Err(self.ended("receive", status, &exec)),
        }
    }

    /// All that a command of the agent's answers, within bounds.
    pub(crate) async fn answer(
        &self,
        verb: &'static str,
        exec: &mut Exec,
        bounds: Bounds,
    ) -> Result<(Vec<u8>, ExitStatus), RemoteError> {
        answer::whole(exec, bounds).await.map_err(|error| match error {
            AnswerError::Transport(error) => error.into(),
            error => {
                RemoteError::Answer { verb, node: self.node.name.to_string(), problem: error.to_string() }
            }
        })
    }

    /// Brings the artifacts that a run's node has announced into `folder`, one folder a case.
    pub(crate) async fn fetch(
        &self,
        run: &RunId,
        announced: Announced,
        folder: PathBuf,
    ) -> Result<(), RemoteError> {
        let mut exec = self.start(&["fetch", "--run", run.as_str()]).await?;
        exec.stdin.close();
        let (chunks, received) = tokio::sync::mpsc::channel::<Vec<u8>>(4);
        let unpack = tokio::task::spawn_blocking(move || {
            artifacts::unpack(ChunkReader::new(received), &announced, &folder)
        });
        let mut is_whole = true;
        while let Some(chunk) = exec.stdout.recv().await {
            if chunks.send(chunk?).await.is_err() {
                is_whole = false;
                break;
            }
        }
        drop(chunks);
        let done = unpack.await.map_err(io::Error::other).flatten();
        // One whose stream was refused may go on for ever; dropped, it is ended.
        if is_whole {
            let (_, status) = self.answer("fetch", &mut exec, LAST_WORDS).await?;
            if status != ExitStatus::Code(0) {
                return Err(self.ended("fetch", status, &exec));
            }
        }
        done.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other => {
                RemoteError::Artifacts { node: self.node.name.to_string(), problem: error.to_string() }
            }
            _ => RemoteError::File { doing: "unpack the artifacts".into(), source: error },
        })
    }

    /// Arms the machine's own end, in place of an earlier one of the same kind. For machines that are ours to end.
    pub async fn shut_down_in(&self, minutes: u64) -> Result<(), RemoteError> {
        self.within(ONE, "arm its end", self.arm(minutes)).await
    }

    async fn arm(&self, minutes: u64) -> Result<(), RemoteError> {
        let line =
            format!("if [ \"$(id -u)\" = 0 ]; then S=; else S='sudo -n'; fi; exec $S shutdown -P +{minutes}");
        let mut exec = self.transport.exec(Command::shell(self.script(&line))).await?;
        exec.stdin.close();
        let status = exec.wait().await?;
        if status.success() { Ok(()) } else { Err(self.ended("shutdown", status, &exec)) }
    }

    /// The error for an agent command that ended as it should not.
    pub fn ended(&self, verb: &'static str, status: ExitStatus, exec: &Exec) -> RemoteError {
        RemoteError::Ended { verb, node: self.node.name.to_string(), status, said: exec.stderr_text() }
    }
}

/// How long one command of the system may take.
const ONE: Duration = Duration::from_secs(20);

/// From this many bytes on, several channels are worth their round trips.
const SIDE_BY_SIDE: u64 = 4 << 20;

const NAME: Bounds = Bounds { bytes: 64 << 10, within: Duration::from_secs(60) };
/// What came is unpacked and safe on the node's disk.
const RECEIVED: Bounds = Bounds { bytes: 64 << 10, within: Duration::from_secs(600) };
/// The end of a command that has said all.
const LAST_WORDS: Bounds = Bounds { bytes: 0, within: Duration::from_secs(30) };

/// What a node said in place of an answer, where it said anything.
fn instead(said: &str) -> String {
    let said = crate::text::clean::text(said.trim());
    if said.is_empty() { String::new() } else { format!("; what it said instead: {said}") }
}

fn packing_failed(source: io::Error) -> RemoteError {
    RemoteError::File { doing: "read what is to be sent".into(), source }
}
