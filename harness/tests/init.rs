//! What `gpu-harness init` writes: files that CI can read, whose every command is one of ours, and whose shell does what
//! the comments promise. The shell is run for real, against stubs of `gpu-harness`, Python's `venv` and pip.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser as _;
use gpu_harness::cli::Cli;

use gpu_harness::init::{Change, Ci, Values, change};
use gpu_suites::cache;
use serde_yaml::Value;
use tempfile::TempDir;

/// Names the folder of actionlint, check-jsonschema and shellcheck; `cargo xtask test` sets it.
const VALIDATORS: &str = "GPU_HARNESS_VALIDATORS";

const RUN: &str = "20261123-100000-1a2b3c4d";

fn text(ci: Ci) -> String {
    ci.text(&Values::default())
}

/// The scripts of the file: those that install and run, in order, and the one that is done after them. Each is one shell, line
/// by line.
fn scripts(ci: Ci) -> (Vec<String>, String) {
    scripts_of(ci, &text(ci))
}

fn scripts_of(ci: Ci, file: &str) -> (Vec<String>, String) {
    let file: Value = serde_yaml::from_str(file).unwrap();
    let lines = |list: &Value| {
        let lines = list.as_sequence().unwrap().iter().map(|line| line.as_str().unwrap());
        lines.collect::<Vec<_>>().join("\n")
    };
    match ci {
        Ci::Bitbucket => {
            let step = &file["definitions"]["steps"][0]["step"];
            (vec![lines(&step["script"])], lines(&step["after-script"]))
        }
        Ci::Gitlab => (vec![lines(&file["gpu"]["script"])], lines(&file["gpu"]["after_script"])),
        Ci::Github => {
            let step = |name: &str| {
                let steps = file["jobs"]["gpu"]["steps"].as_sequence().unwrap();
                steps.iter().find(|step| step["name"].as_str() == Some(name)).unwrap().clone()
            };
            let end = step("End what the run has left");
            assert_eq!(end["if"].as_str(), Some("always()"));
            let main = ["Install gpu-harness", "Run the suites"]
                .map(|name| step(name)["run"].as_str().unwrap().to_owned());
            (main.to_vec(), end["run"].as_str().unwrap().to_owned())
        }
    }
}

/// A machine of CI in a folder: stubs that record their command lines in `calls`.
struct Machine {
    folder: TempDir,
}

