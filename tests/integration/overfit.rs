//! The main job: a real aerial image overfitted on a node that is reached by ssh, reported as JUnit.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gpu_harness_tests::project::Project;
use gpu_harness_tests::sshd::Sshd;
use gpu_harness_tests::xml;
use gpu_suites::checks;
use gpu_suites::event::{Event, Verdict};
use gpu_suites::id::CheckName;
use gpu_suites::load::load;
use gpu_suites::outcome::Outcome;
use gpu_suites::spec::Case;

fn suite() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("suites").join("overfit-one-image.yaml")
}

#[test]
fn one_real_image_is_overfitted_on_a_node_and_reported_as_junit() {
    let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
    let cache =
        gpu_harness::files::cache::folder(&gpu_harness::here::Env::of_process()).expect("a cache folder");
    let sshd = Sshd::start();
    let project = Project::new()
        .file(
            "gpu-harness.yaml",
            format!(
                "nodes:\n  lab: {{ provider: ssh, address: {:?}, libtorch: {libtorch:?} }}\n",
                sshd.address()
            ),
        )
        .env("HOME", sshd.client_home().display().to_string())
        .env("GPU_HARNESS_CACHE", cache.display().to_string());
    let run = project.run(&[suite().to_str().expect("UTF-8"), "--node", "lab"]);
    assert_eq!(run.code(), 0, "{}\n{}", run.stdout, run.stderr);

    let cases = xml::cases(&run.junit());
    assert!(cases.len() >= 5, "{cases:?}");
    assert!(cases.values().all(|outcome| outcome == "passed"), "{cases:?}");

    let events = run.events();
    let findings = || {
        events.iter().filter_map(|record| match &record.event {
            Event::Check(check) => Some((check.case.case(), &check.finding)),
            _ => None,
        })
    };
    // Each check that the suite asks for was judged somewhere and held; mixed precision may be skipped, with its reason.
    let asked = load(&suite(), Path::new("/")).expect("the suite is right").suite.cases;
    let asked: BTreeSet<CheckName> = asked.iter().flat_map(Case::selected_checks).collect();
    assert!(asked.len() >= 15, "{asked:?}");
    for check in asked {
        let verdicts: Vec<Verdict> = findings()
            .filter(|(_, finding)| finding.check == check)
            .map(|(_, finding)| finding.verdict)
            .collect();
        let skipped_for_cause = check == checks::MixedPrecision::NAME && verdicts.contains(&Verdict::Skipped);
        assert!(verdicts.contains(&Verdict::Held) || skipped_for_cause, "{check}: {verdicts:?}");
    }
    // The negative control passed because what should break did break.
    let controls: Vec<_> = findings().filter(|(_, finding)| finding.verdict == Verdict::Broke).collect();
    assert!(!controls.is_empty());
    let mut of: Vec<&str> = controls.iter().map(|(case, _)| *case).collect();
    of.dedup();
    assert_eq!(of.len(), 1, "only the control breaks a check: {of:?}");
    assert_eq!(run.outcome(of[0]).0, Outcome::Passed);

    let said: Vec<_> = events
        .iter()
        .filter_map(|record| match &record.event {
            // What the agent tells of a command is where it ran.
            Event::Device(device) => Some(&device.facts).filter(|facts| !facts.contains_key("ran_on")),
            _ => None,
        })
        .collect();
    assert!(!said.is_empty(), "the worker tells what it ran on");
    assert!(said.iter().all(|facts| facts.contains_key("threads") && facts.contains_key("seed")), "{said:?}");
    let source = events.iter().find_map(|record| match &record.event {
        Event::Input(input) if input.name.contains("image") => input.source.clone(),
        _ => None,
    });
    assert!(source.is_some_and(|source| !source.is_empty()), "the run says which image was used");
}
