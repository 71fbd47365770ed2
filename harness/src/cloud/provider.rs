//! All that a provider gives: one region of a cloud, as the harness deals with it.
//!
//! What stands beside this file is the same for every cloud: when to ask, what is written down of what was made, how a
//! node is led up, reached, paid for, handed on and given back. A provider is a folder below it that has these traits for
//! its cloud ([`super::ec2`]), and an arm in [`super::providers`].

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gpu_suites::event::ResourceKind;
use gpu_suites::exit::Exit;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::CloudError;
use super::keys::NodeKeys;
use super::kind::Kind;
use super::labels::Labels;
use super::ledger::{Evidence, Ledger, UnconfirmedCall};
use super::observe::InstanceSeen;
use super::tagged::{Owner, TaggedResource};
use super::user_data::UserData;
use super::{Purchase, Usd};
use crate::config::need::NodeNeed;
use crate::here::Env;
use crate::node::NodeSpec;
use crate::report::finding::Finding;
use crate::text::Explain;

/// A region of a cloud. Clones are the same one.
pub type Region = Arc<dyn Provider>;

/// What is asked of a cloud in one region.
#[async_trait]
pub trait Provider: fmt::Debug + Send + Sync {
    fn region(&self) -> &str;

    /// The cloud's time, by which every expiry is reckoned, as it follows from its last answer ([`super::clock`]).
    fn now(&self) -> Timestamp;

    /// Looks up what there is, and makes what all tries in the region share.
    async fn look_up(&self, wanted: &LookUpRequest<'_>) -> Result<Box<dyn Launcher>, LookUpError>;

    /// These instances, as the cloud shows them; those that it does not know (any more) are missing. Never asked for none.
    async fn observe(&self, instances: &[String]) -> Result<Vec<InstanceSeen>, CloudError>;

    /// The kinds of things that are made here, in the order in which a reaper ends them.
    fn kinds(&self) -> &'static [Kind];

    /// Asks for the end of a thing, once more where that was done before, and says what there is of it.
    async fn end(&self, resource: ResourceKind, id: &str) -> Result<End, CloudError>;

    /// What a call has made whose answer never came.
    async fn traces(&self, doubt: &UnconfirmedCall) -> Result<Traces, CloudError>;

    /// Everything of ours, by tags alone; what is found may be in a final state.
    async fn inventory(&self) -> Result<Vec<TaggedResource>, CloudError>;

    /// Reads the tags of one thing again; `None` where it has none of ours any more.
    async fn owner_now(&self, id: &str) -> Result<Option<Owner>, CloudError>;

    /// US dollars an hour of these instances, by id; what nobody knows is missing.
    async fn prices(&self, instances: &[TaggedResource]) -> HashMap<String, Usd>;

    /// Examines what a node would lack here; makes and changes nothing. Whether there is any use in looking at the next
    /// region.
    async fn doctor(&self, patient: &Patient<'_>, findings: &mut Vec<Finding>) -> bool;
}

/// What `gpu-harness doctor` examines.
#[derive(Debug, Clone, Copy)]
pub struct Patient<'a> {
    pub node: &'a NodeSpec,
    pub env: &'a Env,
    /// Which of the node's regions it is, from 0.
    pub number: usize,
}

/// Who wants a node, and what for.
#[derive(Debug, Clone, Copy)]
pub struct LookUpRequest<'a> {
    /// What node and suites need together.
    pub need: &'a NodeNeed,
    /// How long from now what is made may be in use: its tag must not have it reaped while the run still waits for
    /// capacity.
    pub longest: std::time::Duration,
    pub labels: &'a Labels,
    /// Where everything that is made is written down.
    pub ledger: &'a Ledger,
}

/// What a region has for a node.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Who is let in, where a person is to be told.
    fn ingress(&self) -> Option<String>;

    /// The latest end that a node may have here.
    fn latest(&self) -> Timestamp;

    /// What will do, paid for in this way. `left`: the US dollars that may be spent on it, where there is a limit.
    fn choose(&self, purchase: Purchase, left: Option<f64>) -> Result<Choice, NoneFits>;

    /// Asks for an instance, and waits until there is one or the cloud says no; then nothing of this try is asked for any
    /// more.
    async fn launch(&mut self, launch: &Launch<'_>) -> Result<Launched, LaunchError>;

    /// What an hour of this instance costs; `None` where nobody knows.
    fn usd_per_hour(&self, seen: &InstanceSeen) -> Option<Usd>;

    /// The GPUs of a type; `None` where it has none.
    fn gpus(&self, instance_type: &str) -> Option<TypeGpus>;
}

