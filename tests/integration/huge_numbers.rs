//! Numbers at the ends of their ranges, on the command line and in files, are taken or refused; none is a panic.

use gpu_harness_tests::project::Project;

const ONE: &str = "suite: one\ncases:\n  - { name: c, command: { run: [\"true\"] } }\n";

/// Runs it, and gives how it ended.
fn code(project: &Project, arguments: &[&str]) -> i32 {
    let run = project.gpu_harness(arguments);
    assert!(!run.stderr.contains("panicked") && run.code() != 101, "{arguments:?}: {run:?}");
    run.code()
}

#[test]
fn spans_without_end_are_no_limit_and_odd_ones_are_refused() {
    let project = Project::new().file("one.yaml", ONE);
    let run =
        |timeout: &str| code(&project, &["run", "one.yaml", "--node", "local", "-q", "--timeout", timeout]);
    for endless in ["999999999h", "99999999999h", "2562047788015215h"] {
        assert_eq!(run(endless), 0, "{endless}");
        assert_eq!(code(&project, &["exec", "-q", "--timeout", endless, "--", "true"]), 0, "{endless}");
    }
    for odd in ["2562047788015216h", "-5s", "P1Y", "1y", "", "1e9s"] {
        assert_eq!(run(odd), 2, "{odd}");
    }
    for brief in ["0s", "1ns"] {
        assert_eq!(run(brief), 4, "{brief}");
    }
}

#[test]
fn counts_and_amounts_are_taken_at_their_ends() {
    let project = Project::new().file("one.yaml", ONE);
    let run = |flag: &str, value: &str| {
        code(&project, &["run", "one.yaml", "--node", "local", "-q", &format!("{flag}={value}")])
    };
    assert_eq!(run("--retries", "4294967295"), 0);
    assert_eq!(run("--retries", "4294967296"), 2);
    assert_eq!(run("--max-cost", "1e308"), 0);
    for odd in ["NaN", "-1", "inf", "-inf", "1e999"] {
        assert_eq!(run("--max-cost", odd), 2, "{odd}");
    }
    assert_eq!(run("--wait", "2562047788015215h"), 0);
    assert_eq!(run("--keep-node-on-failure", "2562047788015215h"), 0);
}

#[test]
fn files_may_say_as_much_as_they_like() {
    let span = "2562047788015215h";
    let suite = format!(
        "suite: s\ncases:\n  - name: c\n    timeout: {span}\n    command: {{ run: [\"true\"] }}\n    \
         checks: {{ time-budget: {{ at-most: {span} }} }}\n    limits: {{ log: 9e18 B, memory: 9e18 B }}\n    seed: 18446744073709551615\n"
    );
    let project = Project::new().file("big.yaml", suite).file("one.yaml", ONE);
    assert_eq!(code(&project, &["run", "big.yaml", "--node", "local", "-q"]), 0);
    for (lease, ends) in [(span, 0), ("0s", 2), ("1ns", 2)] {
        let settings = format!("default: n\nnodes: {{ n: {{ provider: local, lease: {lease} }} }}\n");
        std::fs::write(project.path().join("gpu-harness.yaml"), settings).expect("ours");
        assert_eq!(code(&project, &["run", "one.yaml", "-q"]), ends, "lease {lease}");
    }
}
