//! What happened, in order: the events that every report is folded from. See docs/events.md.
//!
//! A [`Record`] is one line of the agent's journal and of the harness's `events.ndjson`. Reading is done in two
//! passes over the line (head, then the kind's own fields): it costs no buffering, and a kind that this version
//! does not know is kept as it came.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::gpu_watch::GpuSeen;
use crate::id::{CaseId, NodeName, RunId, Sha256};
use crate::metrics::Value;
use crate::outcome::Outcome;
use crate::regression::answers::Changed;
use crate::regression::{self, Direction, Standing};
use crate::spec::CheckName;

/// An event with its place in the order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Its number: gapless from 0 in each file.
    pub seq: u64,
    /// When it happened, by the clock of the machine that saw it.
    pub at: Timestamp,
    /// In `events.ndjson`, where it came from, unless the harness itself saw it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Origin>,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// The node's record that a harness's record repeats.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The node.
    pub node: NodeName,
    /// `seq` in the node's journal.
    pub seq: u64,
}

/// Why a line is not a record.
#[derive(Debug, thiserror::Error)]
#[error("not an event record: {cause}")]
pub struct RecordError {
    cause: serde_json::Error,
}

#[derive(Deserialize)]
struct Head<'a> {
    seq: u64,
    at: Timestamp,
    #[serde(default)]
    from: Option<Origin>,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
}

impl Record {
    /// Reads one line, without its newline.
    pub fn parse(line: &str) -> Result<Self, RecordError> {
        let wrong = |cause| RecordError { cause };
        let head: Head<'_> = serde_json::from_str(line).map_err(wrong)?;
        let mut event = Event::parse(&head.kind, line).map_err(wrong)?;
        if let Event::Unknown(fields) = &mut event {
            fields.retain(|name, _| !["seq", "at", "from"].contains(&name.as_str()));
        }
        Ok(Self { seq: head.seq, at: head.at, from: head.from, event })
    }

    /// The line, without a newline.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|cause| unreachable!("an event is plain data: {cause}"))
    }
}

