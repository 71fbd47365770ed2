//! The run that goes on now and its history: what is known before, and what is said and kept after.
//!
//! Trouble with the history is a warning and never the run's outcome.

use gpu_suites::event::{Judged, Warning};
use gpu_suites::id::CaseId;
use jiff::Zoned;

use super::judge::{Judge, PatternError};
use super::{AddError, History, Location, Store, StoreError, append, quarantine};
use crate::config::{Config, NotifyConfig};
use crate::failure::chain;
use crate::notify::{Message, change};
use crate::recorder::{Recorder, RecorderError};
use crate::report::RunState;

/// What a run is judged by.
#[derive(Debug)]
pub struct Tonight {
    config: Config,
    judge: Judge,
    kept: Option<Kept>,
}

/// A history, as it was before the run.
#[derive(Debug)]
struct Kept {
    place: Location,
    store: Option<Store>,
    before: History,
    trouble: Option<String>,
}

impl Tonight {
    /// Reads the history at `place`, else that of the settings; without either only the quarantine counts.
    pub fn begin(place: Option<Location>, config: Config) -> Result<Self, PatternError> {
        let judge = Judge::of(&config)?;
        let kept = place.or_else(|| config.history.clone()).map(Kept::read);
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
    pub fn conclude(&self, recorder: &mut Recorder) -> Result<(), RecorderError> {
        let today = Zoned::now().date();
        let (quarantined, mut warnings) = quarantine::of_run(&self.config, recorder.state(), today);
        for event in quarantined {
            recorder.own(event)?;
        }
        if let Some(kept) = &self.kept {
            for judged in self.judge.judge(&kept.before, recorder.state()) {
                recorder.own(judged)?;
            }
            let said = kept.trouble.iter().cloned().chain(kept.add(recorder.state()));
            warnings.extend(said.map(|message| Warning { case: None, message }));
        }
        for warning in warnings {
            recorder.own(warning)?;
        }
        Ok(())
    }

    /// What changed since the run before, for those whom the settings name; every verdict is in the state by now.
    pub fn message(&self, state: &RunState) -> Option<Message> {
        let kept = self.kept.as_ref().filter(|_| !self.config.notify.is_empty())?;
        Message::of(state, change::of_run(&self.judge, &kept.before, state))
    }

    /// Whom the settings name.
    pub fn everybody(&self) -> &[NotifyConfig] {
        &self.config.notify
    }
}

impl Kept {
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
