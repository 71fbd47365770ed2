//! Nothing outside the project and the data cache travels to a node or is printed, through no link.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use gpu_harness_tests::project::{Finished, Project};

const SECRET: &str = "hush-9f2c41";

fn git(folder: &Path) {
    let done = Command::new("git").args(["init", "-q"]).current_dir(folder).status().unwrap();
    assert!(done.success());
}

/// A working tree with a suite whose case prints its file, and what the project must not reach beside it.
fn project(case: &str) -> (Project, tempfile::TempDir) {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), format!("{SECRET}: [\n")).unwrap();
    let project = Project::with_suite(&format!("suite: s\ncases:\n{case}"));
    git(project.path());
    (project, outside)
}

fn tells_nothing(project: &Project, run: &Finished) {
    for printed in [&run.stdout, &run.stderr] {
        assert!(!printed.contains(SECRET), "{run:?}");
    }
    for store in ["cache/store", "gpu-harness-runs"] {
        let found =
            Command::new("grep").args(["-r", SECRET, store]).current_dir(project.path()).output().unwrap();
        assert!(found.stdout.is_empty(), "{found:?}");
    }
}

const PRINTS: &str = "  - { name: c, command: { run: [sh, -c, \"cat in\"], files: [in] } }\n";

#[test]
fn a_file_behind_a_link_that_leads_out_goes_to_no_node() {
    let (here, outside) = project(PRINTS);
    for target in
        [outside.path().join("secret").as_path(), Path::new("/proc/self/environ"), Path::new(".git/config")]
    {
        let _ = fs::remove_file(here.path().join("in"));
        symlink(target, here.path().join("in")).unwrap();
        let run = here.run(&[]);
        assert_eq!(run.code(), 2, "{run:?}");
        assert!(run.stderr.contains("suites/s.yaml:3") && run.stderr.contains("hint:"), "{}", run.stderr);
        tells_nothing(&here, &run);
    }
    // By a folder on the way.
    let (here, outside) = project(&PRINTS.replace("[in]", "[there/secret]"));
    symlink(outside.path(), here.path().join("there")).unwrap();
    let run = here.run(&[]);
    assert_eq!(run.code(), 2, "{run:?}");
    assert!(run.stderr.contains("a link leads out of"), "{}", run.stderr);
    tells_nothing(&here, &run);
}

#[test]
fn links_within_the_project_are_followed() {
    let (here, _outside) =
        project(&PRINTS.replace("[in]", "[in, folder/b]").replace("cat in", "cat in folder/b"));
    fs::create_dir_all(here.path().join("data")).unwrap();
    fs::write(here.path().join("data/a"), "one").unwrap();
    fs::write(here.path().join("data/b"), "two").unwrap();
    symlink(here.path().join("data/a"), here.path().join("in")).unwrap();
    symlink("data", here.path().join("folder")).unwrap();
    let run = here.run(&[]);
    assert_eq!((run.code(), run.log("c").as_str()), (0, "onetwo"), "{run:?}");
}

#[test]
fn no_line_is_quoted_of_a_file_that_is_not_the_projects() {
    let (here, outside) = project(PRINTS);
    let secret = outside.path().join("secret");
    symlink(&secret, here.path().join("suites/x.yaml")).unwrap();
    let listed = here.gpu_harness(&["list"]);
    assert_eq!(listed.code(), 2, "{listed:?}");
    assert!(listed.stderr.contains("x.yaml is not read: a link leads out of"), "{}", listed.stderr);
    tells_nothing(&here, &listed);
    fs::remove_file(here.path().join("suites/x.yaml")).unwrap();
    fs::remove_file(here.path().join("gpu-harness.yaml")).unwrap();
    symlink(&secret, here.path().join("gpu-harness.yaml")).unwrap();
    fs::write(here.path().join("in"), "mine").unwrap();
    let run = here.run(&[]);
    assert_eq!(run.code(), 2, "{run:?}");
    tells_nothing(&here, &run);
    // A folder of suites that is another working tree.
    let (here, outside) = project(PRINTS);
    git(outside.path());
    fs::rename(outside.path().join("secret"), outside.path().join("x.yaml")).unwrap();
    fs::remove_dir_all(here.path().join("suites")).unwrap();
    symlink(outside.path(), here.path().join("suites")).unwrap();
    let listed = here.gpu_harness(&["list"]);
    assert_eq!(listed.code(), 2, "{listed:?}");
    tells_nothing(&here, &listed);
}

#[test]
fn of_the_cache_a_suite_names_data_and_no_key() {
    let (here, _outside) =
        project(&PRINTS.replace("[in]", "[\"cache:kept/i-1/id\"]").replace("cat in", "cat cache/*/*/*"));
    for (folder, content) in [("cache/kept/i-1", SECRET), ("cache/data/kept/i-1", "data")] {
        let there = fs::create_dir_all(here.path().join(folder));
        there.and_then(|()| fs::write(here.path().join(folder).join("id"), content)).unwrap();
    }
    let run = here.run(&[]);
    assert_eq!((run.code(), run.log("c").as_str()), (0, "data"), "{run:?}");
    fs::remove_dir_all(here.path().join("cache/data/kept")).unwrap();
    symlink("../kept", here.path().join("cache/data/kept")).unwrap();
    let run = here.run(&[]);
    assert_eq!(run.code(), 2, "{run:?}");
    tells_nothing(&here, &run);
}

#[test]
fn a_synchronised_tree_leaves_links_that_lead_out_behind_and_says_so() {
    let (here, outside) = project(PRINTS);
    symlink(outside.path().join("secret"), here.path().join("in")).unwrap();
    symlink("/proc/self/environ", here.path().join("env")).unwrap();
    fs::write(here.path().join("mine"), "mine").unwrap();
    symlink("mine", here.path().join("alias")).unwrap();
    let run = here.gpu_harness(&["exec", "--sync", "--", "sh", "-c", "cat alias; ls"]);
    assert_eq!(run.code(), 0, "{run:?}");
    assert!(
        run.stdout.starts_with("mine") && !run.stdout.contains("\nin\n") && !run.stdout.contains("\nenv\n"),
        "{run:?}"
    );
    assert!(run.stderr.contains("in: a link that leads out of the project"), "{}", run.stderr);
    tells_nothing(&here, &run);
}

#[test]
fn what_a_case_links_to_from_its_artifacts_stays_on_the_node() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("id"), SECRET).unwrap();
    let there = outside.path().display();
    for script in [
        format!("ln -s {there}/id $GPU_HARNESS_ARTIFACTS/x"),
        format!("ln -s {there} $GPU_HARNESS_ARTIFACTS/folder"),
        format!("rmdir $GPU_HARNESS_ARTIFACTS; ln -s {there} $GPU_HARNESS_ARTIFACTS"),
        format!("ln -s {there} out"),
        format!("mkdir d; ln -s {there} d/out"),
    ] {
        let case = format!(
            "  - {{ name: c, command: {{ run: [sh, -c, {script:?}], bring: [out/id, d/out/id] }} }}\n"
        );
        let (here, _outside) = project(&case);
        let run = here.run(&[]);
        tells_nothing(&here, &run);
        assert!(outside.path().join("id").is_file(), "nothing was moved from there: {script}");
    }
}