impl Machine {
    /// `installed`: whether gpu-harness is on PATH before anything is installed.
    fn new(installed: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in [".git", "tmp"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let machine = Self { folder };
        let stub = "#!/bin/bash\necho \"gpu-harness $*\" >> \"$CALLS\"\n[ \"$1\" = run ] || exit 0\n\
                    if [ -n \"${STARTS:-}\" ]; then mkdir -p gpu-harness-runs; ln -s \"$STARTS\" \
                    gpu-harness-runs/latest; fi\nexit \"$RUN_EXIT\"\n";
        machine.program("kept/gpu-harness", stub);
        // An environment whose pip installs the stub.
        machine.program(
            "bin/python3",
            "#!/bin/bash\n[ \"$1 $2\" = \"-m venv\" ] || exit 9\nmkdir -p \"$3/bin\"\n\
             cp \"$(dirname \"$CALLS\")/kept/pip\" \"$3/bin/\"\n",
        );
        machine.program(
            "kept/pip",
            "#!/bin/bash\necho \"pip $*\" >> \"$CALLS\"\n\
             cp \"$(dirname \"$CALLS\")/kept/gpu-harness\" \"$(dirname \"$0\")/\"\n",
        );
        if installed {
            machine.program("bin/gpu-harness", stub);
        }
        machine
    }

    fn program(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn shell(&self, script: &str, starts: Option<&str>, exit: i32) -> Output {
        let folder = self.folder.path();
        let tmp = format!("{}/", folder.display());
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(folder)
            .env_clear()
            .env("TMPDIR", folder.join("tmp"));
        command.env("PATH", format!("{tmp}bin:/usr/bin:/bin")).env("HOME", folder);
        command.env("CALLS", folder.join("calls")).env("RUN_EXIT", exit.to_string());
        command.env("CI_PROJECT_DIR", folder).env("GITHUB_PATH", folder.join("github-path"));
        command.env("BITBUCKET_STEP_OIDC_TOKEN", "s3cret").env("GPU_HARNESS_ID_TOKEN", "s3cret");
        command.env("RUNNER_TEMP", folder.join("tmp")).env("GPU_HARNESS_WHEEL", WHEEL);
        // GitHub puts the lines of this file on the PATH of the steps that follow.
        if let Ok(path) = fs::read_to_string(folder.join("github-path")) {
            command.env("PATH", format!("{}:{tmp}bin:/usr/bin:/bin", path.trim().replace('\n', ":")));
        }
        if let Some(run) = starts {
            command.env("STARTS", run);
        }
        command.output().unwrap()
    }

    /// What comes before the end of a job: each shell where those before it went well. Gives the last one's.
    fn job(&self, scripts: &[String], starts: Option<&str>, exit: i32) -> Output {
        let mut done = None;
        for script in scripts {
            let ended = self.shell(script, starts, exit);
            let went_well = ended.status.success();
            done = Some(ended);
            if !went_well {
                break;
            }
        }
        done.expect("a job has a script")
    }

    fn calls(&self) -> String {
        fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }
}

#[test]
fn the_run_decides_the_exit_status_and_is_reaped_whatever_it_was() {
    for ci in Ci::ALL {
        let (script, after) = scripts(ci);
        for exit in [0, 1, 3, 130] {
            let machine = Machine::new(true);
            let done = machine.job(&script, Some(RUN), exit);
            assert_eq!(done.status.code(), Some(exit), "{ci:?}: {done:?}");
            let ended = machine.shell(&after, None, 0);
            assert!(ended.status.success(), "{ci:?}: {ended:?}");
            let wanted = format!(
                "gpu-harness run --junit test-results/gpu-harness.xml\ngpu-harness reap --run {RUN}\n"
            );
            assert_eq!(machine.calls(), wanted, "{ci:?}");
        }
    }
}

#[test]
fn a_run_that_never_started_leaves_nothing_to_reap() {
    for ci in Ci::ALL {
        let (script, after) = scripts(ci);
        let machine = Machine::new(true);
        machine.job(&script, None, 2);
        let ended = machine.shell(&after, None, 0);
        assert!(ended.status.success(), "{ci:?}: {ended:?}");
        assert!(!machine.calls().contains("reap"), "{ci:?}");
    }
}

/// As GitHub's `env:` sets it; the other files export their own.
const WHEEL: &str = "https://git.example.com/x.whl#sha256=0";

#[test]
fn gpu_harness_is_installed_from_its_wheel_where_it_is_not_on_the_path() {
    for ci in Ci::ALL {
        let values = Values::new(None, None, None, Some(WHEEL), None).unwrap();
        let file = ci.text(&values);
        assert!(file.contains(WHEEL) && !file.contains("cargo"), "{ci:?}: {file}");
        let (script, after) = scripts_of(ci, &file);
        let machine = Machine::new(false);
        let done = machine.job(&script, Some(RUN), 0);
        assert!(done.status.success(), "{ci:?}: {done:?}");
        let ended = machine.shell(&after, None, 0);
        assert!(ended.status.success(), "{ci:?}: {ended:?}");
        let wanted = format!(
            "pip install --no-deps {WHEEL}\ngpu-harness run --junit test-results/gpu-harness.xml\n\
             gpu-harness reap --run {RUN}\n"
        );
        assert_eq!(machine.calls(), wanted, "{ci:?}");
    }
}

#[test]
fn the_token_is_readable_by_its_owner_alone_is_never_printed_and_goes_with_the_job() {
    for ci in [Ci::Bitbucket, Ci::Gitlab] {
        for exit in [0, 1] {
            let machine = Machine::new(true);
            let (script, after) = scripts(ci);
            let (tmp, git) = (machine.folder.path().join("tmp"), machine.folder.path().join(".git"));
            let done = machine.job(&script, Some(RUN), exit);
            let said = [done.stdout, done.stderr].concat();
            assert!(!String::from_utf8_lossy(&said).contains("s3cret"), "{ci:?}");
            let [folder] = Vec::from_iter(fs::read_dir(&tmp).unwrap()).try_into().expect("one folder");
            let folder = folder.unwrap().path();
            assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{ci:?}");
            let token = folder.join("token");
            assert_eq!(fs::read_to_string(&token).unwrap(), "s3cret", "{ci:?}");
            assert_eq!(fs::metadata(token).unwrap().permissions().mode() & 0o777, 0o600, "{ci:?}");
            assert!(machine.shell(&after, None, 0).status.success(), "{ci:?}");
            assert_eq!(fs::read_dir(&tmp).unwrap().count() + fs::read_dir(git).unwrap().count(), 0, "{ci:?}");
        }
    }
}

#[test]
fn no_template_names_a_folder_that_all_users_share() {
    let pipelines =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../bitbucket-pipelines.yml")).unwrap();
    for text in Ci::ALL.map(text).into_iter().chain([pipelines]) {
        assert!(!text.contains("/tmp"), "{text}");
    }
}

#[test]
fn every_command_line_of_gpu_harness_is_one_that_it_takes() {
    for ci in Ci::ALL {
        let (script, after) = scripts(ci);
        let mut commands = 0;
        for part in format!("{}\n{after}", script.join("\n")).split([';', '\n']) {
            let part = part.trim().trim_start_matches("then ");
            if part.starts_with("gpu-harness ") {
                let arguments = part.split_whitespace().map(|word| word.trim_matches('"'));
                Cli::try_parse_from(arguments).unwrap();
                commands += 1;
            }
        }
        assert_eq!(commands, 2, "{ci:?}");
    }
}

#[test]
fn every_action_and_image_is_pinned_and_the_report_lies_where_ci_looks() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let own = ["action.yml", ".github/workflows/ci.yml", ".github/workflows/gpu.yml"]
        .map(|name| fs::read_to_string(format!("{root}/{name}")).unwrap());
    // A tag can be moved to other code; a commit cannot.
    for line in format!("{}{}", Ci::ALL.map(text).join(""), own.join("")).lines() {
        if let Some((_, action)) = line.split_once("uses: ").filter(|(_, action)| !action.starts_with("./")) {
            let (commit, version) =
                action.split_once('@').and_then(|(_, at)| at.split_once(" # v")).expect(line);
            let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(is_commit && version.starts_with(|c: char| c.is_ascii_digit()), "{line}");
        }
    }
    for line in Ci::ALL.map(text).join("").lines() {
        assert!(
            !line.contains("latest\"") && !line.ends_with(":latest") && !line.ends_with("-latest"),
            "{line}"
        );
    }
    let gitlab: Value = serde_yaml::from_str(&text(Ci::Gitlab)).unwrap();
    assert_eq!(gitlab["gpu"]["artifacts"]["reports"]["junit"].as_str(), Some("test-results/gpu-harness.xml"));
    assert!(text(Ci::Github).contains("            test-results/gpu-harness.xml\n"));
}

#[test]
fn a_renewed_file_keeps_the_users_values_and_everything_outside_the_markers() {
    for ci in Ci::ALL {
        let role = Some("arn:aws:iam::1:role/r");
        let values = Values::new(Some("lab"), role, None, None, Some("python:3.13")).unwrap();
        let (Change::New(first), _) = change(ci, None, &values) else { panic!() };
        assert_eq!(change(ci, Some(&first), &Values::default()).0, Change::UpToDate);
        assert!(ci == Ci::Github || first.contains("image: \"python:3.13\"\n"), "{first}");
        let around = format!("# mine\r\n{first}# mine too");
        assert_eq!(change(ci, Some(&around), &Values::default()).0, Change::UpToDate);
        let stale = around.replace("reap --run", "reap --walk").replace("us-east-1", "eu-west-1");
        let wanted = around.replace("us-east-1", "eu-west-1");
        assert_eq!(change(ci, Some(&stale), &Values::default()).0, Change::Renew(wanted));
    }
}

#[test]
fn a_file_without_our_markers_or_with_half_of_them_is_never_touched() {
    let whole = text(Ci::Github);
    let half = whole.replace("# <<< gpu-harness", "");
    let twice = format!("{whole}{whole}");
    for there in ["", "name: mine\n", half.as_str(), twice.as_str()] {
        let (change, _) = change(Ci::Github, Some(there), &Values::default());
        assert_eq!(change, Change::Theirs(whole.clone()), "{there}");
    }
}

#[test]
fn a_value_that_would_need_an_escape_is_refused() {
    for bad in ["", "a b", "a\"b", "$(id)", "a\nb", "@{}"] {
        assert!(Values::new(Some(bad), None, None, None, None).is_err(), "{bad:?}");
    }
}

#[test]
fn the_command_writes_once_then_is_up_to_date_and_leaves_a_foreign_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let init = |ci: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gpu-harness"));
        command.args(["init", ci, "--region", "eu-west-1"]).current_dir(folder.path());
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, said) = init("github");
    assert!(code == Some(0) && said.starts_with("wrote .github/workflows/gpu.yml\n"), "{said}");
    assert!(
        said.contains("set in it: AWS_ROLE_ARN, GPU_HARNESS_WHEEL\n") && said.contains("gpu-harness.yaml")
    );
    let (code, said) = init("github");
    assert!(code == Some(0) && said.starts_with(".github/workflows/gpu.yml is up to date\n"), "{said}");
    let theirs: &Path = &folder.path().join(".gitlab-ci.yml");
    fs::write(theirs, "mine: {}\n").unwrap();
    let (code, said) = init("gitlab");
    assert!(code == Some(1) && said.starts_with("# >>> gpu-harness"), "{said}");
    assert_eq!(fs::read_to_string(theirs).unwrap(), "mine: {}\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else is left there");
}

