//! What a suite must fulfil beyond its types: names, choices, paths, figures that contradict each other.

use std::collections::HashMap;
use std::fmt::Display;

use crate::checks::selected;
use crate::metrics::MAX_NAME;
use crate::spec::{
    BatchSizes, Builtin, Canary, Case, CheckName, Command, Dtype, MetricCheck, Mode, Model, Output, Pipeline,
    RateCheck, Suite, Task, Throughput, Train, Work,
};
use crate::unit::Share;

/// The longest name of a suite or a case: both together are a folder's name.
const MAX_ID: usize = 100;

/// A rule that does not hold.
#[derive(Debug)]
pub(super) struct Violation {
    /// The value, e.g. `cases[2].train.data.image`.
    pub(super) path: String,
    pub(super) message: String,
    pub(super) hint: String,
    /// Another value that it contradicts, and what that is.
    pub(super) also: Option<(String, String)>,
}

#[derive(Default)]
struct Found(Vec<Violation>);

impl Found {
    fn add(&mut self, path: impl Display, message: impl Into<String>, hint: impl Into<String>) {
        let violation =
            Violation { path: path.to_string(), message: message.into(), hint: hint.into(), also: None };
        self.0.push(violation);
    }
}

/// Everything that does not hold of the parts that could be read.
pub(super) fn violations(head: Option<&Suite>, cases: &[Option<Case>]) -> Vec<Violation> {
    let mut found = Found::default();
    if let Some(suite) = head {
        name(&mut found, "suite", &suite.suite);
        if cases.is_empty() {
            found.add(
                "cases",
                "the suite has no cases",
                "add a case: `- name: …` with `train:`, `throughput:`, `pipeline:` or `command:`",
            );
        }
    }
    let mut names = HashMap::new();
    for (index, case) in cases.iter().enumerate() {
        let Some(case) = case else { continue };
        let at = format!("cases[{index}]");
        if let Some(earlier) = names.insert(case.name.as_str(), index) {
            found.add(
                format!("{at}.name"),
                format!("a second case `{}`", case.name),
                "give each case its own name",
            );
            if let Some(last) = found.0.last_mut() {
                last.also = Some((format!("cases[{earlier}].name"), "the first one is here".into()));
            }
        }
        of_case(&mut found, &at, case);
    }
    found.0
}

fn name(found: &mut Found, path: impl Display, name: &str) {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if name.is_empty() || name.len() > MAX_ID || !name.bytes().all(plain) || name.starts_with(['.', '-']) {
        let message = format!("`{name}` cannot be a name");
        found.add(
            path,
            message,
            format!("use 1 to {MAX_ID} of A-Z a-z 0-9 _ . - and begin with a letter or digit"),
        );
    }
}

fn of_case(found: &mut Found, at: &str, case: &Case) {
    name(found, format!("{at}.name"), &case.name);
    match case.work() {
        Some(Work::Train(train)) => of_train(found, &format!("{at}.train"), train),
        Some(Work::Throughput(throughput)) => of_throughput(found, &format!("{at}.throughput"), throughput),
        Some(Work::Pipeline(pipeline)) => of_pipeline(found, &format!("{at}.pipeline"), pipeline),
        Some(Work::Canary(canary)) => of_canary(found, &format!("{at}.canary"), canary),
        Some(Work::Command(command)) => of_command(found, &format!("{at}.command"), command),
        None => {
            let said = [
                ("train", case.train.is_some()),
                ("throughput", case.throughput.is_some()),
                ("pipeline", case.pipeline.is_some()),
                ("canary", case.canary.is_some()),
                ("command", case.command.is_some()),
            ];
            let said = Vec::from_iter(said.into_iter().filter_map(|(name, is)| is.then_some(name)));
            if let Some(last) = said.last() {
                let all = said.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ");
                found.add(format!("{at}.{last}"), format!("{all} in one case"), "make a case of each");
            } else {
                let hint = "say what it runs";
                found.add(
                    at,
                    "the case says neither `train` nor `throughput`, `pipeline`, `canary` or `command`",
                    hint,
                );
            }
        }
    }
    if case.train.as_ref().is_some_and(|train| train.control.is_some()) && case.must_fail.is_empty() {
        let hint = "list the checks that have to notice it: `must-fail: [loss-drop, metric]`";
        found.add(format!("{at}.train.control"), "a control that no check has to notice", hint);
    }
    if case.timeout.0.is_zero() {
        found.add(format!("{at}.timeout"), "a timeout of no time at all", "write a longer one, e.g. 10m");
    }
    if case.skip.as_ref().is_some_and(|reason| reason.trim().is_empty()) {
        found.add(format!("{at}.skip"), "no reason is given", "say why the case is left out");
    }
    for (key, input) in case.inputs_by_key().iter().filter(|(_, input)| input.on_node().is_none()) {
        let hint =
            "name a file below the folder of gpu-harness.yaml (or .git), without `..`, or `cache:PATH`";
        found.add(format!("{at}.{key}"), format!("`{input}` leads out of the suite's root"), hint);
    }
    which_checks(found, at, case);
    figures(found, &format!("{at}.checks"), case);
}

