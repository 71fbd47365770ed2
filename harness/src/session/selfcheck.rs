//! Asks a node's agent what the node has, and measures the clock skew that only two machines together can know.

use std::convert::Infallible;
use std::time::Duration;

use gpu_suites::facts::NodeFacts;
use gpu_suites::lines::{Line, Lines};
use gpu_suites::wire::{Reply, Request};
use jiff::{SignedDuration, Timestamp};

use crate::node::answer::Bounds;
use crate::node::remote::{Remote, RemoteError};
use crate::transport::Exec;

/// More than any node has to say of itself, and longer than its slowest driver takes.
const BOUNDS: Bounds = Bounds { bytes: 4 << 20, within: Duration::from_secs(300) };
/// A greeting, and those of a login shell before it.
const LONGEST_LINE: usize = 64 << 10;
const LONGEST_GREETING: usize = 1 << 20;
const GREETING: Duration = Duration::from_secs(60);

/// How long a node may take to be given the agent and to look at itself: its driver has 30 s of that.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);
/// The same where it has the worker look too, which is large and loads libtorch.
const WORKS_WITHIN: Duration = Duration::from_secs(10 * 60);

/// The agent's answer as text or JSON, with the skew between the node's clock and ours.
pub async fn selfcheck(remote: &Remote, json: bool) -> Result<String, RemoteError> {
    remote.within(WORKS_WITHIN, "tell what it has", told(remote, json)).await
}

async fn told(remote: &Remote, json: bool) -> Result<String, RemoteError> {
    let skew = skew(remote).await?;
    // Without a worker the agent still tells what it can.
    let worker = remote.worker().ok();
    if let Some(worker) = &worker {
        remote.send(vec![worker.clone()]).await?;
    }
    let mut arguments = vec!["selfcheck"];
    if json {
        arguments.push("--json");
    }
    if let Some(worker) = &worker {
        arguments.extend(["--worker-blob", worker.sha256.as_str()]);
    }
    let said = ask(remote, &arguments).await?;
    if json {
        return with_skew_json(&said, skew).map_err(|cause| unreadable(remote, &cause.to_string()));
    }
    Ok(with_skew_text(&crate::text::clean::text(&String::from_utf8_lossy(&said)), skew))
}

/// What the node has, for a judgement of its health: see [`crate::node::health`]. Nothing is brought to it but the agent.
pub async fn facts(remote: &Remote) -> Result<NodeFacts, RemoteError> {
    remote.within(ANSWERS_WITHIN, "tell what it has", look(remote)).await
}

async fn look(remote: &Remote) -> Result<NodeFacts, RemoteError> {
    let skew = skew(remote).await?;
    let said = ask(remote, &["selfcheck", "--json"]).await?;
    let mut facts: NodeFacts =
        serde_json::from_slice(&said).map_err(|cause| unreadable(remote, &cause.to_string()))?;
    facts.clock_skew_ms = Some(milliseconds(skew));
    Ok(facts)
}

fn unreadable(remote: &Remote, cause: &str) -> RemoteError {
    RemoteError::Facts { node: remote.node().name.to_string(), cause: cause.to_owned() }
}

async fn ask(remote: &Remote, arguments: &[&str]) -> Result<Vec<u8>, RemoteError> {
    let mut exec = remote.start(arguments).await?;
    exec.stdin.close();
    let (said, status) = remote.answer("selfcheck", &mut exec, BOUNDS).await?;
    if !status.success() {
        return Err(remote.ended("selfcheck", status, &exec));
    }
    Ok(said)
}

/// The node's clock minus ours; puts the agent there where it is missing.
async fn skew(remote: &Remote) -> Result<SignedDuration, RemoteError> {
    match ask_twice(remote).await {
        Err(RemoteError::Ended { status, .. }) if Remote::lacks_agent(&status) => {
            remote.bootstrap().await?;
            ask_twice(remote).await
        }
        asked => asked,
    }
}

/// The first answer comes when the agent has started; the second takes one round trip and nothing else, so its middle
/// is the moment at which the node looked at its clock.
async fn ask_twice(remote: &Remote) -> Result<SignedDuration, RemoteError> {
    let mut exec = remote.start(&["serve"]).await?;
    let open =
        Request::Open { protocol: gpu_suites::plan::PROTOCOL, harness: env!("CARGO_PKG_VERSION").into() };
    let mut lines = Lines::of_at_most(LONGEST_LINE);
    for first in [true, false] {
        let asked = Timestamp::now();
        let _ = exec.stdin.write(crate::session::line(&open)).await;
        let greeted = tokio::time::timeout(GREETING, hello(&mut exec, &mut lines)).await;
        let late = |_| unreadable(remote, &format!("it does not greet in {} s", GREETING.as_secs()));
        let Some(there) = greeted.map_err(late)?? else { break };
        if !first {
            let middle = asked + asked.duration_until(Timestamp::now()) / 2;
            return Ok(middle.duration_until(there));
        }
    }
    let (_, status) = remote.answer("serve", &mut exec, BOUNDS).await?;
    Err(remote.ended("serve", status, &exec))
}

/// The node's clock in its next hello; `None` where its output ends before.
async fn hello(exec: &mut Exec, lines: &mut Lines) -> Result<Option<Timestamp>, RemoteError> {
    let mut left = LONGEST_GREETING;
    while let Some(chunk) = exec.stdout.recv().await {
        let chunk = chunk?;
        let mut said = None;
        let Ok(()) = lines.feed(&chunk, |line| {
            if let Line::Whole(line) = line
                && let Ok(Reply::Hello { at, .. }) = serde_json::from_slice(line)
            {
                said = Some(at);
            }
            Ok::<_, Infallible>(())
        });
        left = left.saturating_sub(chunk.len());
        if said.is_some() || left == 0 {
            return Ok(said);
        }
    }
    Ok(None)
}

fn milliseconds(skew: SignedDuration) -> f64 {
    skew.as_secs_f64() * 1e3
}

fn with_skew_text(said: &str, skew: SignedDuration) -> String {
    format!("{said}clock skew     {:+.1} ms against this machine\n", milliseconds(skew))
}

/// What the node has, and nothing else that it may say.
fn with_skew_json(said: &[u8], skew: SignedDuration) -> Result<String, serde_json::Error> {
    let mut facts: NodeFacts = serde_json::from_slice(said)?;
    facts.clock_skew_ms = Some(milliseconds(skew));
    let shown = serde_json::to_string_pretty(&facts)?;
    Ok(crate::text::clean::text(&shown).into_owned() + "\n")
}
