//! The node's store: what is there is not sent again, and what arrives damaged is refused.

use gpu_harness_tests::project::{Finished, Project};
use gpu_suites::event::Event;

fn uploads(run: &Finished) -> Vec<usize> {
    let sent = run.events();
    sent.iter()
        .filter_map(|record| if let Event::Upload(event) = &record.event { Some(event.sent) } else { None })
        .collect()
}

#[test]
fn the_second_run_uploads_nothing_that_is_there() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - { name: reads, command: { run: [cat, data/a.txt, b.txt], files: [data/a.txt, b.txt] } }\n",
    )
    .file("data/a.txt", "one\n")
    .file("b.txt", "two\n");
    let first = project.run(&[]);
    assert_eq!((first.code(), uploads(&first)), (0, vec![2]), "{first:?}");
    assert_eq!(first.log("reads"), "one\ntwo\n");
    let second = project.run(&[]);
    assert_eq!((second.code(), uploads(&second)), (0, vec![]), "{second:?}");
    let changed = project.file("b.txt", "three\n");
    let third = changed.run(&[]);
    assert_eq!((third.code(), uploads(&third)), (0, vec![1]));
    assert_eq!(third.log("reads"), "one\nthree\n");
}

#[test]
fn a_case_cannot_damage_what_other_runs_read() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - { name: writes, command: { run: [sh, -c, 'echo changed > a.txt; cat a.txt; rm -f a.txt'], files: [a.txt] } }\n  - { name: reads, command: { run: [cat, a.txt], files: [a.txt] } }\n",
    )
    .file("a.txt", "original\n");
    let run = project.run(&[]);
    assert_eq!(run.log("reads"), "original\n", "{run:?}");
}