/// Runs a validator over text that stands in a file of that name.
fn validate(program: &str, arguments: &[&str], name: &str, text: &str) -> Output {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let programs = set(VALIDATORS).or_else(|| Some(cache::folder()?.join("validators/current/bin"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(name), text).unwrap();
    let mut command = Command::new(programs.join(program));
    // actionlint looks for shellcheck beside it.
    let path = env::join_paths([programs, "/usr/bin".into(), "/bin".into()]).unwrap();
    command.args(arguments).arg(name).current_dir(folder.path()).env("PATH", path);
    command.output().unwrap_or_else(|error| panic!("{program}: {error}: set up by `cargo xtask test`"))
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat()
}

/// What each validator says to the text of a CI system.
fn verdicts(ci: Ci, text: &str) -> Vec<Output> {
    let schema = match ci {
        Ci::Bitbucket => "vendor.bitbucket-pipelines",
        Ci::Github => "vendor.github-workflows",
        Ci::Gitlab => "vendor.gitlab-ci",
    };
    let mut said = vec![validate("check-jsonschema", &["--builtin-schema", schema], "ci.yml", text)];
    if ci == Ci::Github {
        said.push(validate("actionlint", &["-shellcheck", "shellcheck"], "ci.yml", text));
    }
    said
}

#[test]
fn each_ci_system_takes_the_file_and_the_validators_see_what_is_wrong() {
    let role = Some("arn:aws:iam::1:role/r");
    let values = Values::new(Some("cloud"), role, Some("eu-west-1"), Some(WHEEL), Some("a/b:c")).unwrap();
    for ci in Ci::ALL {
        for text in [text(ci), ci.text(&values)] {
            for verdict in verdicts(ci, &text) {
                assert!(verdict.status.success(), "{ci:?}: {}", said(&verdict));
            }
        }
    }
    for (ci, right, wrong) in [
        (Ci::Bitbucket, "max-time: 60", "max-time: sixty"),
        (Ci::Gitlab, "id_tokens:", "id_token:"),
        (Ci::Github, "runs-on: ", "run-on: "),
        (Ci::Github, "github.ref }}", "github.reff }}"),
        (Ci::Github, "if run=$(", "if [ $HOME = x ]; then :; fi; if run=$("),
    ] {
        let text = text(ci);
        assert!(text.contains(right), "{ci:?} {right}");
        let verdicts = verdicts(ci, &text.replace(right, wrong));
        assert!(verdicts.iter().any(|verdict| !verdict.status.success()), "{ci:?}: {wrong} is taken");
    }
}