macro_rules! events {
    ($( $(#[$doc:meta])* $kind:literal $name:ident { $( $(#[$fdoc:meta])* $field:ident : $type:ty ),* $(,)? } )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            pub struct $name { $( $(#[$fdoc])* pub $field: $type ),* }

            impl From<$name> for Event {
                fn from(event: $name) -> Self {
                    Self::$name(event)
                }
            }
        )*

        /// Everything that can happen. The variants' own types say what each field means.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind")]
        pub enum Event {
            $( $(#[$doc])* #[serde(rename = $kind)] $name($name), )*
            /// A kind of another version: kept with its `kind` and every other field, shown to nobody.
            #[serde(untagged)]
            Unknown(serde_json::Map<String, serde_json::Value>),
        }

        impl Event {
            /// Every kind that this version knows.
            pub const KINDS: &'static [&'static str] = &[$($kind),*];

            fn parse(kind: &str, line: &str) -> Result<Self, serde_json::Error> {
                match kind {
                    $( $kind => serde_json::from_str(line).map(Self::$name), )*
                    _ => serde_json::from_str(line).map(Self::Unknown),
                }
            }
        }
    };
}

events! {
    /// The first record of every `events.ndjson`: what was asked for.
    "run-created" RunCreated {
        /// The run.
        run: RunId,
        /// Version of the harness.
        harness: String,
        /// The node that was asked for.
        node: NodeName,
        /// The cases in their order.
        cases: Vec<CaseSummary>,
        /// The commit of the tree that holds the suites, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
    }

    /// An input file was read and hashed.
    "input" Input {
        /// The name that the suite gives it.
        name: String,
        /// Its content.
        sha256: Sha256,
        /// Its size in bytes.
        bytes: u64,
        /// Where it comes from, where that is known (`provenance.json` beside it).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
    }

    /// The node reached another state of its life.
    "node" Node {
        /// The node.
        node: NodeName,
        /// The state.
        state: NodeState,
        /// What a person wants to know about it.
        detail: String,
    }

    /// There is nothing to be had; the harness asks again later.
    "waiting" Waiting {
        /// The node.
        node: NodeName,
        /// What was asked for and what each answer was, e.g. `no spot capacity for g6.xlarge, g5.xlarge in 3 zones`.
        reason: String,
        /// Seconds until the next try.
        seconds: f64,
        /// When the harness gives up.
        until: Timestamp,
    }

    /// Something was made in the cloud for this run, or taken over with a node; it has to be gone at the end.
    "resource-made" ResourceMade {
        /// The node that it belongs to.
        node: NodeName,
        /// What it is.
        resource: ResourceKind,
        /// The cloud's name for it.
        id: String,
        /// Where.
        region: String,
    }

    /// The cloud said that something made for this run is no more, or is in a final state.
    "resource-gone" ResourceGone {
        /// What it is.
        resource: ResourceKind,
        /// The cloud's name for it.
        id: String,
        /// The cloud's word for it, e.g. `terminated`, or `not found`.
        state: String,
    }

    /// What was had, and what it costs.
    "had" Had {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: String,
        /// Its type.
        instance_type: String,
        /// Its zone.
        zone: String,
        /// `spot` or `on-demand`.
        market: String,
        /// US dollars an hour; `None` where nobody knows.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usd_per_hour: Option<f64>,
        /// When the cloud ends it by itself.
        expires_at: Timestamp,
    }

    /// A part of a node's start-up is over.
    "phase" Phase {
        /// The node.
        node: NodeName,
        /// Which.
        phase: StartPhase,
        /// How long it took.
        seconds: f64,
    }

    /// A node lives on after the run, so that somebody can look at it.
    "kept" Kept {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: String,
        /// When it ends by itself.
        until: Timestamp,
        /// The ssh command that gets in.
        command: String,
    }

    /// The node of an earlier run of the same job is used: it and what belongs to it are this run's from now on.
    "taken-over" TakenOver {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: String,
        /// The run that made it, which its tags go on naming.
        run: RunId,
    }

    /// The node is left to the next run of the same job, which waits for it.
    "handed-on" HandedOn {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: String,
        /// The cloud's names for everything that goes with it, the instance's among them.
        resources: Vec<String>,
        /// When it ends by itself.
        until: Timestamp,
    }

    /// The cloud did not end the instance when it was asked to, and the instance itself was told to shut down, over ssh.
    "shutdown-asked" ShutdownAsked {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: String,
    }

    /// What a node has cost so far, by the cloud's own clock; the last one of a node is its bill.
    "cost" Cost {
        /// The node.
        node: NodeName,
        /// The instance.
        instance: String,
        /// Seconds billed.
        seconds: f64,
        /// US dollars; `None` where the price is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usd: Option<f64>,
    }

    /// Files went to the node's store.
    "upload" Upload {
        /// How many were sent.
        sent: usize,
        /// How many lay there already.
        present: usize,
        /// Bytes sent, uncompressed.
        bytes: u64,
        /// How long it took.
        seconds: f64,
    }

    /// The connection to the node broke; the harness tries to attach again.
    "connection-lost" ConnectionLost {
        /// Why.
        error: String,
    }

    /// The harness is attached again; nothing was lost.
    "reattached" Reattached {
        /// The first record asked for.
        from_seq: u64,
        /// How long the node was out of reach.
        seconds: f64,
    }

    /// The user (or CI) asked the run to stop.
    "interrupted" Interrupted {
        /// By what: a signal's name.
        by: String,
    }

    /// What a case measured was held against its history, and its outcome against those of the runs before.
    "judged" Judged {
        /// The case.
        case: CaseId,
        /// Where it stands after its last runs.
        standing: Standing,
        /// How many metrics are as they were before.
        steady: usize,
        /// The others.
        metrics: Vec<Judgement>,
        /// Why the node was slower than such nodes are, where it was: then its figures judge nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        degraded: Option<String>,
        /// Answers that are not those of the nights before.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        answers: Vec<Changed>,
        /// Metrics that were judged on the nights before, and of which nothing came tonight.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        vanished: Vec<Vanished>,
    }

    /// Reports of a case's own tests cannot be read, or were not left: a case that passed counts as failed.
    "tests-unread" TestsUnread {
        /// The case.
        case: CaseId,
        /// Which, and why, in a sentence each.
        reports: Vec<String>,
    }

    /// Tests in a case's own reports did not pass, although its command ended with 0: a case that passed counts as failed.
    "tests-failed" TestsFailed {
        /// The case.
        case: CaseId,
        /// How many of them.
        failed: u64,
        /// The first of those, by class and name.
        named: Vec<String>,
    }

    /// The case's failures do not fail the build for now.
    "quarantined" Quarantined {
        /// The case.
        case: CaseId,
        /// Why.
        reason: String,
        /// The last day on which this holds.
        until: jiff::civil::Date,
    }

    /// The last record of an `events.ndjson` whose run ended in good order.
    "run-closed" RunClosed {
        /// The process's exit code.
        exit: u8,
        /// What else there is to say, e.g. the error that ended the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    }

    /// The first record of a node's journal.
    "hello" Hello {
        /// [`crate::plan::PROTOCOL`] of the agent.
        protocol: u32,
        /// Version of the agent.
        agent: String,
        /// The node's host name.
        host: String,
        /// Where libtorch was found, where a case needs it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        libtorch: Option<String>,
    }

    /// A case's process was started.
    "case-started" CaseStarted {
        /// The case.
        case: CaseId,
        /// 1 for the first try.
        attempt: u32,
    }

    /// What the case runs on: device, threads, seed, libtorch, driver.
    "device" Device {
        /// The case.
        case: CaseId,
        /// The facts, as the case's process gave them.
        facts: BTreeMap<String, serde_json::Value>,
    }

    /// How far a case has come.
    "progress" Progress {
        /// The case.
        case: CaseId,
        /// What it is doing, where it does several things in turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// Steps done.
        step: u64,
        /// Steps in all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        steps: Option<u64>,
    }

    /// A line of metrics.
    "metrics" Metrics {
        /// The case.
        case: CaseId,
        /// The step that they belong to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<u64>,
        /// The metrics by name.
        values: BTreeMap<String, Value>,
    }

    /// Output of a case's process. What the events of one stream hold, put together, is the stream.
    "log" Log {
        /// The case.
        case: CaseId,
        /// Which stream.
        stream: Stream,
        /// What was written, newlines included; what is not UTF-8 is replaced.
        text: String,
        /// The bytes themselves, where the text is not what was written.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<Bytes>,
    }

    /// The case wrote more than its log limit; the rest was read and dropped.
    "log-truncated" LogTruncated {
        /// The case.
        case: CaseId,
        /// Bytes dropped.
        dropped: u64,
    }

    /// A file that the case made and that can be fetched.
    "artifact" Artifact {
        /// The case.
        case: CaseId,
        /// Path below the case's artifact folder.
        path: String,
        /// Size in bytes.
        bytes: u64,
        /// Its content.
        sha256: Sha256,
        /// Whether it is a program.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        executable: bool,
    }

    /// A symbolic link or an empty folder among the files that the case made: all that there is of it is said here.
    "artifact-place" ArtifactPlace {
        /// The case.
        case: CaseId,
        /// Path below the case's artifact folder.
        path: String,
        /// Where the link leads, from the folder that it lies in; none for an empty folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        link: Option<String>,
    }

    /// The cloud has said that it will take the node away. The running case ends as interrupted, and no other starts.
    "reclaim-notice" ReclaimNotice {
        /// When it will be taken, by the cloud's clock.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        taken_at: Option<Timestamp>,
        /// The cloud's word for what it will do: `terminate`, `stop` or `hibernate`.
        action: String,
    }

    /// Something that a person should know and that changes no outcome.
    "warning" Warning {
        /// The case, where it is about one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        case: Option<CaseId>,
        /// What.
        message: String,
    }

    /// A check was judged.
    "check" Check {
        /// The case.
        case: CaseId,
        /// 1 for the first try.
        attempt: u32,
        /// The verdict and its grounds.
        finding: Finding,
    }

    /// The process of a case has ended by itself or by a signal; how the case counts is said when it has finished.
    "process-ended" ProcessEnded {
        /// The case.
        case: CaseId,
        /// The try.
        attempt: u32,
        /// Its exit code, where it ended by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<i32>,
        /// The number of the signal that ended it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
    }

    /// What the driver told of the GPUs while a case ran.
    "gpus-watched" GpusWatched {
        /// The case.
        case: CaseId,
        /// The try.
        attempt: u32,
        /// Each GPU that it may have used.
        gpus: Vec<GpuSeen>,
        /// Why what it measured is worth nothing, a sentence each; empty where the GPUs were well.
        broken: Vec<String>,
    }

    /// A case ended. It is final unless another `case-started` of the same case follows.
    "case-finished" CaseFinished {
        /// The case.
        case: CaseId,
        /// 1 for the first try, 0 where it was never started.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// Why, in a sentence or a few lines.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Wall time of this try.
        seconds: f64,
    }

    /// The last record of a node's journal.
    "run-finished" RunFinished {
        /// Why the run ended before its last case, where it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The same for a program.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<EndCause>,
        /// Made of all lines of the journal before this one: see [`crate::seal`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seal: Option<String>,
    }
}

impl Event {
    /// The case that it is about, where it is about one.
    pub fn case(&self) -> Option<&CaseId> {
        self.scope().1
    }

    /// Whether it is the harness's alone to say: of the run, of the cloud, of the connection, of the nights before.
    pub fn is_of_the_harness(&self) -> bool {
        self.scope().0 == Says::Harness
    }

    /// Who says it, and of which case.
    fn scope(&self) -> (Says, Option<&CaseId>) {
        match self {
            Self::Judged(Judged { case, .. })
            | Self::Quarantined(Quarantined { case, .. })
            | Self::TestsUnread(TestsUnread { case, .. })
            | Self::TestsFailed(TestsFailed { case, .. }) => (Says::Harness, Some(case)),
            Self::RunCreated(_)
            | Self::Input(_)
            | Self::Node(_)
            | Self::Waiting(_)
            | Self::ResourceMade(_)
            | Self::ResourceGone(_)
            | Self::Had(_)
            | Self::Phase(_)
            | Self::Kept(_)
            | Self::ShutdownAsked(_)
            | Self::TakenOver(_)
            | Self::HandedOn(_)
            | Self::Cost(_)
            | Self::Upload(_)
            | Self::ConnectionLost(_)
            | Self::Reattached(_)
            | Self::Interrupted(_)
            | Self::RunClosed(_) => (Says::Harness, None),
            Self::CaseStarted(CaseStarted { case, .. })
            | Self::Device(Device { case, .. })
            | Self::Progress(Progress { case, .. })
            | Self::Metrics(Metrics { case, .. })
            | Self::Log(Log { case, .. })
            | Self::LogTruncated(LogTruncated { case, .. })
            | Self::Artifact(Artifact { case, .. })
            | Self::ArtifactPlace(ArtifactPlace { case, .. })
            | Self::Check(Check { case, .. })
            | Self::ProcessEnded(ProcessEnded { case, .. })
            | Self::GpusWatched(GpusWatched { case, .. })
            | Self::CaseFinished(CaseFinished { case, .. }) => (Says::Node, Some(case)),
            Self::Warning(Warning { case, .. }) => (Says::Node, case.as_ref()),
            Self::Hello(_) | Self::ReclaimNotice(_) | Self::RunFinished(_) | Self::Unknown(_) => {
                (Says::Node, None)
            }
        }
    }
}

/// Who may say something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    /// The harness alone.
    Harness,
    /// A node, too.
    Node,
}

impl fmt::Display for TestsFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tests = if self.failed == 1 { "test" } else { "tests" };
        let more = if self.failed > self.named.len() as u64 { ", …" } else { "" };
        write!(f, "its report has {} failed {tests} ({}{more})", self.failed, self.named.join(", "))?;
        f.write_str(", although the command ended with 0")
    }
}

