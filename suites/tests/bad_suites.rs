//! Promises of the suite loader: whatever is wrong with a file, its error says where, and what to write instead.

mod editor;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use gpu_suites::load::{LoadError, Loaded, MAX_BYTES, Position, discover, load};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

/// Loads `bytes` as `bad.yaml` in an empty folder.
fn loaded(bytes: &[u8]) -> Result<Loaded, LoadError> {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("bad.yaml");
    fs::write(&path, bytes).expect("written");
    load(&path, Path::new("/"))
}

/// The errors as a person sees them, without the temporary folder.
fn errors(bytes: &[u8]) -> String {
    let LoadError::Wrong(diagnostics) = loaded(bytes).expect_err("the file is wrong") else {
        panic!("the file was read")
    };
    for diagnostic in &diagnostics {
        assert!(diagnostic.hint.is_some(), "every error says what to do: {diagnostic}");
    }
    let mut text = String::new();
    for mut diagnostic in diagnostics {
        diagnostic.path = "bad.yaml".into();
        let _ = writeln!(text, "{diagnostic}");
    }
    text
}

const DATA: &str = "data: { image: a.png, boxes: a.csv, task: segment, size: 64 }";

fn train(keys: &str) -> String {
    format!(
        "suite: s\ncases:\n  - name: a\n    train:\n      model: {{ builtin: unet }}\n      {DATA}\n{keys}\n"
    )
}

fn command(keys: &str) -> String {
    format!("suite: s\ncases:\n  - name: a\n    command: {{ run: [prog] }}\n{keys}\n")
}

