//! The receipt: what was made in the cloud for a run, when each thing was confirmed gone, and what it cost.
//!
//! It is a fold over the run's events like every other report, so a run that was killed has one too: it names what
//! nobody has confirmed gone, when the cloud ends it by itself, and the command that ends it now.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use gpu_suites::event::{self, Event, ResourceKind, StartPhase};
use jiff::Timestamp;
use serde::Serialize;

use super::attempt::{sane_seconds, short};
use super::look::Look;
use super::{Report, ReportError, RunState};
use crate::text::clean::log_line;
use crate::text::figures;

/// No run makes more things than this; an event log that says so is not believed.
const RESOURCES: usize = 1_000;
const NODES: usize = 100;

/// What was made, what of it is gone, and the bill.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Receipt {
    /// The instances that the run had, oldest first.
    pub nodes: Vec<Bill>,
    pub resources: Vec<Resource>,
    pub seconds_waited: f64,
    /// The node that lives on after the run, so that somebody can look at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<Kept>,
    /// Start-up phases that belong to no instance yet: those of the try that goes on.
    #[serde(skip)]
    pending: BTreeMap<StartPhase, f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bill {
    pub node: String,
    pub instance: String,
    pub instance_type: String,
    pub zone: String,
    /// `spot` or `on-demand`.
    pub market: String,
    pub usd_per_hour: Option<f64>,
    pub expires_at: Timestamp,
    /// Seconds that each part of its start-up took.
    pub start_up: BTreeMap<StartPhase, f64>,
    /// Seconds billed; `None` where its end was not seen.
    pub seconds_billed: Option<f64>,
    /// US dollars, where the price and the end are known.
    pub usd: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    pub instance: String,
    pub until: Timestamp,
    pub command: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Resource {
    pub resource: ResourceKind,
    pub id: String,
    pub region: String,
    pub made_at: Timestamp,
    /// When it was confirmed gone; `None`: nobody has confirmed it.
    pub gone_at: Option<Timestamp>,
    /// The cloud's word for its end.
    pub state: Option<String>,
    /// When it was left, with its node, to the next run of the job, which gives it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handed_on_at: Option<Timestamp>,
    /// When it was told, over ssh, to shut down, since the cloud did not end it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_to_end_at: Option<Timestamp>,
    /// The run that made it and that its tags name, where that is an earlier one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
}

pub struct ReceiptFile;

impl Report for ReceiptFile {
    fn name(&self) -> &'static str {
        "receipt.json"
    }

    fn about(&self) -> &'static str {
        "of a node from EC2: what was made, that it is gone, what it cost"
    }

    fn is_wanted(&self, state: &RunState) -> bool {
        !state.receipt.is_empty()
    }

    fn content(&self, state: &RunState, _: &Path) -> Result<Vec<u8>, ReportError> {
        let mut text = serde_json::to_vec_pretty(&state.receipt).unwrap_or_default();
        text.push(b'\n');
        Ok(text)
    }
}