fn of_canary(found: &mut Found, at: &str, canary: &Canary) {
    if canary.measure.0.is_zero() {
        found.add(format!("{at}.measure"), "nothing is measured in no time", "write e.g. `measure: 20s`");
    }
}

fn of_train(found: &mut Found, at: &str, train: &Train) {
    of_model(found, at, &train.model);
    match (train.model.builtin, &train.model.torchscript) {
        (Some(Builtin::Unet), None) if train.data.task == Task::Classify => {
            found.add(
                format!("{at}.data.task"),
                "`unet` does not classify",
                "use `task: segment`, or `builtin: resnet18`",
            );
        }
        (Some(Builtin::Resnet18 | Builtin::Resnet50), None) if train.data.task == Task::Segment => {
            found.add(
                format!("{at}.data.task"),
                "a ResNet does not segment",
                "use `task: classify`, or `builtin: unet`",
            );
        }
        _ => {}
    }
    if train.data.crops.is_some() && train.data.task != Task::Classify {
        found.add(format!("{at}.data.crops"), "`crops` is for `task: classify` only", "remove it");
    }
    if train.data.crops.is_some_and(|crops| crops.get() < 2) {
        found.add(format!("{at}.data.crops"), "one crop cannot show both classes", "use 2 or more");
    }
    if !(train.learning_rate.is_finite() && train.learning_rate > 0.0) {
        found.add(format!("{at}.learning-rate"), "a learning rate that is not above 0", "write e.g. 1e-3");
    }
}

fn of_model(found: &mut Found, at: &str, model: &Model) {
    let Model { builtin, torchscript, width } = model;
    let at = format!("{at}.model");
    match (builtin, torchscript) {
        (Some(_), Some(_)) => {
            found.add(format!("{at}.torchscript"), "both `builtin` and `torchscript`", "keep one of them");
        }
        (None, None) => {
            let hint = "write `builtin: unet`, `builtin: resnet18` or `torchscript: PATH`";
            found.add(&at, "the model says neither `builtin` nor `torchscript`", hint);
        }
        _ => {}
    }
    if width.is_some() && *builtin != Some(Builtin::Unet) {
        found.add(format!("{at}.width"), "`width` is for `builtin: unet` only", "remove it");
    }
}

fn of_throughput(found: &mut Found, at: &str, throughput: &Throughput) {
    of_model(found, at, &throughput.model);
    if throughput.dtypes.is_empty() {
        found.add(format!("{at}.dtypes"), "no dtype is listed", "write e.g. `dtypes: [fp32, bf16]`");
    }
    for (index, dtype) in throughput.dtypes.iter().enumerate() {
        let path = format!("{at}.dtypes[{index}]");
        if throughput.dtypes[..index].contains(dtype) {
            found.add(path, format!("`{dtype}` is listed twice"), "keep one of them");
        } else if *dtype == Dtype::Fp16 && throughput.mode == Mode::TrainingStep {
            let hint = "use bf16: half precision needs loss scaling, which this training step does not do";
            found.add(path, "`fp16` is for `mode: inference` only", hint);
        }
    }
    if let BatchSizes::These(sizes) = &throughput.batch {
        if sizes.is_empty() {
            found.add(format!("{at}.batch"), "no batch size is listed", "write `auto`, a number or a list");
        }
        for (index, size) in sizes.iter().enumerate().filter(|(index, size)| sizes[..*index].contains(size)) {
            found.add(format!("{at}.batch[{index}]"), format!("{size} is listed twice"), "keep one of them");
        }
    }
    if throughput.input.is_empty() {
        found.add(format!("{at}.input"), "an item without a shape", "write e.g. `input: [3, 224, 224]`");
    }
    if throughput.model.builtin.is_some() {
        let sides = match throughput.input.as_slice() {
            [channels, height, width] if channels.get() == 3 => Some([height.get(), width.get()]),
            _ => None,
        };
        match (sides, throughput.model.builtin) {
            (None, _) => {
                let hint = "write e.g. `input: [3, 224, 224]`";
                found.add(format!("{at}.input"), "the built-in models take images of 3 channels", hint);
            }
            (Some(sides), Some(Builtin::Unet)) if sides.iter().any(|side| side % 8 != 0) => {
                let hint = "use sides like 128, 160 or 256";
                found.add(format!("{at}.input"), "the U-Net halves its input three times", hint);
            }
            _ => {}
        }
    }
    of_share(found, format!("{at}.others"), Some(throughput.others));
    if throughput.measure.0.is_zero() {
        found.add(format!("{at}.measure"), "a measurement of no time at all", "write e.g. 60s");
    }
}