/// A throughput case with other keys, and checks.
fn throughput(keys: &str, checks: &str) -> String {
    format!(
        "suite: s\ncases:\n  - name: a\n    throughput: {{ model: {{ builtin: unet }}{keys} }}\n{checks}\n"
    )
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn table() -> Vec<(&'static str, String)> {
    vec![
        ("empty file", String::new()),
        ("only a comment", "# nothing yet\n".into()),
        ("a text", "hello\n".into()),
        ("a list", "- suite: s\n".into()),
        ("no cases", "suite: s\n".into()),
        ("empty cases", "suite: s\ncases: []\n".into()),
        ("cases without a value", "suite: s\ncases:\n".into()),
        ("cases is a mapping", "suite: s\ncases: { name: a }\n".into()),
        ("no suite name", "cases:\n  - name: a\n    command: { run: [prog] }\n".into()),
        ("unknown key at the top", "suite: s\nsteps: 4\ncases:\n  - name: a\n    command: { run: [prog] }\n".into()),
        ("unknown key, near a known one", train("      step: 100")),
        ("unknown key, near nothing", train("      zebra: 100")),
        ("unknown check", command("    checks: { loss-dorp: {} }")),
        ("wrong type: a text for a number", train("      steps: many")),
        ("wrong type: zero steps", train("      steps: 0")),
        ("wrong type: a negative number", train("      steps: -3")),
        ("wrong type: a fraction", train("      steps: 1.5")),
        ("wrong type: a list for a text", command("    description: [a, b]")),
        ("wrong type: a number for a text", "suite: s\ncases:\n  - name: 7\n    command: { run: [prog, 5] }\n".into()),
        ("wrong type: a text for a list", "suite: s\ncases:\n  - name: a\n    command: { run: prog --all }\n".into()),
        ("wrong type: a text for a mapping", "suite: s\ncases:\n  - name: a\n    train: unet\n".into()),
        ("a share above one: loss-drop", command("    checks: { loss-drop: { to: 5 } }")),
        ("a share above one, in percent", command("    checks: { loss-drop: { to: 500% } }")),
        (
            "shares above one, each with its place",
            command(
                "    checks:\n      initial-loss: { within: 25 }\n      grad-norm-drop: { to: 1.5 }\n      mixed-precision: { within: 5 }\n      shards: { errors: 2 }\n      varied: [{ name: a, at-most: 90 }]",
            ),
        ),
        (
            "shares above one: rates",
            throughput(", others: 10", "    checks:\n      rate:\n        - { spread: 2, of-ceiling: 40 }\n        - { of-base: 95 }"),
        ),
        (
            "tolerances that are none",
            command("    checks: { predictions: { within: .nan }, export-parity: { within: -1 } }"),
        ),
        ("wrong unit: a share", command("    checks: { loss-drop: { to: 5x } }")),
        ("wrong unit: a time without its unit", command("    timeout: 600")),
        ("wrong unit: a time", command("    timeout: soon")),
        ("wrong unit: a size", command("    limits: { memory: 4 elephants }")),
        ("unknown value", command("    device: gpu")),
        ("unknown value, near nothing", train("    must-fail: [zebra]")),
        ("unknown key of skip-checks", command("    skip-checks: { finit: it is not }")),
        ("a check without a value", command("    checks:\n      deterministic:\n      loss-drop: {}")),
        ("duplicate key", train("      steps: 100\n      steps: 200")),
        ("duplicate case", "suite: s\ncases:\n  - name: a\n    command: { run: [x] }\n  - name: b\n    command: { run: [x] }\n  - name: a\n    command: { run: [x] }\n".into()),
        ("missing keys", "suite: s\ncases:\n  - name: a\n    train:\n      model: { builtin: unet }\n  - command: { run: [x] }\n".into()),
        ("bad names", "suite: \"a suite\"\ncases:\n  - name: ../x\n    command: { run: [x] }\n  - name: \"\"\n    command: { run: [x] }\n".into()),
        ("both train and command", train("    command: { run: [prog] }")),
        ("neither train nor command", "suite: s\ncases:\n  - name: a\n".into()),
        ("both builtin and torchscript", train("").replace("builtin: unet", "builtin: unet, torchscript: a.pt")),
        ("neither builtin nor torchscript", train("").replace("builtin: unet", "width: 8")),
        ("the model does not fit the task", train("").replace("unet", "resnet18")),
        ("crops of a segmentation", train("").replace("size: 64", "size: 64, crops: 1")),
        ("a learning rate of zero", train("      learning-rate: 0")),
        ("must-fail names a check that is not run", command("    must-fail: [loss-drop, exit-status, exit-status]")),
        ("must-fail names a skipped check", train("    must-fail: [metric]\n    skip-checks: { metric: not now }")),
        ("a control that nobody has to notice", train("      control: frozen-head")),
        ("skip-checks without a reason", train("    skip-checks: { metric: \"\" }")),
        ("skip-checks names a check that is not run", command("    skip-checks: { metric: not now }")),
        ("every check is skipped", command("    skip-checks: { exit-status: a, finite: b }")),
        ("skip without a reason", command("    skip: \"  \"")),
        ("exit-status of a train case", train("    checks: { exit-status: { code: 1 } }")),
        ("a metric without a figure", command("    checks:\n      metric:\n        - name: eval/iou\n        - { name: rate, at-least: 3, at-most: 2 }\n        - { name: step, at-most: .nan }")),
        ("no metric", command("    checks: { metric: [] }")),
        ("golden and varied without a metric", command("    checks: { golden: [], varied: [] }")),
        (
            "golden and varied that can never hold, or never break",
            command("    checks:\n      golden: [{ name: step, within: -1 }]\n      varied: [{ name: a, at-most: 100% }]"),
        ),
        ("a budget beyond the timeout", command("    timeout: 10s\n    checks: { time-budget: { at-most: 20s } }")),
        ("a path that leaves the root", train("").replace("a.png", "../secret.png").replace("a.csv", "/etc/passwd")),
        ("command: a path that leaves the root", command("").replace("[prog]", "[prog], files: [ok.py, ../no.py]")),
        ("command: what is brought back leads out", command("").replace("[prog]", "[prog], bring: [../x, cache:y], junit: [/etc/r.xml]")),
        ("no program", command("").replace("[prog]", "[]")),
        ("a reserved variable", command("").replace("[prog]", "[prog], env: { GPU_HARNESS_SEED: '1', 'A=B': '2' }")),
        ("throughput: all three kinds in one case", train("    throughput: { model: { builtin: unet } }\n    command: { run: [x] }")),
        ("throughput: no batch size", throughput(", batch: [4, 4, 0]", "")),
        ("throughput: another word for auto", throughput(", batch: best", "")),
        ("throughput: an empty list of batch sizes", throughput(", batch: []", "")),
        ("throughput: sizes that a U-Net cannot halve", throughput(", input: [3, 100, 96]", "")),
        ("throughput: four channels", throughput(", input: [4, 96, 96]", "")),
        ("throughput: a dtype twice, and one without training", throughput(", mode: training-step, dtypes: [fp32, fp16, fp32]", "")),
        ("throughput: no dtype, no time", throughput(", dtypes: [], measure: 0s", "")),
        ("throughput: an unknown dtype", throughput(", dtypes: [float32]", "")),
        ("throughput: two models", throughput("", "").replace("unet", "resnet50, torchscript: ../a.pt")),
        (
            "throughput: a rate of what is not measured",
            throughput(", batch: 4", "    checks:\n      rate:\n        - { dtype: bf16, at-least: 0 }\n        - { batch: 8, spread: 2% }\n        - { dtype: fp32 }"),
        ),
        ("throughput: a rate of a batch size that is looked for", throughput("", "    checks: { rate: [{ batch: 8, spread: 2% }] }")),
        ("throughput: no rate", throughput("", "    checks: { rate: [] }")),
        ("not YAML: a bracket", "suite: s\ncases: [\n".into()),
        ("not YAML: a colon", "suite: s: t\n".into()),
        ("not YAML: indentation", "suite: s\n cases: []\n".into()),
        ("a tab", "suite: s\ncases:\n\t- name: a\n".into()),
        ("two documents", "suite: s\ncases: []\n---\nsuite: t\n".into()),
        ("a tag", "suite: !!python/object:os.system s\ncases: []\n".into()),
        ("an unknown alias", "suite: *s\ncases: []\n".into()),
        ("an alias to itself", "suite: s\ncases: &c [*c]\n".into()),
        ("an anchor bomb", bomb()),
        ("nested too deep", format!("suite: {}\n", "[".repeat(5000))),
        ("a key that is a list", "suite: s\n? [a, b]\n: c\n".into()),
        ("control characters", "suite: \"a\\e[31m\\0b\"\nca\u{9b}ses: []\n".into()),
        ("wide characters before the place", "suite: s\ncases:\n  - { name: \"äöü…\", zebra: 1, command: { run: [x] } }\n".into()),
        ("several things at once", "suite: s s\nowner: me\ncases:\n  - name: a\n    device: gpu\n    timeout: 5\n    comand: { run: [x] }\n  - name: b\n    command: { run: [] }\n".into()),
    ]
}

/// Nine levels of nine aliases: 387 million values.
fn bomb() -> String {
    let mut text = "suite: s\na: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let above = vec![format!("*a{}", level - 1); 9].join(", ");
        let _ = writeln!(text, "k{level}: &a{level} [{above}]");
    }
    text
}