impl Receipt {
    /// Takes in an event of the harness's own; those about no cloud change nothing.
    pub(super) fn apply(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::Waiting(event) => self.seconds_waited += sane_seconds(event.seconds),
            Event::ResourceMade(event) => self.made(at, event),
            Event::ResourceGone(event) => self.gone(at, event),
            Event::NodeProvisioned(event) if self.nodes.len() < NODES => self.provisioned(event),
            Event::Phase(event) => {
                let phases = self.nodes.last_mut().map_or(&mut self.pending, |node| &mut node.start_up);
                // Looking up and asking begin a new node's start.
                let phases = if event.phase <= StartPhase::Capacity { &mut self.pending } else { phases };
                phases.insert(event.phase, sane_seconds(event.seconds));
            }
            Event::TakenOver(event) => {
                for one in self.resources.iter_mut().filter(|one| one.gone_at.is_none()) {
                    one.made_by = Some(short(event.run.as_str()));
                }
            }
            Event::HandedOn(event) => {
                let goes = |id: &String| event.resources.iter().any(|other| short(other) == *id);
                for one in self.resources.iter_mut().filter(|one| one.gone_at.is_none() && goes(&one.id)) {
                    one.handed_on_at = Some(at);
                }
            }
            Event::ShutdownAsked(event) => {
                if let Some(one) = self.resources.iter_mut().find(|one| one.id == event.instance) {
                    one.told_to_end_at.get_or_insert(at);
                }
            }
            Event::Kept(event) => {
                let (instance, command) = (short(&event.instance), short(&event.command));
                self.kept = Some(Kept { instance, until: event.until, command });
            }
            Event::Cost(event) => {
                let mut nodes = self.nodes.iter_mut();
                if let Some(bill) = nodes.find(|bill| bill.instance == event.instance) {
                    bill.seconds_billed = Some(sane_seconds(event.seconds));
                    bill.usd = event.usd.map(sane_seconds);
                }
            }
            _ => {}
        }
    }

    fn made(&mut self, at: Timestamp, event: &event::ResourceMade) {
        let known = self.resources.iter().any(|one| one.resource == event.resource && one.id == event.id);
        if !known && self.resources.len() < RESOURCES {
            self.resources.push(Resource {
                resource: event.resource,
                id: short(&event.id),
                region: short(&event.region),
                made_at: at,
                gone_at: None,
                state: None,
                handed_on_at: None,
                told_to_end_at: None,
                made_by: None,
            });
        }
    }

    fn gone(&mut self, at: Timestamp, event: &event::ResourceGone) {
        let mut resources = self.resources.iter_mut();
        if let Some(one) = resources.find(|one| one.resource == event.resource && one.id == event.id) {
            one.gone_at.get_or_insert(at);
            one.state.get_or_insert_with(|| short(&event.state));
        }
    }

    fn provisioned(&mut self, event: &event::NodeProvisioned) {
        self.nodes.push(Bill {
            node: short(event.node.as_str()),
            instance: short(&event.instance),
            instance_type: short(&event.instance_type),
            zone: short(&event.zone),
            market: short(&event.market),
            usd_per_hour: event.usd_per_hour.map(sane_seconds),
            expires_at: event.expires_at,
            start_up: std::mem::take(&mut self.pending),
            seconds_billed: None,
            usd: None,
        });
    }

    pub fn is_empty(&self) -> bool {
        self.resources.is_empty() && self.nodes.is_empty()
    }

    /// What nobody has confirmed gone and no other run has taken charge of.
    pub fn left(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|one| one.gone_at.is_none() && one.handed_on_at.is_none())
    }

    /// Whether something may live on that nobody wants.
    pub fn may_cost(&self) -> bool {
        self.kept.is_none() && self.left().next().is_some()
    }

    /// What was left to the next run of the job.
    fn handed_on(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|one| one.handed_on_at.is_some())
    }

    /// US dollars in all; `None` where a part of it is not known.
    pub fn usd(&self) -> Option<f64> {
        // Not `sum`, which is -0.0 for nothing.
        self.nodes.iter().try_fold(0.0, |all, node| Some(all + node.usd?))
    }

    /// The receipt in words, a line each; `run` is what `reap` is told.
    pub fn lines(&self, run: &str, look: Look) -> Vec<String> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut lines = Vec::new();
        for bill in &self.nodes {
            lines.push(bill.line());
            lines.extend(bill.start_up_line().map(|line| look.dim(&format!("  {line}"))));
        }
        if self.nodes.len() > 1
            && let Some(usd) = self.usd()
        {
            lines.push(format!("{} instances, {} in all", self.nodes.len(), figures::dollars(usd)));
        }
        let handed_on: Vec<&Resource> = self.handed_on().collect();
        if !handed_on.is_empty() {
            let names = names(&handed_on);
            lines.push(format!("handed on to the next run of this job, which gives it back: {names}"));
        }
        let left: Vec<&Resource> = self.left().collect();
        if let Some(kept) = self.kept.as_ref().filter(|_| !left.is_empty()) {
            let (instance, until) = (cell(&kept.instance), clock(kept.until));
            lines.push(look.odd(&format!("kept: instance {instance}, which ends by itself at {until}")));
            lines.push(format!("  to get in: {}", cell(&kept.command)));
            lines.push(format!("  to end it now: gpu-harness reap --run {}", cell(run)));
        } else if !left.is_empty() {
            lines.push(look.bad(&format!("NOT confirmed gone: {}", names(&left))));
            let told = left.iter().filter_map(|one| Some((*one, one.told_to_end_at?)));
            lines.extend(told.map(|(one, at)| {
                let (resource, id, at) = (one.resource, cell(&one.id), clock(at));
                format!(
                    "  {resource} {id} was told over ssh to shut down, at {at}: the cloud had not ended it"
                )
            }));
            if let Some(expiry) = self.nodes.iter().map(|bill| bill.expires_at).max() {
                lines.push(format!("  the cloud ends the instance by itself at {}", clock(expiry)));
            }
            let runs = BTreeSet::from_iter(left.iter().map(|one| one.made_by.as_deref().unwrap_or(run)));
            lines.extend(
                runs.iter().map(|run| format!("  to end it now: gpu-harness reap --run {}", cell(run))),
            );
        } else if handed_on.len() < self.resources.len() {
            let gone = figures::count(self.resources.len() - handed_on.len(), "resource");
            lines.push(look.good(&format!("given back: {gone} made, each confirmed gone")));
        }
        lines
    }
}

