//! Two versions on one node, measured in turn.

use std::fs;
use std::process::Command;

use gpu_harness_tests::ec2::{Ec2, Options};
use gpu_harness_tests::project::{Finished, Project};
use gpu_suites::event::Event;
use serde_json::Value;

/// A case that is as fast as its file says, with a little noise.
const SUITE: &str = r#"
suite: s
cases:
  - name: rate
    command:
      run: [sh, -c, "test $(cat speed) != none && awk -v s=$(cat speed) -v seed=$$ 'BEGIN { srand(seed); print \"{\\\"items_per_second\\\": \" s * (1 + 0.002 * rand()) \", \\\"odd\\\": 1}\" }' > $GPU_HARNESS_METRICS"]
      files: [speed]
"#;

struct Repository {
    project: Project,
}

impl Repository {
    /// One commit, of this speed.
    fn new(speed: &str) -> Self {
        Self::of(Project::with_suite(SUITE), speed)
    }

    fn of(project: Project, speed: &str) -> Self {
        let project = project.file(".gitignore", "cache/\ngpu-harness-runs/\n");
        let repository = Self { project };
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository.commit(speed, "the first");
        repository
    }

    fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=T", "-c", "user.email=t@example.org"]).args(arguments);
        let output = git.current_dir(self.project.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn set(&self, speed: &str) {
        fs::write(self.project.path().join("speed"), speed).unwrap();
    }

    fn commit(&self, speed: &str, message: &str) {
        self.set(speed);
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
    }

    fn compare(&self, arguments: &[&str]) -> Finished {
        self.project.gpu_harness(&[&["compare"], arguments].concat())
    }
}

fn comparison(run: &Finished) -> Value {
    let path = run.run_dir.as_ref().expect("a run").join("comparison.json");
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_slower_working_tree_is_told_with_its_ratio_and_the_versions_take_turns() {
    let repository = Repository::new("100");
    repository.set("90");
    let before = repository.git(&["status", "--porcelain"]) + &repository.git(&["worktree", "list"]);
    let run = repository.compare(&["--base", "HEAD"]);
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stdout.contains("worse by 10.") || run.stdout.contains("worse by 9.9"), "{}", run.stdout);
    let metric = &comparison(&run)["cases"][0]["metrics"][0];
    let ratio = metric["ratio"]["ratio"].as_f64().unwrap();
    assert!((0.897..0.903).contains(&ratio), "{metric}");
    assert_eq!(metric["found"], "worse");
    let started = run.events().into_iter().filter_map(|record| match record.event {
        Event::CaseStarted(event) => Some(event.case.0),
        _ => None,
    });
    let arms = Vec::from_iter(started.map(|id| id.trim_start_matches("s::rate.").to_owned()));
    assert_eq!(
        arms[..6],
        ["base-1", "head-1", "head-2", "base-2", "base-3", "head-3"].map(str::to_owned),
        "neighbours are pairs, and neither is always first"
    );
    assert_eq!(arms.len(), 12);
    let after = repository.git(&["status", "--porcelain"]) + &repository.git(&["worktree", "list"]);
    assert_eq!(before, after, "the repository is only read");
}

#[test]
fn what_did_not_change_is_no_difference_and_what_is_faster_is_better() {
    let repository = Repository::new("100");
    let run = repository.compare(&["--base", "main"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("no difference found"), "{}", run.stdout);
    repository.commit("120", "faster");
    let run = repository.compare(&["--base", "HEAD~1", "--head", "HEAD", "--pairs", "7"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("better by") && run.stdout.contains("7 pairs"), "{}", run.stdout);
}

#[test]
fn a_file_or_an_earlier_run_is_a_base_too() {
    let repository = Repository::new("100");
    let earlier = repository.project.run(&[]);
    assert_eq!(earlier.code(), 0, "{earlier:?}");
    let earlier = earlier.run_dir.unwrap().display().to_string();
    repository.commit("80", "slower");
    let run = repository.compare(&["--base", &earlier]);
    assert_eq!(run.code(), 1, "{run:?}");
    assert!(run.stdout.contains("worse by"), "{}", run.stdout);

    let other = tempfile::tempdir().unwrap();
    let file = other.path().join("speed");
    fs::write(&file, "160").unwrap();
    let run = repository.compare(&["--base", file.to_str().unwrap()]);
    assert_eq!(run.code(), 1, "{run:?}");
    let ratio = comparison(&run)["cases"][0]["metrics"][0]["ratio"]["ratio"].as_f64().unwrap();
    assert!((0.497..0.503).contains(&ratio), "{ratio}");
    fs::rename(&file, other.path().join("other")).unwrap();
    let run = repository.compare(&["--base", other.path().join("other").to_str().unwrap()]);
    assert_eq!(run.code(), 2, "{run:?}");
    assert!(run.stderr.contains("has an input named other"), "{}", run.stderr);

    repository.set("81");
    let changed = repository.project.run(&[]).run_dir.unwrap().display().to_string();
    let run = repository.compare(&["--base", &changed]);
    assert_eq!(run.code(), 2, "{run:?}");
    assert!(run.stderr.contains("with changes, which cannot be had again"), "{}", run.stderr);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let repository = Repository::new("100");
    for (arguments, says) in [
        (&["--base", "v9"][..], "`v9` is no file, no run's folder and no commit"),
        (&["--base=--all"], "is no file, no run's folder and no commit"),
        (&["--base", "HEAD", "--pairs", "3"], "it takes 6 pairs or more"),
        (&["--base", "HEAD", "--prepare", "exit 7"], "`exit 7` ended with exit status: 7"),
        (&["--base", "HEAD", "--case", "none"], "no case matches"),
    ] {
        let run = repository.compare(arguments);
        assert_eq!(run.code(), 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(says), "{arguments:?}: {}", run.stderr);
    }
    // A base that fails has nothing to compare with; the head's own failure is what counts.
    repository.commit("none", "broken");
    repository.commit("100", "mended");
    let run = repository.compare(&["--base", "HEAD~1"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("not compared: rate.base-1 failed"), "{}", run.stdout);
    let run = repository.compare(&["--base", "HEAD", "--head", "HEAD~1"]);
    assert_eq!(run.code(), 1, "{run:?}");
}

#[test]
fn the_commit_that_did_it_is_found_though_one_on_the_way_cannot_be_measured() {
    let repository = Repository::new("100");
    for number in 1..=9 {
        let speed = if number >= 3 { "93" } else { "100" };
        // The first that a search by halves would measure.
        if number == 5 {
            fs::write(repository.project.path().join("suites/s.yaml"), "suite: [").unwrap();
        }
        repository.commit(speed, &format!("commit {number}"));
        fs::write(repository.project.path().join("suites/s.yaml"), SUITE).unwrap();
    }
    let run = repository.compare(&["--base", "HEAD~9", "--bisect", "--prepare", "test -f speed"]);
    assert_eq!(run.code(), 1, "{run:?}");
    let (steps, found) = run.stdout.rsplit_once("the first bad commit:").expect(&run.stdout);
    assert!(found.contains("commit 3") && found.trim().lines().count() == 1, "{}", run.stdout);
    assert!(steps.contains("left out: it has no items_per_second"), "{steps}");
    let run = repository.compare(&["--base", "HEAD~2", "--bisect"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains("nothing became worse"), "{}", run.stdout);
}

#[test]
fn a_search_has_one_node_from_ec2_for_all_its_steps_and_gives_it_back() {
    let ec2 = Ec2::start(Options { clock_factor: 20.0 });
    let project = ec2.in_project(Project::with_suite(SUITE), "types: [g4dn.xlarge]");
    let repository = Repository::of(project, "100");
    for number in 1..=4 {
        repository.commit(if number >= 3 { "93" } else { "100" }, &format!("commit {number}"));
    }
    let instances = || ec2.state()["instances"].as_array().unwrap().len();
    let run = repository.compare(&["--base", "HEAD~4", "--bisect", "--node", "cloud"]);
    assert_eq!(run.code(), 1, "{run:?}");
    let (steps, found) = run.stdout.rsplit_once("the first bad commit:").expect(&run.stdout);
    assert!(found.contains("commit 3") && steps.matches("step: ").count() == 2, "{}", run.stdout);
    assert_eq!(instances(), 1, "{}", run.stdout);
    ec2.nothing_is_left();

    // A search that ends after its first comparison has left the node to a run that does not come.
    let run = repository.compare(&["--base", "HEAD~1", "--bisect", "--node", "cloud"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(run.stdout.contains(" is given back"), "{}", run.stdout);
    assert_eq!(instances(), 2);
    ec2.nothing_is_left();
}
