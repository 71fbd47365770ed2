//! One judgement, many renderers: whatever an outcome amounts to, all of them say the same.

use std::fmt::Write as _;
use std::path::Path;

use gpu_suites::exit::Exit;
use gpu_suites::outcome::{Blame, Outcome};
use gpu_suites::regression::standing::Past;

use super::annotation::{self, Level};
use super::github;
use crate::report::look::Look;
use crate::report::sample::{Known, one};
use crate::report::standing::Tone;
use crate::report::{RunState, html, junit, markdown, summary};

fn here() -> annotation::PathBase<'static> {
    annotation::PathBase { root: None, cwd: Path::new("/repo") }
}

/// What each renderer says of a run of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    junit: &'static str,
    github: &'static str,
    bitbucket: &'static str,
    page: &'static str,
    exit: Exit,
}

fn junit(state: &RunState) -> &'static str {
    let xml = String::from_utf8(junit::xml(state, Path::new("/run"))).unwrap();
    let found = ["<failure", "<error", "<skipped"].into_iter().find(|element| xml.contains(element));
    found.unwrap_or("passed")
}

fn github(state: &RunState) -> &'static str {
    let text = github::commands(&annotation::of_run(state, here()));
    ["::error", "::warning"].into_iter().find(|command| text.starts_with(command)).unwrap_or("nothing")
}

/// The one row of Code Insights that counts the case.
fn bitbucket(state: &RunState) -> &'static str {
    let rows = super::bitbucket::counts(state);
    let counted = Vec::from_iter(rows.into_iter().filter(|(_, number)| *number == 1));
    let [(title, _)] = counted[..] else { panic!("one row counts the case: {counted:?}") };
    title
}

fn page(state: &RunState) -> &'static str {
    let page = html::html(state, Path::new("/run")).unwrap();
    let pills = ["pill good", "pill bad", "pill odd", "pill dim"];
    let place = |pill: &&str| page.find(&format!("<span class=\"{pill}\"")).unwrap_or(usize::MAX);
    pills.into_iter().min_by_key(place).unwrap()
}

#[test]
fn every_report_and_the_exit_code_blame_the_same_for_every_way_that_a_case_can_end() {
    let mut table = String::new();
    for known in Known::ALL {
        for outcome in Outcome::ALL {
            let state = one(outcome, known);
            let ending = state.ending(&state.cases()[0]);
            let said = Said {
                junit: junit(&state),
                github: github(&state),
                bitbucket: bitbucket(&state),
                page: page(&state),
                exit: state.exit(),
            };
            let wanted = match ending.standing.blame() {
                Blame::Code => Said {
                    junit: "<failure",
                    github: "::error",
                    bitbucket: "Failed",
                    page: "pill bad",
                    exit: Exit::CheckFailed,
                },
                blame @ (Blame::Infrastructure | Blame::Limit) => Said {
                    junit: "<error",
                    github: "::error",
                    bitbucket: "Not judged (infrastructure, limits)",
                    page: "pill bad",
                    exit: if blame == Blame::Limit { Exit::Limit } else { Exit::Infrastructure },
                },
                Blame::User => Said {
                    junit: "<error",
                    github: "::warning",
                    bitbucket: "Not judged (infrastructure, limits)",
                    page: "pill odd",
                    exit: Exit::Interrupted,
                },
                // Good, left out, or excused: none of them fails a build, and each looks like itself.
                Blame::Nobody => Said { exit: Exit::AllPassed, ..said },
            };
            assert_eq!(said, wanted, "{outcome} with {known:?}");
            // A line of the summary, of the step's page and of the page each has the same word.
            let word = ending.word();
            for text in [summary::summary(&state, Look::PLAIN), markdown::page(&state, state.exit())] {
                assert!(
                    text.contains(&format!("{} {word}", ending.sign())),
                    "{outcome} with {known:?}: {text}"
                );
            }
            assert!(
                html::html(&state, Path::new("/run")).unwrap().contains(&word),
                "{outcome} with {known:?}"
            );
            // Only what is wrong with the code itself is a failure that a reviewer has to look at.
            let level = annotation::of_run(&state, here()).first().map(|note| note.level);
            assert_eq!(
                level == Some(Level::Failure),
                ending.standing.blame() == Blame::Code,
                "{outcome} with {known:?}"
            );
            assert_eq!(ending.tone() == Tone::Good, said.page == "pill good", "{outcome} with {known:?}");
            let history = Past { outcome, flaky: false }.is_good();
            assert_eq!(history == Some(false), outcome.blame().may_be_the_codes(), "{outcome}");
            let _ = writeln!(
                table,
                "{:<18} {outcome:<11} {word:<11} {:<8} {:<9} {:<35} {:<8} {}",
                format!("{known:?}"),
                said.junit,
                said.github,
                said.bitbucket,
                said.page.trim_start_matches("pill "),
                said.exit.code()
            );
        }
    }
    insta::assert_snapshot!(table);
}
