//! EC2 as the harness deals with a cloud.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gpu_suites::event::ResourceKind;
use jiff::Timestamp;

use super::ask::{Preflight, Request, Requester};
use super::candidates::{self, Candidate};
use super::capped::dearest;
use super::cloud::{Cloud, Ec2Error};
use super::fleet::{self, Followed};
use super::left_out::{self, LeftOut, Why, list};
use super::look_up::LookUpError as OwnLookUpError;
use super::prices::on_demand;
use super::refusal::Refusal;
use super::refused::{PoolRefusal, Round};
use super::{Ec2Settings, Purchase, Usd, advice, doctor, end, inventory, kinds, observe, prices};
use crate::cloud::error::CloudError;
use crate::cloud::kind::Kind;
use crate::cloud::ledger::UnconfirmedCall;
use crate::cloud::observe::InstanceSeen;
use crate::cloud::provider::{
    Choice, End, Launch, LaunchError, Launched, Launcher, LookUpError, LookUpRequest, NoneFits, Patient,
    Provider, Refused, Traces, TypeGpus,
};
use crate::cloud::tagged::{Owner, TaggedResource};
use crate::config::need::NodeNeed;
use crate::report::finding::Finding;

/// How long one fleet may look for capacity before the next way is tried.
const FLEET_PATIENCE: Duration = Duration::from_secs(90);

/// A region of EC2, for nodes of these settings.
#[derive(Debug, Clone)]
pub struct Ec2 {
    cloud: Cloud,
    settings: Arc<Ec2Settings>,
}

impl Ec2 {
    /// The API of a region; `None`: the one that the environment or the profile names. Sends nothing yet.
    pub async fn connect(settings: &Ec2Settings, region: Option<&str>) -> Result<Self, CloudError> {
        Ok(Self::new(Cloud::connect(region).await?, settings))
    }

    /// The same over a connection that is there.
    pub fn new(cloud: Cloud, settings: &Ec2Settings) -> Self {
        Self { cloud, settings: Arc::new(settings.clone()) }
    }
}

#[async_trait]
impl Provider for Ec2 {
    fn region(&self) -> &str {
        self.cloud.region()
    }

    fn now(&self) -> Timestamp {
        self.cloud.now()
    }

    async fn look_up(&self, wanted: &LookUpRequest<'_>) -> Result<Box<dyn Launcher>, LookUpError> {
        let (cloud, settings) = (&self.cloud, &*self.settings);
        let asker = Requester { cloud, settings, labels: wanted.labels, ledger: wanted.ledger };
        let preflight = asker.preflight(wanted.need, wanted.longest).await?;
        Ok(Box::new(Here { ec2: self.clone(), need: wanted.need.clone(), preflight }))
    }

    async fn observe(&self, instances: &[String]) -> Result<Vec<InstanceSeen>, CloudError> {
        Ok(observe::instances(&self.cloud, instances).await?)
    }

    fn kinds(&self) -> &'static [Kind] {
        &kinds::ALL
    }

    async fn end(&self, resource: ResourceKind, id: &str) -> Result<End, CloudError> {
        Ok(end::end(&self.cloud, resource, id).await?)
    }

    async fn traces(&self, doubt: &UnconfirmedCall) -> Result<Traces, CloudError> {
        Ok(end::traces(&self.cloud, doubt).await?)
    }

    async fn inventory(&self) -> Result<Vec<TaggedResource>, CloudError> {
        Ok(inventory::inventory(&self.cloud).await?)
    }

    async fn owner_now(&self, id: &str) -> Result<Option<Owner>, CloudError> {
        Ok(inventory::owner_now(&self.cloud, id).await?)
    }

    async fn prices(&self, instances: &[TaggedResource]) -> HashMap<String, Usd> {
        prices::of_living(&self.cloud, instances, &self.settings.prices).await
    }

    async fn doctor(&self, patient: &Patient<'_>, findings: &mut Vec<Finding>) -> bool {
        doctor::examine(&self.cloud, &self.settings, patient, findings).await
    }
}

/// What a region has and what was made there, for one node.
struct Here {
    ec2: Ec2,
    need: NodeNeed,
    preflight: Preflight,
}

impl Here {
    fn candidates(&self, purchase: Purchase, left: Option<f64>) -> Result<candidates::Choice, NoneFits> {
        Ok(self.preflight.catalog.choose(&self.ec2.settings, &self.need, purchase, left)?)
    }
}

#[async_trait]
impl Launcher for Here {
    fn ingress(&self) -> Option<String> {
        self.preflight.catalog.ingress.clone()
    }

    fn latest(&self) -> Timestamp {
        self.preflight.latest()
    }