/// What a location may begin with; a node's own files are named by an absolute path.
const LOCATIONS: [&str; 3] = ["s3://", "file:///", "memory://"];

fn of_pipeline(found: &mut Found, at: &str, pipeline: &Pipeline) {
    of_model(found, at, &pipeline.model);
    let images = &pipeline.images;
    let hint = "write `from: s3://BUCKET/PREFIX/` or `cut: { image: PATH, count: 2000 }`";
    match (&images.from, &images.cut) {
        (Some(_), Some(_)) => {
            found.add(format!("{at}.images.cut"), "both `from` and `cut`", "keep one of them");
        }
        (None, None) => found.add(format!("{at}.images"), "the images say neither `from` nor `cut`", hint),
        _ => {}
    }
    if images.keys.is_some() && images.from.is_none() {
        found.add(format!("{at}.images.keys"), "`keys` without `from`", "say whose keys they are");
    }
    let from = images.from.as_ref().map(|from| ("images.from", from));
    for (key, location) in from.into_iter().chain(pipeline.to.as_ref().map(|to| ("to", to))) {
        if !LOCATIONS.iter().any(|start| location.starts_with(start)) {
            let hint = "begin with s3://, file:/// or memory://: the case runs on the node";
            found.add(format!("{at}.{key}"), format!("`{location}` names no place on the node"), hint);
        }
    }
    if pipeline.model.builtin == Some(Builtin::Unet) && !pipeline.size.get().is_multiple_of(8) {
        found.add(format!("{at}.size"), "the U-Net halves its input three times", "use 128, 160 or 256");
    }
    let wrong = match (pipeline.model.builtin, pipeline.output) {
        (Some(Builtin::Unet), Output::Classify) => Some("`unet` does not classify"),
        (Some(Builtin::Resnet18 | Builtin::Resnet50), Output::Segment) => Some("a ResNet does not segment"),
        _ => None,
    };
    if let Some(message) = wrong {
        found.add(format!("{at}.output"), message, "use another `output`, or another model");
    }
}

fn of_command(found: &mut Found, at: &str, command: &Command) {
    if command.run.first().is_none_or(String::is_empty) {
        found.add(
            format!("{at}.run"),
            "no program is named",
            "write the program and its arguments: [python3, train.py]",
        );
    }
    if command.run.iter().any(|part| part.contains('\0')) {
        found.add(
            format!("{at}.run"),
            "a NUL character in an argument",
            "no program can be given one: remove it",
        );
    }
    let brought = [("bring", &command.bring), ("junit", &command.junit)];
    for (key, paths) in brought {
        for (index, path) in paths.iter().enumerate() {
            if path.in_cache().is_some() || path.on_node().is_none() {
                let hint = "name a file or folder below the working folder, without `..`";
                found.add(
                    format!("{at}.{key}[{index}]"),
                    format!("`{path}` is not in the working folder"),
                    hint,
                );
            }
        }
    }
    for (name, value) in &command.env {
        let path = format!("{at}.env.{name}");
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            found.add(
                path,
                format!("`{name}` cannot be an environment variable"),
                "use letters, digits and _",
            );
        } else if name.starts_with("GPU_HARNESS_") {
            found.add(
                path,
                format!("`{name}` is set by gpu-harness"),
                "choose a name that does not begin with GPU_HARNESS_",
            );
        }
    }
}

