//! One node for a search: its runs follow one another, and each is left the node of the one before it.
//!
//! It is what runs of the same job do with `reuse: true` ([`super::reuse`]), of which each has to be waited for: the search
//! waits from its beginning to its last run. What an end before that leaves behind is given back here.

use std::io;
use std::path::PathBuf;

use gpu_suites::event::{Event, Warning};
use jiff::Timestamp;
use tokio::sync::mpsc::unbounded_channel;

use super::CloudNode;
use super::limits::Work;
use super::node_options::{NodeOptions, order};
use super::provision::Provision;
use super::reuse::{Job, QueuePlace};
use crate::config::need::NodeNeed;
use crate::files::cache;
use crate::files::run_dir;
use crate::here::Env;
use crate::node::{NodeSpec, Origin};

#[derive(Debug)]
pub struct Search {
    node: NodeSpec,
    settings: CloudNode,
    root: PathBuf,
    env: Env,
    place: Option<QueuePlace>,
}

impl Search {
    /// Begins one in the project at `root`; `None` where the node is there anyway.
    pub fn begin(node: &NodeSpec, root: PathBuf, env: &Env) -> io::Result<Option<Self>> {
        let (Origin::Cloud(settings), Some(cache)) = (&node.origin, cache::folder(env)) else {
            return Ok(None);
        };
        let mut settings = (**settings).clone();
        settings.reuse = true;
        let place = Some(Job::new(&cache, &root, &node.name, &settings).wait()?);
        Ok(Some(Self { node: node.clone(), settings, root, env: env.clone(), place }))
    }

    /// The next run is the last one: it gives the node back, and proves it.
    pub fn last(&mut self) {
        self.place = None;
    }

    /// Ends the search, and gives back the node that was left to a run that does not come; what there is to say of it.
    pub async fn close(mut self) -> Vec<String> {
        self.place = None;
        let Self { node, settings, root, env, .. } = self;
        let (sink, mut events) = unbounded_channel();
        let asked = NodeOptions { settings, need: NodeNeed::default(), keep: None, root, runs: 1, env };
        let none = std::time::Duration::ZERO;
        let work = Work { cases: none, retries: 0, ready: none, run: None };
        let mut provision =
            Provision::new(order(node, asked, run_dir::new_run_id(Timestamp::now()), work), sink);
        let instance = provision.give_back_left().await;
        provision.close().await;
        let mut said = Vec::from_iter(instance.map(|instance| format!("{instance} is given back")));
        while let Ok(event) = events.try_recv() {
            if let Event::Warning(Warning { message, .. }) = event {
                said.push(message);
            }
        }
        said
    }
}