/// The GPUs that a type of instance has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeGpus {
    pub count: u32,
    /// What its cloud calls them, such as `L4`.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The dearest that it can turn out to be an hour; `None` where nobody knows.
    pub dearest: Option<Usd>,
    /// What is not asked for because the money is limited and nobody knows what it costs: a line each.
    pub unpriced: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NoneFits {
    /// Why, of each thing that there is.
    pub why: String,
    /// Whether something would, but for the limit on the money.
    pub is_for_money: bool,
}

/// One try to have an instance.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    pub purchase: Purchase,
    /// The US dollars that may be spent on it, where there is a limit.
    pub left: Option<f64>,
    /// When the cloud ends it, by its own clock.
    pub expires_at: Timestamp,
    /// What the node is told at its birth, for cloud-init.
    pub user_data: &'a UserData,
    /// The keys that stand in it.
    pub keys: &'a NodeKeys,
    pub labels: &'a Labels,
    /// Where everything that is made is written down.
    pub ledger: &'a Ledger,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Launched {
    Instance {
        id: String,
        /// When it was asked for, by the cloud's clock.
        asked_at: Timestamp,
    },
    /// There is nothing to be had in this way.
    Refused(Refused),
}

/// Why nothing was had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What was asked for and what the answer was, a clause each: `no spot capacity for g6.xlarge in 3 zones of us-east-1`.
    pub clauses: Vec<String>,
    /// Whether it may be had in a while.
    pub may_pass: bool,
    pub advice: Option<String>,
}

/// The cloud says no to the asking itself.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct LaunchError {
    pub error: CloudError,
    pub advice: Option<String>,
}

impl From<CloudError> for LaunchError {
    fn from(error: CloudError) -> Self {
        Self { error, advice: None }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum LookUpError {
    #[error(transparent)]
    Cloud(CloudError),
    #[error(transparent)]
    NoneFits(NoneFits),
    /// The settings name something that is not there, or the region lacks it.
    #[error("{what}")]
    Lacks {
        /// What, and what to do about it.
        what: Box<dyn Explain + Send + Sync>,
        /// Whether another region may have it.
        is_worth_another_region: bool,
    },
}

impl Explain for LookUpError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Cloud(error) => error.hint(),
            Self::NoneFits(_) => None,
            Self::Lacks { what, .. } => what.hint(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Infrastructure
    }
}

impl LookUpError {
    /// Whether another region may have what this one lacks.
    pub fn is_worth_another_region(&self) -> bool {
        match self {
            Self::Cloud(error) => error.is_worth_another_region(),
            Self::NoneFits(_) => true,
            Self::Lacks { is_worth_another_region, .. } => *is_worth_another_region,
        }
    }
}

/// What there is of a thing whose end was asked for.
#[derive(Debug, Clone)]
pub struct End {
    pub state: EndState,
    /// The instances that were seen on the way: those that it has made, or that hold it.
    pub instances: Vec<InstanceSeen>,
}

#[derive(Debug, Clone)]
pub enum EndState {
    /// It is no more; the cloud's word for that.
    Gone(String),
    /// Its deletion was carried out: it is gone as soon as it is not shown any more.
    Deleted,
    /// It was asked to end.
    Asked,
    /// It cannot be asked yet, and why.
    Waits(String),
    /// It is there, and was asked, and the cloud said no.
    Refused(CloudError),
    /// It is not shown, which proves nothing of what was made minutes ago.
    NotShown,
}

impl End {
    /// Writes down what it has shown.
    pub fn note(&self, ledger: &Ledger, resource: ResourceKind, id: &str, (region, now): (&str, Timestamp)) {
        for instance in &self.instances {
            instance.note(ledger, region);
        }
        let evidence = match &self.state {
            EndState::Gone(word) => Evidence::Ended(word),
            EndState::NotShown => Evidence::Absent(now),
            EndState::Deleted | EndState::Asked | EndState::Waits(_) | EndState::Refused(_) => {
                Evidence::Shown
            }
        };
        ledger.heard(resource, id, evidence);
    }
}

impl From<EndState> for End {
    fn from(state: EndState) -> Self {
        Self { state, instances: Vec::new() }
    }
}

/// What is found of a call whose answer never came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Traces {
    /// The things that it was to make.
    pub ids: Vec<String>,
    pub instances: Vec<InstanceSeen>,
}
