//! Text from a node cannot break the report, steer the CI system or the terminal.

use gpu_harness_tests::project::Project;
use gpu_harness_tests::xml;

/// Writes everything that is known to do harm, to both streams and into metrics.
const SCRIPT: &str = r###"
import os, sys
evil = [
    b"\x1b[2J\x1b]0;owned\x07\x1b[31mred", b"nul\x00nul", b"]]>", b"<script>alert(1)</script>", b"&lt;&#0;&undefined;",
    b"::set-output name=a::b", b"::error file=a.rs::no", b"::stop-commands::x", b"  ::add-mask::y",
    b"##[group]x", b"text ##[error]y", b"##vso[task.complete]z", b"##teamcity[buildStatus status='SUCCESS']",
    b"\x1b[0Ksection_start:1:x\r\x1b[0Khidden", b"\xff\xfe\xed\xa0\x80", b"\xc2\x9b31m", b"\xe2\x80\xaegnirts", b"\rover",
]
for line in evil:
    os.write(1, line + b"\n")
    os.write(2, line + b"\n")
os.write(1, b"x" * (10 << 20) + b"\n")
metrics = open(os.environ["GPU_HARNESS_METRICS"], "w")
metrics.write('{"]]>\\u001b[2J<b>": 1, "fact": "\\u0000::error::\\u001b[1m]]>"}\n')
metrics.write('{"@error": {"what": "\\u001b[2J]]>::error::x"}}\n')
metrics.write('::set-output name=a::b\n')
metrics.close()
sys.exit(1)
"###;

#[test]
fn hostile_text_breaks_no_report_and_steers_nobody() {
    let project = Project::with_suite(
        "suite: s\ncases:\n  - name: evil\n    command: { run: [python3, evil.py], files: [evil.py] }\n",
    )
    .file("evil.py", SCRIPT);
    for flag in ["-v", "-q"] {
        let run = project.run(&[flag]);
        assert_eq!(run.code(), 1, "{}", run.stdout);
        xml::check(&run.junit());
        let junit = xml::text(&run.junit());
        assert!(!junit.contains('\u{1b}') && !junit.contains('\0'));
        // A CI system takes commands from what is printed, not from a report.
        for printed in [&run.stdout, &run.stderr] {
            for line in printed.lines() {
                let line = line.trim_start();
                assert!(!line.starts_with("::"), "GitHub takes this as a command: {line:?}");
                assert!(!line.contains("##["), "Azure and GitHub take this as a command: {line:?}");
                assert!(!line.contains("##vso[") && !line.contains("##teamcity["), "{line:?}");
            }
        }
        for text in [&run.stdout, &run.stderr, &junit] {
            let harmful = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
            assert!(!text.contains(harmful), "{:?}", text.chars().find(|c| harmful(*c)));
        }
        assert!(run.stdout.len() < 1 << 20, "a line of 10 MB does not flood the log of the CI system");
    }
}

#[test]
fn hostile_text_in_a_diagnostic_is_harmless_too() {
    let project =
        Project::with_suite("suite: s\ncases:\n  - name: \"a\\e[2Jb\"\n    command: { run: [x] }\n");
    let run = project.run(&[]);
    assert_eq!(run.code(), 2);
    assert!(!run.stderr.contains('\u{1b}'), "{:?}", run.stderr);
}