fn names(resources: &[&Resource]) -> String {
    let names =
        resources.iter().map(|one| format!("{} {} ({})", one.resource, cell(&one.id), cell(&one.region)));
    Vec::from_iter(names).join(", ")
}

impl Bill {
    fn line(&self) -> String {
        let price = self.usd_per_hour.map_or_else(
            || "price not known".to_owned(),
            |price| format!("{} an hour", figures::dollars(price)),
        );
        let spent = match (self.seconds_billed, self.usd) {
            (Some(seconds), Some(usd)) => {
                format!("; {} billed, {}", figures::about(seconds), figures::dollars(usd))
            }
            (Some(seconds), None) => format!("; {} billed", figures::about(seconds)),
            _ => String::new(),
        };
        let (node, kind) = (cell(&self.node), cell(&self.instance_type));
        let (zone, market) = (cell(&self.zone), cell(&self.market));
        format!("node {node}: {kind} {market} in {zone}, {price}{spent}")
    }

    fn start_up_line(&self) -> Option<String> {
        if self.start_up.is_empty() {
            return None;
        }
        let all = self.start_up.values().fold(0.0, |all, one| all + one);
        let parts = self
            .start_up
            .iter()
            .map(|(phase, seconds)| format!("{} {}", phase_name(*phase), figures::seconds(*seconds)));
        Some(format!("started in {}: {}", figures::seconds(all), Vec::from_iter(parts).join(", ")))
    }
}

/// What a person is told while there is nothing to be had.
pub fn waiting_line(event: &event::Waiting) -> String {
    let next = figures::about(sane_seconds(event.seconds));
    format!("{}; next try in {next}; giving up at {}", cell(&event.reason), clock(event.until))
}

/// What a person is told when there is.
pub fn provisioned_line(event: &event::NodeProvisioned) -> String {
    let price = event.usd_per_hour.map_or_else(
        || "at a price that is not known".to_owned(),
        |price| format!("at {} an hour", figures::dollars(sane_seconds(price))),
    );
    format!(
        "node {} is {}: {} {} in {} {price}; ends by itself at {}",
        cell(event.node.as_str()),
        cell(&event.instance),
        cell(&event.instance_type),
        cell(&event.market),
        cell(&event.zone),
        clock(event.expires_at)
    )
}

/// What a person is told when a node comes from an earlier run.
pub fn taken_over_line(event: &event::TakenOver) -> String {
    let (node, instance) = (cell(event.node.as_str()), cell(&event.instance));
    format!("node {node} is {instance}, taken over from run {} of this job", cell(event.run.as_str()))
}

/// What a person is told when a node goes to the next run.
pub fn handed_on_line(event: &event::HandedOn) -> String {
    let (node, instance) = (cell(event.node.as_str()), cell(&event.instance));
    let until = clock(event.until);
    format!("node {node} ({instance}) is handed on to the next run of this job; it ends by itself at {until}")
}

/// What a part of a node's start is called.
pub fn phase_name(phase: StartPhase) -> &'static str {
    match phase {
        StartPhase::LookUp => "look-up",
        StartPhase::Capacity => "capacity",
        StartPhase::Pending => "pending",
        StartPhase::Boot => "boot",
        StartPhase::Ssh => "ssh",
        StartPhase::Health => "health",
        StartPhase::Deploy => "deploy",
        StartPhase::FirstEvent => "first event",
        StartPhase::Environment => "environment",
    }
}

/// A time of day that a person can compare with a clock.
pub fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S UTC").to_string()
}

fn cell(text: &str) -> String {
    log_line(text)
}

#[cfg(test)]
mod tests {
    use gpu_suites::event::{Cost, HandedOn, NodeProvisioned, Phase, ResourceGone, ResourceMade, TakenOver};
    use gpu_suites::id::{NodeName, RunId};

    use super::*;

    fn made(resource: ResourceKind, id: &str) -> Event {
        let (id, region) = (id.into(), "us-east-1".into());
        ResourceMade { node: "cloud".into(), resource, id, region }.into()
    }

