//! What a user asks of the nodes of a run, and what that orders.

use std::path::PathBuf;
use std::time::Duration;

use gpu_suites::id::RunId;

use super::hand_on::REACHED;
use super::labels::Labels;
use super::limits::{self, Work};
use super::provision::Order;
use super::who::Who;
use super::{CloudNode, reuse};
use crate::config::need::NodeNeed;
use crate::files::cache;
use crate::here::Env;
use crate::node::NodeSpec;

/// How long the runs of a search may leave their node to the next: what prepares a version may build it.
const SEARCHED: Duration = Duration::from_secs(30 * 60);

#[derive(Debug)]
pub struct NodeOptions {
    pub settings: CloudNode,
    /// What node and suites need together.
    pub need: NodeNeed,
    /// Keep a node this long where a case is not good.
    pub keep: Option<Duration>,
    pub root: PathBuf,
    /// How many runs the node has to live for, this one the first of them.
    pub runs: u32,
    /// Says whose run it is, and where the cache folder is.
    pub env: Env,
}

/// What a run with so much work wants of its nodes.
pub(crate) fn order(node: NodeSpec, asked: NodeOptions, run: RunId, work: Work) -> Order {
    let NodeOptions { mut settings, need, keep, root, runs, env } = asked;
    let cache = cache::folder(&env).filter(|_| settings.reuse);
    let job = cache.map(|cache| reuse::Job::new(&cache, &root, &node.name, &settings));
    if runs > 1 && settings.ttl.is_none() {
        settings.ttl = Some(limits::ttl(&settings, work.times(runs), None).duration);
    }
    Order {
        work,
        labels: Labels { run, node: node.name.clone(), who: Who::find(&env) },
        keep: keep.unwrap_or_default(),
        pause: if runs > 1 { SEARCHED } else { REACHED },
        job,
        node,
        settings,
        need,
        env,
    }
}