impl Eq for ReclaimNotice {}

impl fmt::Display for ReclaimNotice {
    /// In the words of this crate: the notice's own are a stranger's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action.as_str() {
            "stop" => f.write_str("AWS stops the spot instance")?,
            "hibernate" => f.write_str("AWS puts the spot instance to sleep")?,
            _ => f.write_str("AWS takes the spot instance back")?,
        }
        match self.taken_at {
            Some(at) => write!(f, " at {} UTC", at.strftime("%H:%M:%S")),
            None => f.write_str(" within two minutes"),
        }
    }
}

/// Why a node ended a run before its last case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EndCause {
    /// Nobody renewed the lease.
    Lease,
    /// The harness asked for it.
    Cancelled,
    /// The run's time limit was reached.
    Limit,
    /// The node is being taken away by its cloud: the cases without a `case-finished` are for another node.
    Reclaimed,
    /// The journal could not be written.
    Disk,
    /// A case was not good, and the run fails fast.
    FailFast,
}

impl Log {
    /// What was written, byte for byte.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_ref().map_or(self.text.as_bytes(), |raw| &raw.0)
    }
}

/// What the reports need to know of a case before it has started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseSummary {
    /// The case.
    pub id: CaseId,
    /// The suite's sentence about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where it is written: `file:line`.
    pub at: String,
    /// Artifacts of it that are JUnit reports: their tests are part of the run's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub junit: Vec<String>,
}