#[test]
fn each_wrong_file_says_where_and_what_to_write() {
    for (name, yaml) in table() {
        let name = name.to_lowercase().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        insta::with_settings!({ snapshot_path => "snapshots/bad", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, errors(yaml.as_bytes()));
        });
    }
}

/// The list is of rules between values, of other files, and of texts that no schema knows. Whatever else the loader
/// refuses, an editor that has the schema refuses too.
#[test]
fn what_the_loader_refuses_the_schema_refuses_as_far_as_it_can() {
    let yaml = table().into_iter().filter(|(_, yaml)| serde_yaml::from_str::<Value>(yaml).is_ok());
    let (names, yaml): (Vec<_>, Vec<_>) = yaml.unzip();
    let verdicts = names.into_iter().zip(editor::verdicts(yaml));
    let taken = verdicts.filter(|(_, verdict)| verdict.is_none()).map(|(name, _)| name);
    insta::assert_debug_snapshot!(Vec::from_iter(taken));
}

#[test]
fn a_file_that_is_not_text_says_where() {
    insta::assert_snapshot!(errors(b"suite: s\ncases: \xff\n"), @"
    error: the file is not UTF-8
      --> bad.yaml:2:8
    hint: save it as UTF-8
    ");
}

#[test]
fn a_file_without_end_is_refused() {
    let size = usize::try_from(MAX_BYTES).expect("small");
    insta::assert_snapshot!(errors(&vec![b'#'; size + 1]), @"
    error: the file is larger than 1 MiB
      --> bad.yaml
    hint: is this a suite file? Make several of it where it is
    ");
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = load(Path::new("/nowhere/a.yaml"), Path::new("/nowhere")).expect_err("it is not there");
    insta::assert_snapshot!(error, @"cannot read the suite file /nowhere/a.yaml: No such file or directory (os error 2)");
}

#[test]
fn rules_and_types_are_reported_together_and_in_order() {
    let (_, yaml) = table().pop().expect("the last row");
    let LoadError::Wrong(diagnostics) = loaded(yaml.as_bytes()).expect_err("wrong") else { panic!() };
    let lines =
        Vec::from_iter(diagnostics.iter().map(|diagnostic| diagnostic.position.expect("a place").line));
    assert_eq!(lines, [1, 2, 5, 6, 7, 9]);
}

#[test]
fn a_file_with_every_key_loads() {
    let yaml = include_str!("every_key.yaml");
    let loaded = loaded(yaml.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
    insta::assert_yaml_snapshot!(loaded.suite);
}

#[test]
fn what_was_loaded_can_be_written_and_loaded_again() {
    let suite = loaded(include_bytes!("every_key.yaml")).expect("right").suite;
    let again =
        loaded(serde_yaml::to_string(&suite).expect("written").as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(again.suite, suite);
    let json = serde_json::to_string(&suite).expect("written");
    assert_eq!(serde_json::from_str::<gpu_suites::spec::Suite>(&json).expect("read"), suite);
}

#[test]
fn aliases_may_be_used() {
    let yaml = "suite: s\ncases:\n  - name: a\n    checks: &c { loss-drop: {} }\n    command: { run: [x] }\n  - { name: b, checks: *c, command: { run: [x] } }\n";
    let suite = loaded(yaml.as_bytes()).unwrap_or_else(|error| panic!("{error}")).suite;
    assert_eq!(suite.cases[0].checks, suite.cases[1].checks);
}

#[test]
fn a_value_can_be_pointed_at_later() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("s.yaml");
    fs::write(&path, train("")).expect("written");
    let loaded = load(&path, Path::new("/")).expect("right");
    assert_eq!(loaded.position("cases[0].train.data.image"), Some(Position { line: 6, column: 22 }));
    assert_eq!(loaded.position("cases[0].train.steps"), None);
    assert_eq!(loaded.position("cases[1]"), None);
    let mut missing = loaded.diagnostic(
        "cases[0].train.data.image",
        "there is no file `a.png`",
        Some("put it there".into()),
    );
    missing.path = "s.yaml".into();
    insta::assert_snapshot!(missing, @"
    error: there is no file `a.png`
      --> s.yaml:6:22
       |
     6 |       data: { image: a.png, boxes: a.csv, task: segment, size: 64 }
       |                      ^^^^^
    hint: put it there
    ");
    let mut unnamed = loaded.diagnostic("cases[0].train.steps", "too many steps", None);
    unnamed.path = "s.yaml".into();
    insta::assert_snapshot!(unnamed, @"
    error: too many steps
      --> s.yaml:4:5
       |
     4 |     train:
       |     ^^^^^
    ");
}

#[test]
fn the_root_is_the_nearest_folder_with_a_marker() {
    let folder = TempDir::new().expect("a folder");
    let suites = folder.path().join("project/deep/suites");
    fs::create_dir_all(&suites).expect("made");
    fs::write(suites.join("a.yaml"), train("")).expect("written");
    let root = || load(&suites.join("a.yaml"), Path::new("/")).expect("right").root;
    assert_eq!(root(), suites);
    fs::create_dir(folder.path().join("project/.git")).expect("made");
    assert_eq!(root(), folder.path().join("project"));
    fs::write(folder.path().join("project/deep/gpu-harness.yaml"), "").expect("written");
    assert_eq!(root(), folder.path().join("project/deep"));
}

#[test]
fn suites_are_found_in_order_or_the_place_is_named() {
    let folder = TempDir::new().expect("a folder");
    let cwd = folder.path();
    let none = discover(&[], cwd).expect_err("nothing is there").to_string();
    insta::assert_snapshot!(none.replace(&cwd.display().to_string(), "CWD"), @"no suite file: CWD/suites does not exist; name a suite file or a folder of them");
    fs::create_dir(cwd.join("suites")).expect("made");
    let empty = discover(&[], cwd).expect_err("nothing is in it").to_string();
    insta::assert_snapshot!(empty.replace(&cwd.display().to_string(), "CWD"), @"no suite file: CWD/suites holds no *.yaml; name a suite file or a folder of them");
    for name in ["b.yaml", "a.yml", "c.txt", ".hidden.yaml"] {
        fs::write(cwd.join("suites").join(name), "").expect("written");
    }
    let found = discover(&[], cwd).expect("two");
    assert_eq!(found, [cwd.join("suites/a.yml"), cwd.join("suites/b.yaml")]);
    let twice = discover(&["suites/b.yaml".into(), "suites".into()], cwd).expect("two");
    assert_eq!(twice, [cwd.join("suites/b.yaml"), cwd.join("suites/a.yml")], "each file once");
    let missing = discover(&["nope.yaml".into()], cwd).expect_err("not there").to_string();
    insta::assert_snapshot!(missing.replace(&cwd.display().to_string(), "CWD"), @"no suite file: CWD/nope.yaml does not exist; name a suite file or a folder of them");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_loader_panic(text in "[a-z:{}\\[\\]&*!|>\"'#%@`, \n\t-]{0,200}") {
        let _ = loaded(text.as_bytes());
    }

    #[test]
    fn no_change_of_a_good_file_makes_the_loader_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = include_bytes!("every_key.yaml").to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Err(LoadError::Wrong(diagnostics)) = loaded(&bytes) {
            for diagnostic in diagnostics {
                let shown = diagnostic.to_string();
                prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
            }
        }
    }
}
