//! What stands on the page: values for the template, every one of them bounded, and the curves for its script.

use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::super::fold::RunState;
use super::super::look::Look;
use super::super::receipt::{Bill, Resource};
use super::super::{REPORTS, Report as _};
use super::Page;
use super::budget::{Budget, ROWS};
use super::case::{self, Row, Section, Sheet};
use super::plot::Plots;
use super::verdict::{self, Verdict};
use super::way;
use crate::text::figures::{self, dollars};

/// Input files that are listed.
const INPUTS: usize = 200;

#[derive(Debug, Serialize)]
pub(super) struct View {
    title: String,
    heading: String,
    verdict: Verdict,
    facts: Vec<Fact>,
    notes: Vec<String>,
    rows: Vec<Row>,
    rows_left_out: usize,
    charts: Vec<way::Chart>,
    sections: Vec<Section>,
    sections_left_out: usize,
    receipt: Option<Receipt>,
    inputs: Vec<Input>,
    warnings: Vec<String>,
    files: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
pub(super) struct Fact {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Debug, Serialize)]
struct Receipt {
    total: Option<String>,
    lines: Vec<String>,
    nodes: Vec<Node>,
    resources: Vec<Made>,
}

#[derive(Debug, Serialize)]
struct Node {
    instance: String,
    kind: String,
    price: String,
    billed: String,
    cost: String,
}

#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "`made` is when, as in receipt.json")]
struct Made {
    what: String,
    id: String,
    region: String,
    made: String,
    end: String,
    is_left: bool,
}

#[derive(Debug, Serialize)]
struct Input {
    name: String,
    bytes: String,
    sha256: String,
    source: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Data {
    plots: Plots,
}

pub(super) fn of(state: &RunState, run_dir: &Path) -> (View, Data) {
    let rows = state.cases().iter().enumerate().take(ROWS);
    let mut rows = Vec::from_iter(rows.map(|(place, case)| case::row(state, place, case)));
    // What is not good has the first call on the room that there is.
    let mut order = Vec::from_iter(state.cases().iter().enumerate());
    order.sort_by_key(|(place, case)| (!case::wants_a_look(state, case), *place));
    let few = state.cases().len() <= 3;
    let mut sheet = Sheet { state, run_dir, few, plots: Plots::new(), budget: Budget::default() };
    let mut sections = Vec::new();
    for (place, case) in order {
        if Budget::take(&mut sheet.budget.cases) {
            sections.push(case::section(&mut sheet, place, case));
            if let Some(row) = rows.get_mut(place) {
                row.has_section = true;
            }
        }
    }
    sections.sort_by_key(|section| section.place);
    let verdict = verdict::of(state);
    let run = state.run.as_ref().map_or("?", |run| run.as_str());
    let view = View {
        title: format!("{} {}: run {run}", verdict.sign, verdict.word),
        heading: run.to_owned(),
        facts: facts(state),
        notes: notes(state),
        rows_left_out: state.cases().len() - rows.len(),
        rows,
        charts: way::of(state),
        sections_left_out: state.cases().len() - sections.len(),
        sections,
        receipt: receipt(state),
        inputs: state.inputs.iter().take(INPUTS).map(input).collect(),
        warnings: warnings(state),
        files: beside(state),
        verdict,
    };
    (view, Data { plots: sheet.plots })
}

/// The files beside the page.
fn beside(state: &RunState) -> Vec<&'static str> {
    let reports = REPORTS.iter().filter(|report| report.is_wanted(state)).map(|report| report.name());
    let others = reports.filter(|name| *name != Page.name());
    others.chain(["events.ndjson"]).collect()
}

fn facts(state: &RunState) -> Vec<Fact> {
    let hello = state.hello.as_ref();
    let took = state.began.map(|_| figures::seconds(state.seconds()));
    let cost = (!state.receipt.nodes.is_empty())
        .then(|| state.receipt.usd().map_or("not known".to_owned(), dollars));
    let known = [
        ("Node", state.node.as_ref().map(ToString::to_string)),
        ("Host", hello.map(|hello| hello.host.clone())),
        ("Commit", state.commit.clone()),
        ("Began", state.began.map(time)),
        ("Took", took),
        ("Cost", cost),
        ("libtorch", hello.and_then(|hello| hello.libtorch.clone())),
        ("gpu-harness", state.harness.clone()),
    ];
    let fact = |(name, value): (&str, Option<String>)| Some(Fact { name: name.to_owned(), value: value? });
    known.into_iter().filter_map(fact).collect()
}