/// The checks that `must-fail` and `skip-checks` name have to be run.
fn which_checks(found: &mut Found, at: &str, case: &Case) {
    if case.work().is_none() {
        return;
    }
    let runs = selected(case);
    let how = |check: CheckName| match check {
        CheckName::ExitStatus => "it is for `command` cases".to_owned(),
        _ => format!("name it under `checks`, e.g. `{check}: {{}}`"),
    };
    if case.needs_worker() && case.checks.exit_status.is_some() {
        let hint = "remove it: a worker that does not end well is an error";
        found.add(format!("{at}.checks.exit-status"), "`exit-status` is for `command` cases", hint);
    }
    for (index, check) in case.must_fail.iter().enumerate() {
        let path = format!("{at}.must-fail[{index}]");
        if case.must_fail[..index].contains(check) {
            found.add(path, format!("`{check}` is listed twice"), "keep one of them");
        } else if case.skip_checks.contains_key(check) {
            found.add(
                path,
                format!("`{check}` must fail and is skipped"),
                "take it out of `skip-checks` or of `must-fail`",
            );
        } else if !runs.contains(check) {
            found.add(path, format!("`{check}` must fail, and the case does not run it"), how(*check));
        }
    }
    for (check, reason) in &case.skip_checks {
        let path = format!("{at}.skip-checks.{check}");
        if !runs.contains(check) {
            found.add(path, format!("`{check}` is skipped, and the case does not run it"), "remove it");
        } else if reason.trim().is_empty() {
            found.add(path, "no reason is given", "say why the check is left out");
        }
    }
    if runs.iter().all(|check| case.skip_checks.contains_key(check)) {
        let hint = "leave one check, or leave the whole case out with `skip: REASON`";
        found.add(
            format!("{at}.skip-checks"),
            "every check of the case is skipped: it could never pass",
            hint,
        );
    }
}

fn figures(found: &mut Found, at: &str, case: &Case) {
    let checks = &case.checks;
    for (index, check) in checks.metric.iter().flatten().enumerate() {
        of_metric(found, &format!("{at}.metric[{index}]"), check);
    }
    if checks.metric.as_ref().is_some_and(Vec::is_empty) {
        found.add(
            format!("{at}.metric"),
            "no metric is listed",
            "write `- name: eval/iou` and `at-least: 0.99`",
        );
    }
    for (index, check) in checks.rate.iter().flatten().enumerate() {
        of_rate(found, &format!("{at}.rate[{index}]"), check, case.throughput.as_ref());
    }
    if checks.rate.as_ref().is_some_and(Vec::is_empty) {
        found.add(format!("{at}.rate"), "no figure is listed", "write e.g. `- at-least: 300`");
    }
    let numbers = [
        ("initial-loss.near", checks.initial_loss.and_then(|check| check.near)),
        ("loss-drop.floor", checks.loss_drop.map(|check| check.floor)),
        ("zeroed-image.margin", checks.zeroed_image.map(|check| check.margin)),
    ];
    for (name, number) in numbers {
        if number.is_some_and(|number| !number.is_finite()) {
            found.add(format!("{at}.{name}"), "a figure that is not finite", "write a number");
        }
    }
    let tolerances = [
        ("export-parity.within", checks.export_parity.map(|check| check.within)),
        ("predictions.within", checks.predictions.map(|check| check.within)),
    ];
    for (name, tolerance) in tolerances {
        of_tolerance(found, format!("{at}.{name}"), tolerance);
    }
    let shares = [
        ("initial-loss.within", checks.initial_loss.map(|check| check.within)),
        ("loss-drop.to", checks.loss_drop.map(|check| check.to)),
        ("grad-norm-drop.to", checks.grad_norm_drop.map(|check| check.to)),
        ("mixed-precision.within", checks.mixed_precision.map(|check| check.within)),
        ("shards.errors", checks.shards.map(|check| check.errors)),
    ];
    for (name, share) in shares {
        of_share(found, format!("{at}.{name}"), share);
    }
    for (index, check) in checks.golden.iter().flatten().enumerate() {
        let at = format!("{at}.golden[{index}]");
        metric_name(found, &at, &check.name);
        of_tolerance(found, format!("{at}.within"), Some(check.within));
    }
    for (index, check) in checks.varied.iter().flatten().enumerate() {
        let at = format!("{at}.varied[{index}]");
        metric_name(found, &at, &check.name);
        if check.at_most.0 >= 1.0 {
            let hint = meant(check.at_most).unwrap_or_else(|| "write a share below 100%, e.g. 90%".into());
            found.add(format!("{at}.at-most"), "a share that no value can exceed", hint);
        }
    }
    for (name, is_empty, hint) in [
        ("golden", checks.golden.as_ref().is_some_and(Vec::is_empty), "write `- name: score`"),
        ("varied", checks.varied.as_ref().is_some_and(Vec::is_empty), "write `- name: predicted`"),
    ] {
        if is_empty {
            found.add(format!("{at}.{name}"), "no metric is listed", hint);
        }
    }
    if checks.time_budget.is_some_and(|check| check.at_most >= case.timeout) {
        let message = format!("a time budget that the timeout ({}) does not let it exceed", case.timeout);
        found.add(
            format!("{at}.time-budget.at-most"),
            message,
            "make the budget shorter, or `timeout` longer",
        );
    }
}