    fn run(gone: &[(ResourceKind, &str)]) -> Receipt {
        let mut receipt = Receipt::default();
        let phase = |phase, seconds| Phase { node: "cloud".into(), phase, seconds }.into();
        let had = NodeProvisioned {
            node: "cloud".into(),
            instance: "i-1".into(),
            instance_type: "g6.xlarge".into(),
            zone: "us-east-1a".into(),
            market: "spot".into(),
            usd_per_hour: Some(0.36),
            expires_at: "2026-11-23T14:32:00Z".parse().unwrap(),
        };
        let mut events: Vec<Event> = vec![
            made(ResourceKind::of("launch-template"), "lt-1"),
            phase(StartPhase::LookUp, 0.5),
            made(ResourceKind::INSTANCE, "i-1"),
            phase(StartPhase::Capacity, 2.0),
            had.into(),
            phase(StartPhase::Pending, 8.0),
            Cost { node: "cloud".into(), instance: "i-1".into(), seconds: 250.0, usd: Some(0.025) }.into(),
        ];
        for &(resource, id) in gone {
            events.push(ResourceGone { resource, id: id.into(), state: "terminated".into() }.into());
        }
        for event in &events {
            receipt.apply(Timestamp::UNIX_EPOCH, event);
        }
        receipt
    }

    #[test]
    fn a_receipt_says_what_was_had_and_that_all_of_it_is_gone() {
        let receipt = run(&[(ResourceKind::INSTANCE, "i-1"), (ResourceKind::of("launch-template"), "lt-1")]);
        assert_eq!(
            receipt.lines("r-1", Look::PLAIN),
            [
                "node cloud: g6.xlarge spot in us-east-1a, $0.36 an hour; 4m 10s billed, $0.0250",
                "  started in 10.5s: look-up 0.50s, capacity 2.0s, pending 8.0s",
                "given back: 2 resources made, each confirmed gone",
            ]
        );
    }

    #[test]
    fn what_was_handed_on_is_the_next_runs_and_what_was_taken_over_is_reaped_by_its_makers_name() {
        let mut receipt = run(&[(ResourceKind::of("launch-template"), "lt-1")]);
        let mut other = receipt.clone();
        let (node, instance, until) = (NodeName("cloud".into()), "i-1".to_owned(), Timestamp::UNIX_EPOCH);
        let resources = vec![instance.clone()];
        let (at, name) = (Timestamp::UNIX_EPOCH, node.clone());
        let handed_on = HandedOn { node: name, instance: instance.clone(), resources, until };
        receipt.apply(at, &handed_on.into());
        let said = receipt.lines("r-1", Look::PLAIN).join("\n");
        assert!(
            said.contains("handed on to the next run of this job") && said.contains("instance i-1"),
            "{said}"
        );
        assert!(said.contains("given back: 1 resource made") && !said.contains("NOT"), "{said}");
        other.apply(at, &TakenOver { node, instance, run: RunId("r-0".into()) }.into());
        let said = other.lines("r-1", Look::PLAIN).join("\n");
        assert!(said.contains("reap --run r-0") && !said.contains("reap --run r-1"), "{said}");
    }

    #[test]
    fn an_instance_that_was_told_to_shut_down_is_said_to_have_been_and_not_called_gone() {
        let mut receipt = run(&[(ResourceKind::of("launch-template"), "lt-1")]);
        let asked = event::ShutdownAsked { node: "cloud".into(), instance: "i-1".into() };
        receipt.apply(Timestamp::UNIX_EPOCH, &asked.into());
        let said = receipt.lines("r-1", Look::PLAIN).join("\n");
        assert!(said.contains("NOT confirmed gone: instance i-1"), "{said}");
        assert!(said.contains("instance i-1 was told over ssh to shut down, at 00:00:00 UTC"), "{said}");
    }

    #[test]
    fn what_nobody_confirmed_gone_is_named_with_the_command_that_ends_it() {
        let receipt = run(&[(ResourceKind::of("launch-template"), "lt-1")]);
        let said = receipt.lines("r-1", Look::PLAIN).join("\n");
        for wanted in
            ["NOT confirmed gone: instance i-1 (us-east-1)", "at 14:32:00 UTC", "gpu-harness reap --run r-1"]
        {
            assert!(said.contains(wanted), "{wanted} in {said}");
        }
        assert!(receipt.may_cost());
        assert!(
            !run(&[(ResourceKind::INSTANCE, "i-1"), (ResourceKind::of("launch-template"), "lt-1")])
                .may_cost()
        );
    }
}