/// What happened to the run itself.
fn notes(state: &RunState) -> Vec<String> {
    let mut notes = Vec::new();
    notes.extend(state.closed.as_ref().and_then(|closed| closed.error.clone()));
    notes.extend(state.interrupted.as_ref().map(|by| format!("The run was interrupted by {by}.")));
    notes.extend(state.node_reason.as_ref().map(|why| format!("The node ended the run: {why}")));
    for notice in &state.reclaims {
        let when = notice.taken_at.map(|at| format!(" at {}", time(at))).unwrap_or_default();
        notes.push(format!("The cloud took the node back ({}){when}.", notice.action));
    }
    for loss in &state.losses {
        let back = loss.seconds.map_or_else(
            || "it did not come back".to_owned(),
            |seconds| format!("back after {}", figures::seconds(seconds)),
        );
        notes.push(format!("The connection was lost at {}: {}; {back}.", time(loss.at), loss.error));
    }
    let more = state.loss_count.saturating_sub(state.losses.len() as u64);
    if more > 0 {
        notes.push(format!("It was lost {more} times before that."));
    }
    notes
}

fn warnings(state: &RunState) -> Vec<String> {
    let mut warnings = Vec::from_iter(state.warnings.iter().map(|warning| match &warning.case {
        Some(case) => format!("{case}: {}", warning.message),
        None => warning.message.clone(),
    }));
    if state.warnings_left_out > 0 {
        warnings.push(format!("{} more are in events.ndjson.", state.warnings_left_out));
    }
    warnings
}

fn receipt(state: &RunState) -> Option<Receipt> {
    let receipt = &state.receipt;
    if receipt.is_empty() {
        return None;
    }
    let run = state.run.as_ref().map_or("?", |run| run.as_str());
    Some(Receipt {
        total: receipt.usd().filter(|_| !receipt.nodes.is_empty()).map(dollars),
        lines: receipt.lines(run, Look::PLAIN),
        nodes: receipt.nodes.iter().map(node).collect(),
        resources: receipt.resources.iter().map(made).collect(),
    })
}

fn node(bill: &Bill) -> Node {
    Node {
        instance: bill.instance.clone(),
        kind: format!("{} {} in {}", bill.instance_type, bill.market, bill.zone),
        price: bill
            .usd_per_hour
            .map_or("not known".to_owned(), |price| format!("{} an hour", dollars(price))),
        billed: bill.seconds_billed.map_or("its end was not seen".to_owned(), figures::seconds),
        cost: bill.usd.map_or("not known".to_owned(), dollars),
    }
}

fn made(resource: &Resource) -> Made {
    let end = match (resource.gone_at, resource.handed_on_at) {
        (Some(at), _) => format!("gone at {} ({})", clock(at), resource.state.as_deref().unwrap_or("?")),
        (None, Some(at)) => format!("handed on to the next run at {}", clock(at)),
        (None, None) => "NOT confirmed gone".to_owned(),
    };
    Made {
        what: resource.resource.to_string(),
        id: resource.id.clone(),
        region: resource.region.clone(),
        made: clock(resource.made_at),
        end,
        is_left: resource.gone_at.is_none() && resource.handed_on_at.is_none(),
    }
}

fn input(input: &gpu_suites::event::Input) -> Input {
    Input {
        name: input.name.clone(),
        bytes: figures::bytes(input.bytes),
        sha256: input.sha256.as_str().to_owned(),
        source: input.source.clone().unwrap_or_default(),
    }
}

/// A time that needs no time zone of the reader's.
fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn clock(at: Timestamp) -> String {
    at.strftime("%H:%M:%S").to_string()
}