fn of_tolerance(found: &mut Found, path: String, tolerance: Option<f64>) {
    if tolerance.is_some_and(|within| !(within.is_finite() && within >= 0.0)) {
        found.add(path, "a tolerance that is below 0 or not finite", "write e.g. 1e-4");
    }
}

/// A share of something that it is a part of: 100 % at most.
fn of_share(found: &mut Found, path: String, share: Option<Share>) {
    if let Some(share) = share.filter(|share| share.0 > 1.0) {
        let hint = meant(share).unwrap_or_else(|| "write a share of at most 100%, e.g. 5% or 0.05".into());
        found.add(path, format!("a share of {share}: it is a part of the whole"), hint);
    }
}

/// What somebody may have meant who wrote a share as a plain number above one.
fn meant(share: Share) -> Option<String> {
    (share.0 > 1.0 && share.0 <= 100.0).then(|| format!("did you mean `{}`?", Share(share.0 / 100.0)))
}

fn metric_name(found: &mut Found, at: &str, name: &str) {
    if name.is_empty() || name.len() > MAX_NAME || name == "step" || name.starts_with('@') {
        let hint = format!("use 1 to {MAX_NAME} bytes, not `step`, and no `@` in front");
        found.add(format!("{at}.name"), format!("`{name}` cannot be a metric"), hint);
    }
}

fn of_metric(found: &mut Found, at: &str, check: &MetricCheck) {
    metric_name(found, at, &check.name);
    match (check.at_least, check.at_most) {
        (None, None) => found.add(at, "a metric check without a figure", "add `at-least:` or `at-most:`"),
        (Some(least), Some(most)) if least > most => {
            found.add(
                format!("{at}.at-most"),
                format!("no number is at least {least} and at most {most}"),
                "swap them",
            );
        }
        (least, most) => {
            if [least, most].into_iter().flatten().any(|figure| !figure.is_finite()) {
                found.add(at, "a figure that is not finite", "write a number");
            }
        }
    }
}

fn of_rate(found: &mut Found, at: &str, check: &RateCheck, throughput: Option<&Throughput>) {
    if check.is_empty() {
        let hint = "add `at-least:`, `of-ceiling:`, `of-base:`, `spread:`, `memory:` or `latency-p99:`";
        found.add(at, "a rate check without a figure", hint);
    }
    if check.at_least.is_some_and(|figure| !(figure.is_finite() && figure > 0.0)) {
        found.add(format!("{at}.at-least"), "a rate that is not above 0", "write items a second");
    }
    of_share(found, format!("{at}.of-ceiling"), check.of_ceiling);
    of_share(found, format!("{at}.spread"), check.spread);
    // A version may well be faster than the other, but not tenfold.
    if let Some(share) = check.of_base.filter(|share| share.0 > 10.0) {
        let hint = meant(share).unwrap_or_else(|| "write e.g. 95%".into());
        found.add(format!("{at}.of-base"), format!("{share} of the other version's rate"), hint);
    }
    let Some(throughput) = throughput else { return };
    if let Some(dtype) = check.dtype.filter(|dtype| !throughput.dtypes.contains(dtype)) {
        found.add(
            format!("{at}.dtype"),
            format!("`{dtype}` is not measured"),
            "add it to `dtypes`, or remove it here",
        );
    }
    match (&throughput.batch, check.batch) {
        (BatchSizes::These(sizes), Some(batch)) if !sizes.contains(&batch) => {
            let hint = "add it to `batch`, or remove it here";
            found.add(format!("{at}.batch"), format!("a batch of {batch} is not measured"), hint);
        }
        (BatchSizes::Auto, Some(_)) => {
            let hint = "leave it out: the check is then about the batch size that was found";
            found.add(format!("{at}.batch"), "`batch: auto` finds a batch size of its own", hint);
        }
        _ => {}
    }
}
