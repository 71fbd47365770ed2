//! The run that goes on now and its history: what is known before, and what is said and kept after.
//!
//! Trouble with the history is a warning and never the run's outcome.

use gpu_suites::event::{Judged, Warning};
use gpu_suites::id::CaseId;
use jiff::Zoned;

use crate::config::Location;
use crate::config::{Config, NotifyConfig};
use crate::here::Env;
use crate::history::judge::{Judge, PatternError};
use crate::history::{AddError, History, Store, StoreError, append, quarantine};
use crate::notify::{Message, change};
use crate::recorder::Recorder;
use crate::report::RunState;
use crate::text::chain;

#[derive(Debug)]
pub struct RunHistory {
    config: Config,
    judge: Judge,
    kept: Option<LoadedHistory>,
}

/// A history, as it was before the run.
#[derive(Debug)]
struct LoadedHistory {
    place: Location,
    store: Option<Store>,
    before: History,
    trouble: Option<String>,
}

impl RunHistory {
    /// Reads the history at `place`, else that of the settings; without either only the quarantine counts.
    pub fn begin(place: Option<Location>, config: Config) -> Result<Self, PatternError> {
        let judge = Judge::of(&config)?;
        let kept = place.or_else(|| config.history.clone()).map(LoadedHistory::read);
        Ok(Self { config, judge, kept })
    }

    /// The cases that have to be measured again before anything can be said.
    pub fn suspected(&self, state: &RunState) -> Vec<CaseId> {
        self.kept.as_ref().map(|kept| self.judge.suspected(&kept.before, state)).unwrap_or_default()
    }

    /// What is to be said of the cases whose node is slower than such nodes are, or sick. That a GPU is sick is known without
    /// a history too.
    pub fn degraded(&self, state: &RunState) -> Vec<Judged> {
        let judged = match &self.kept {
            Some(kept) => self.judge.judge(&kept.before, state),
            None => self.judge.judge(&History::default(), state),
        };
        judged.into_iter().filter(|judged| judged.degraded.is_some()).collect()
    }

    /// Whether there is a history that verdicts are told by.
    pub fn has_history(&self) -> bool {
        self.kept.is_some()
    }

    /// Says what the history says, and adds the run to it. Every case has its outcome by now.
    pub fn conclude(&self, recorder: &mut Recorder) {
        let today = Zoned::now().date();
        let (quarantined, mut warnings) = quarantine::of_run(&self.config, recorder.state(), today);
        for event in quarantined {
            recorder.own(event);
        }
        if let Some(kept) = &self.kept {
            for judged in self.judge.judge(&kept.before, recorder.state()) {
                recorder.own(judged);
            }
            let said = kept.trouble.iter().cloned().chain(kept.add(recorder.state()));
            warnings.extend(said.map(|message| Warning { case: None, message }));
        }
        for warning in warnings {
            recorder.own(warning);
        }
    }

    /// What changed since the run before, for those whom the settings name; every verdict is in the state by now.
    pub fn message(&self, state: &RunState, env: &Env) -> Option<Message> {
        let kept = self.kept.as_ref().filter(|_| !self.config.notify.is_empty())?;
        Message::of(state, change::of_run(&self.judge, &kept.before, state), env)
    }

    pub fn everybody(&self) -> &[NotifyConfig] {
        &self.config.notify
    }
}

impl LoadedHistory {
    fn read(place: Location) -> Self {
        // The first run begins it: a place without runs is not in trouble.
        let mut trouble = None;
        let store = Store::at(&place).map_err(|error| trouble = Some(said(&error))).ok();
        let read = store.as_ref().map(History::read).transpose();
        let before = read.map_err(|error| trouble = Some(said(&error))).ok().flatten().unwrap_or_default();
        let skipped = before.skipped.first().map(|first| {
            let more = before.skipped.len() - 1;
            let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
            format!("the history in {place}: {} was left out: {}{more}", first.name, first.why)
        });
        Self { place, store, trouble: trouble.or(skipped), before }
    }

    /// Adds the run; what went wrong, in a line.
    fn add(&self, state: &RunState) -> Option<String> {
        let error = append(state, self.store.as_ref()?).err()?;
        let why = match &error {
            AddError::Store(error) => said(error),
            other => chain(other),
        };
        Some(format!("this run is not in the history in {}: {why}", self.place))
    }
}

fn said(error: &StoreError) -> String {
    format!("{error}; {}", error.fault.hint())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use gpu_suites::event::{
        CaseFinished, CaseStarted, CaseSummary, Event, GpusWatched, Metrics, Record, RunCreated,
    };
    use gpu_suites::metrics::Value;
    use gpu_suites::outcome::Outcome;

    use super::*;
    use crate::history::fold;

    fn attempt(number: u32, rate: f64, broken: &[&str]) -> Vec<Event> {
        let case = CaseId::new("s", "c");
        let broken = Vec::from_iter(broken.iter().map(ToString::to_string));
        let values = BTreeMap::from([("rate".to_owned(), Value::Number(rate))]);
        vec![
            CaseStarted { case: case.clone(), attempt: number }.into(),
            Metrics { case: case.clone(), step: None, values }.into(),
            GpusWatched { case: case.clone(), attempt: number, gpus: vec![], broken }.into(),
            CaseFinished { case, attempt: number, outcome: Outcome::Passed, reason: None, seconds: 1.0 }
                .into(),
        ]
    }

    fn state(attempts: Vec<Vec<Event>>) -> RunState {
        let summary =
            CaseSummary { id: CaseId::new("s", "c"), description: None, at: String::new(), junit: vec![] };
        let created = RunCreated {
            run: "20261125-000000-1".into(),
            harness: "0".into(),
            node: "n".into(),
            cases: vec![summary],
            commit: None,
        };
        let mut state = RunState::default();
        let events = std::iter::once(Event::from(created)).chain(attempts.into_iter().flatten());
        for (seq, event) in (0..).zip(events) {
            state.apply(&Record { seq, at: jiff::Timestamp::UNIX_EPOCH, from: None, event });
        }
        state
    }

    #[test]
    fn a_sick_gpu_is_known_without_a_history_and_another_nodes_figures_count() {
        let run_history = RunHistory::begin(None, Config::default()).unwrap();
        assert!(!run_history.has_history());
        let hot = attempt(1, 50.0, &["GPU 0 slowed itself down: heat"]);
        let sick = state(vec![hot.clone()]);
        let degraded = run_history.degraded(&sick);
        assert_eq!(degraded[0].degraded.as_deref(), Some("GPU 0 slowed itself down: heat"));
        let lines = fold::lines(&sick);
        assert_eq!((lines[0].healthy, lines[0].number()), (false, Some(50.0)), "it is shown, and no more");
        // The same case once more, on another node.
        let well = state(vec![hot, attempt(2, 100.0, &[])]);
        assert_eq!(run_history.degraded(&well), []);
        let lines = fold::lines(&well);
        assert_eq!((lines[0].healthy, lines[0].numbers()), (true, vec![100.0]));
    }
}
