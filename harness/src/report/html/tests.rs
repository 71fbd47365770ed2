use std::fs;

use gpu_suites::event::{CaseStarted, Event, Log, Metrics, Record, RunCreated};
use gpu_suites::metrics::Value;
use jiff::Timestamp;

use super::super::sample;
use super::*;

fn page(records: &[Record]) -> String {
    html(&sample::state(records), Path::new("no-such-folder")).unwrap()
}

#[test]
fn every_outcome_is_told_with_its_reason() {
    let page = page(&sample::every_outcome());
    for says in [
        "Interrupted",
        "unet-crowns",
        "loss_drop broke: loss 0.31 after 200 steps",
        "the worker was killed by SIGKILL (out of memory?)",
        "ran into its limit of 10m",
        "this CPU has no bf16 instructions",
        "MemoryError",
        "labels and inputs may be out of step",
        "OSBS_029 of DeepForest 2.1.0 (MIT)",
        "Exit code 130.",
    ] {
        let says = says.replace("loss_drop", "loss-drop");
        assert!(page.contains(&says), "{says:?} is not on the page");
    }
    assert!(page.contains(r#"data-plot="0-0""#), "the losses are drawn");
}

#[test]
fn what_a_hostile_node_says_is_text_and_leads_nowhere() {
    let page = page(&sample::hostile());
    assert_eq!(page.matches("<script").count(), 5);
    assert!(!page.contains("<script>alert"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown as what it is");
    assert!(!page.contains(['\u{202e}', '\x1b', '\x07', '\0']));
    for href in page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let is_ours = href.starts_with('#')
            || href.starts_with(".&#x2f;")
            || href.starts_with("./")
            || href == "data:,";
        assert!(is_ours && !href.contains(".."), "{href}");
    }
}

#[test]
fn a_run_that_was_killed_says_so_and_has_no_pass_that_is_none() {
    let records = sample::every_outcome();
    let mut state = sample::state(&records[..60]);
    state.cut_off();
    let page = html(&state, Path::new("no-such-folder")).unwrap();
    assert!(page.contains("Cut off") && page.contains("was gpu-harness killed?"), "{page}");
    let mut live = sample::state(&records[..60]);
    live.cut_off = false;
    let page = html(&live, Path::new("no-such-folder")).unwrap();
    assert!(page.contains("Going on") && page.contains("> running</span>"), "{page}");
}

#[test]
fn any_beginning_of_a_run_has_a_page() {
    let records = sample::every_outcome();
    for end in (0..records.len()).step_by(41) {
        let page = page(&records[..end]);
        assert!(page.ends_with("</html>\n") || page.ends_with("</html>"), "{end}");
    }
}

/// A run of so many cases, each with so many metrics and lines of log.
fn large(cases: u64, metrics: u64, lines: u64) -> RunState {
    let at = |second: u64| Timestamp::from_second(1_790_000_000 + second.cast_signed()).unwrap();
    let id = |case: u64| gpu_suites::id::CaseId::new("large", &format!("case-{case}"));
    let mut state = RunState::default();
    let mut seq = 0;
    let mut apply = |state: &mut RunState, second, event: Event| {
        state.apply(&Record { seq, at: at(second), from: None, event });
        seq += 1;
    };
    let summaries = (0..cases).map(|case| gpu_suites::event::CaseSummary {
        id: id(case),
        description: Some("one of many".repeat(20)),
        at: "suites/large.yaml:1".into(),
        junit: Vec::new(),
    });
    let created = RunCreated {
        run: "r".into(),
        harness: "0".into(),
        node: "n".into(),
        cases: summaries.collect(),
        commit: None,
    };
    apply(&mut state, 0, created.into());
    for case in 0..cases {
        apply(&mut state, case, CaseStarted { case: id(case), attempt: 1 }.into());
        for step in 0..metrics {
            let values =
                (0..10).map(|name| (format!("metric-{name}/loss"), Value::Number((step as f64).sin())));
            apply(
                &mut state,
                case,
                Metrics { case: id(case), step: Some(step), values: values.collect() }.into(),
            );
        }
        for line in 0..lines {
            let text = format!("<b>line {line}</b> & a hundred bytes more {}\n", "x".repeat(70));
            apply(
                &mut state,
                case,
                Log { case: id(case), stream: gpu_suites::event::Stream::Stderr, text, raw: None }.into(),
            );
        }
    }
    state.cut_off();
    state
}

#[test]
fn a_page_is_a_few_megabytes_however_much_there_is_to_tell() {
    for (cases, metrics, lines) in [(2_000, 40, 20), (3, 20_000, 20_000)] {
        let page = html(&large(cases, metrics, lines), Path::new("no-such-folder")).unwrap();
        assert!(page.len() < 8_000_000, "{cases} cases: {} bytes", page.len());
        assert!(page.contains("case-1999") || cases < 2_000, "every case has its row");
    }
}

#[test]
fn only_files_that_are_there_are_linked_and_no_link_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = folder.path().join("cases/overfit-one-image.unet-crowns/artifacts");
    fs::create_dir_all(&artifacts).unwrap();
    let secret = folder.path().join("secret.png");
    image::RgbImage::new(4, 4).save(&secret).unwrap();
    let state = sample::state(&sample::every_outcome());
    let page = |name: &str| {
        let page = html(&state, folder.path()).unwrap();
        assert!(page.contains("overlay.png"), "{name}");
        page
    };
    assert!(page("not fetched").contains("not fetched"));
    std::os::unix::fs::symlink(&secret, artifacts.join("overlay.png")).unwrap();
    assert!(!page("a link").contains("data:image"), "a link is not followed");
    fs::remove_file(artifacts.join("overlay.png")).unwrap();
    fs::copy(&secret, artifacts.join("overlay.png")).unwrap();
    let page = page("a file").replace("&#x2f;", "/");
    assert!(page.contains("data:image/png;base64,"), "{page}");
    assert!(page.contains(r#"href="./cases/overfit-one-image.unet-crowns/artifacts/overlay.png""#));
}