/// The states of a node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It was asked for, or its address is known and it is being connected to.
    Requested,
    /// The cloud has made it; it boots.
    Booting,
    /// It answered, and is who it should be.
    Reachable,
    /// Agent and inputs are there.
    Healthy,
    /// Cases run.
    Running,
    /// Results are being fetched.
    Draining,
    /// It is being given back.
    Terminating,
    /// It was left as it was found, or is no more.
    Gone,
    /// It does not answer any more.
    Lost,
}

/// What can be made in a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResourceKind {
    /// A security group.
    SecurityGroup,
    /// A launch template.
    LaunchTemplate,
    /// A fleet.
    Fleet,
    /// A spot request.
    SpotRequest,
    /// An instance: what costs most.
    Instance,
    /// A volume.
    Volume,
}

impl fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::SecurityGroup => "security group",
            Self::LaunchTemplate => "launch template",
            Self::Fleet => "fleet",
            Self::SpotRequest => "spot request",
            Self::Instance => "instance",
            Self::Volume => "volume",
        })
    }
}

/// The parts of a node's start-up, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartPhase {
    /// What there is was looked up: types, prices, image, subnets.
    LookUp,
    /// From the launch call to the instance's id: the cloud looks for capacity.
    Capacity,
    /// From the id to `running`.
    Pending,
    /// From `running` to an open ssh port.
    Boot,
    /// From there to a verified and authenticated connection.
    Ssh,
    /// The agent was brought and looked at the GPU.
    Health,
    /// The inputs were brought.
    Deploy,
    /// From there to the first record of the node's journal.
    FirstEvent,
}

/// A stream of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A check's verdict with its grounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check.
    pub check: CheckName,
    /// What it is about, where the check is run on several things: a metric's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// What was seen, e.g. `loss 0.31 after 200 steps`.
    pub observed: String,
    /// What was wanted, e.g. `at most 0.035 (5% of the first loss 0.69)`.
    pub wanted: String,
    /// The step where it went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// The usual cause, where the check broke. An `exit-status` that was skipped and has a cause was not the program's
    /// own doing: the case errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// A metric that is not as it was before, or of which that is not known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Its name.
    pub metric: String,
    /// Which way it is better.
    pub better: Direction,
    /// What the rule says.
    #[serde(flatten)]
    pub verdict: regression::Verdict,
    /// Whether it fails the build.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fails: bool,
}

/// A metric that was judged on the nights before and did not come: it has another name now, or what measures it is no
/// longer run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vanished {
    /// Its name.
    pub metric: String,
    /// On how many of the last nights it came.
    pub nights: usize,
}

/// Whether a check held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It held.
    Held,
    /// It did not hold.
    Broke,
    /// It was not judged; `observed` says why.
    Skipped,
}
