//! How a run ended, at a glance.

use gpu_suites::exit::Exit;
use serde::Serialize;

use super::super::case::Phase;
use super::super::fold::RunState;
use super::super::look::{Look, sign};
use super::super::standing::Tone;
use super::super::summary;
use crate::text::figures::{self, count};

/// What comes first on the page.
#[derive(Debug, Serialize)]
pub(super) struct Verdict {
    pub(super) tone: Tone,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
    /// `5 passed, 1 failed in 1m 23s`.
    pub(super) tally: String,
    /// What the exit code means, or why there is none.
    pub(super) meaning: String,
    pub(super) exit: Option<u8>,
    /// How many cases ended in each way.
    pub(super) outcomes: Vec<Count>,
}

/// Cases that ended in one way.
#[derive(Debug, Serialize)]
pub(super) struct Count {
    outcome: String,
    sign: &'static str,
    tone: Tone,
    number: usize,
}

pub(super) fn of(state: &RunState) -> Verdict {
    let tally = summary::tally(state, Look::PLAIN);
    let outcomes = state.tally().into_iter().map(|(outcome, number)| Count {
        outcome: outcome.to_string(),
        sign: sign(outcome),
        tone: Tone::of(outcome),
        number,
    });
    let outcomes = Vec::from_iter(outcomes);
    let verdict = |tone, sign, word, meaning: String, exit| Verdict {
        tone,
        sign,
        word,
        tally: tally.clone(),
        meaning,
        exit,
        outcomes,
    };
    if state.is_live() {
        let ended = state.cases().iter().filter(|case| case.phase == Phase::Finished).count();
        let of = count(state.cases().len(), "case");
        return Verdict {
            tally: format!("{ended} of {of} have ended after {}", figures::seconds(state.seconds())),
            outcomes: Vec::new(),
            ..verdict(Tone::Odd, "▶", "Going on", "The run has not ended.".to_owned(), None)
        };
    }
    let exit = state.exit();
    if state.cut_off {
        let meaning = "The events end here although the run had not: gpu-harness was killed. What had not finished is an \
                       error, never a pass.";
        return verdict(Tone::Bad, "!", "Cut off", meaning.to_owned(), Some(exit.code()));
    }
    let (tone, sign, word) = match exit {
        Exit::AllPassed => (Tone::Good, "✓", "Passed"),
        Exit::CheckFailed => (Tone::Bad, "✗", "Failed"),
        Exit::Usage => (Tone::Bad, "!", "Not run"),
        Exit::Infrastructure => (Tone::Bad, "!", "Node trouble"),
        Exit::Limit => (Tone::Bad, "◔", "Out of time"),
        Exit::Interrupted => (Tone::Odd, "■", "Interrupted"),
    };
    verdict(tone, sign, word, format!("{}.", summary::meaning(exit)), Some(exit.code()))
}
