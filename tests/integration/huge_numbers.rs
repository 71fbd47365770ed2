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
    for (count, ends) in [("4294967295", 0), ("4294967296", 2)] {
        let retries = format!("--retries={count}");
        assert_eq!(code(&project, &["run", "one.yaml", "--node", "local", "-q", &retries]), ends, "{count}");
    }
    // Nothing runs, so that no cloud is asked.
    let skipped = ONE.replace("name: c,", "name: c, skip: not now,");
    let cloud = "nodes: { cloud: { provider: ec2 } }\n";
    let project = project.file("none.yaml", skipped).file("gpu-harness.yaml", cloud);
    let flag_of = |node: &str, flag: &str, value: &str| {
        code(&project, &["run", "none.yaml", "--node", node, "-q", &format!("{flag}={value}")])
    };
    let most = "2562047788015215h";
    for (flag, value) in [("--max-cost", "1e308"), ("--wait", most), ("--keep-node-on-failure", most)] {
        assert_eq!(flag_of("cloud", flag, value), 0, "{flag}");
        // A node that is there costs nothing, is not waited for, and is nobody's to keep.
        assert_eq!(flag_of("local", flag, value), 2, "{flag}");
    }
    for odd in ["NaN", "-1", "inf", "-inf", "1e999"] {
        assert_eq!(flag_of("cloud", "--max-cost", odd), 2, "{odd}");
    }
}

#[test]
fn files_may_say_as_much_as_they_like() {
    let span = "2562047788015215h";
    let suite = format!(
        "suite: s\ncases:\n  - name: c\n    timeout: {span}\n    command: {{ run: [\"true\"] }}\n    \
         checks: {{ time-budget: {{ at-most: 999999999h }} }}\n    limits: {{ log: 9e18 B, memory: 9e18 B }}\n    seed: 18446744073709551615\n"
    );
    let project = Project::new().file("big.yaml", suite).file("one.yaml", ONE);
    assert_eq!(code(&project, &["run", "big.yaml", "--node", "local", "-q"]), 0);
    for (lease, ends) in [(span, 0), ("0s", 2), ("1ns", 2)] {
        let settings = format!("default: n\nnodes: {{ n: {{ provider: local, lease: {lease} }} }}\n");
        std::fs::write(project.path().join("gpu-harness.yaml"), settings).expect("ours");
        assert_eq!(code(&project, &["run", "one.yaml", "-q"]), ends, "lease {lease}");
    }
}