    fn choose(&self, purchase: Purchase, left: Option<f64>) -> Result<Choice, NoneFits> {
        let choice = self.candidates(purchase, left)?;
        let costs =
            |one: &Candidate| dearest(one, purchase, &self.preflight.catalog.spot).map(|price| price.0);
        let dearest = choice.candidates.iter().filter_map(costs).reduce(f64::max);
        let is_unpriced = |one: &&LeftOut| matches!(one.why, Why::NoPrice { .. });
        let unpriced = Vec::from_iter(choice.left_out.iter().filter(is_unpriced).cloned());
        let unpriced = (!unpriced.is_empty()).then(|| list(&unpriced));
        Ok(Choice { dearest: dearest.map(Usd), unpriced })
    }

    async fn launch(&mut self, launch: &Launch<'_>) -> Result<Launched, LaunchError> {
        let Launch { purchase, left, expires_at, user_data, labels, ledger, .. } = *launch;
        let Ec2 { cloud, settings } = &self.ec2.clone();
        let choice = match self.candidates(purchase, left) {
            Ok(choice) => choice,
            Err(none) => {
                let refused = Refused { clauses: vec![none.why], may_pass: false, advice: None };
                return Ok(Launched::Refused(refused));
            }
        };
        let advise = |refusal: &Refusal| {
            let max_price = choice.max_price;
            let (region, candidates) = (cloud.region(), choice.candidates.as_slice());
            refusal.advice(&advice::FailedRequest { region, purchase, candidates, max_price })
        };
        let zones = self.preflight.catalog.subnets.len();
        let refused = |refusals: Vec<PoolRefusal>, advice| {
            let may_pass = refusals.iter().any(|one| one.refusal.is_worth_waiting());
            let types = choice.candidates.iter().map(|candidate| candidate.name.clone()).collect();
            let (region, max_price) = (cloud.region().to_owned(), choice.max_price);
            let round = Round { region, purchase, types, zones, max_price, refusals };
            Launched::Refused(Refused { clauses: round.clauses(), may_pass, advice })
        };
        let asker = Requester { cloud, settings, labels, ledger };
        let request = Request { purchase, choice: &choice, expires_at, user_data };
        let asked = match asker.ask(&mut self.preflight, &request).await {
            Ok(asked) => asked,
            Err(error) => {
                let refusal = error.own().and_then(Ec2Error::refusal).cloned();
                let advice = refusal.as_ref().map(advise);
                // What is said of this way of paying leaves the others open.
                return match refusal.filter(Refusal::is_worth_another_market) {
                    Some(refusal) => {
                        let all = PoolRefusal { instance_type: None, zone: None, refusal };
                        Ok(refused(vec![all], advice))
                    }
                    None => Err(LaunchError { error, advice }),
                };
            }
        };
        let followed =
            fleet::follow(cloud, ledger, &asked, FLEET_PATIENCE).await.map_err(CloudError::from)?;
        let by_pool = match followed {
            Followed::Instance(id) => return Ok(Launched::Instance { id, asked_at: asked.at }),
            Followed::Refused(refused) => refused.by_pool,
        };
        fleet::abandon(cloud, ledger, &asked.fleet).await.map_err(CloudError::from)?;
        let advice = by_pool.first().map(|one| advise(&one.refusal));
        Ok(refused(by_pool, advice))
    }

    fn usd_per_hour(&self, seen: &InstanceSeen) -> Option<Usd> {
        let catalog = &self.preflight.catalog;
        match seen.purchase {
            Purchase::Spot => catalog.spot.get(&(seen.instance_type.clone(), seen.zone.clone())).copied(),
            Purchase::OnDemand => {
                let price = on_demand(&seen.instance_type, &catalog.region, &self.ec2.settings.prices);
                price.map(|price| price.usd)
            }
        }
    }

    fn gpus(&self, instance_type: &str) -> Option<TypeGpus> {
        let facts = self.preflight.catalog.facts.iter().find(|facts| facts.name == instance_type)?;
        facts.gpus.first().map(|gpu| TypeGpus { count: gpu.count, name: gpu.name.clone() })
    }
}

impl From<left_out::NoneFits> for NoneFits {
    fn from(none: left_out::NoneFits) -> Self {
        Self { is_for_money: none.is_for_money(), why: none.to_string() }
    }
}

impl From<OwnLookUpError> for LookUpError {
    fn from(error: OwnLookUpError) -> Self {
        let is_worth_another_region = error.is_worth_another_region();
        match error {
            OwnLookUpError::Cloud(error) => Self::Cloud(error),
            OwnLookUpError::NoneFits(none) => Self::NoneFits(none.into()),
            error => Self::Lacks { what: Box::new(error), is_worth_another_region },
        }
    }
}
