//! Lines as hostile or as dull as they come: no check panics on them, and each has its verdict.

use std::collections::{BTreeMap, VecDeque};

use gpu_suites::checks::{self, End, ProcessEnd};
use gpu_suites::evaluation::{Evaluator, judge};
use gpu_suites::metrics::{Blame, Line, Value};
use gpu_suites::outcome::Outcome;
use proptest::prelude::*;

use crate::{ended, exited, findings, lines, only, shown, signalled, sound_training, train};

const NAMES: [&str; 22] = [
    "row",
    "input_row",
    "golden/eval/iou",
    "repeat/eval/iou",
    "resumed/eval/iou",
    "update_norm",
    "params_frozen",
    "loss",
    "grad_norm",
    "batch_hash",
    "memory_bytes",
    "repeat/loss",
    "resumed/loss",
    "mixed/loss",
    "eval/iou",
    "train/iou",
    "zeroed/iou",
    "params_trainable",
    "params_unchanged",
    "export_max_abs_diff",
    "expected_initial_loss",
    "other",
];

/// Lines as hostile or as dull as they come, with the names that checks look for.
fn any_line() -> impl Strategy<Value = Line> {
    let number = prop_oneof![
        any::<f64>(),
        -1.0..1.0f64,
        Just(0.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::MAX),
        Just(-f64::MAX),
        Just(f64::MIN_POSITIVE),
    ];
    let value = prop_oneof![
        8 => number.prop_map(Value::Number),
        1 => ".{0,20}".prop_map(Value::Text),
        1 => any::<bool>().prop_map(Value::Flag),
    ];
    let step = prop_oneof![Just(None), (0..30u64).prop_map(Some), any::<u64>().prop_map(Some)];
    let metrics = (
        step,
        prop::collection::btree_map(prop::sample::select(&NAMES[..]).prop_map(String::from), value, 1..4),
    )
        .prop_map(|(step, values)| Line::Metrics { step, values });
    let skip = (prop::sample::select(Vec::from_iter(checks::names().cloned())), ".{0,20}")
        .prop_map(|(check, reason)| Line::Skip { check, reason });
    let fault = any::<bool>().prop_map(|code| if code { Blame::Code } else { Blame::Node });
    let error = (".{0,20}", any::<Option<String>>(), fault).prop_map(|(what, hint, fault)| Line::Error {
        what,
        hint,
        fault,
    });
    prop_oneof![40 => metrics, 1 => skip, 1 => error, 1 => Just(Line::Artifact("a.png".into()))]
}

fn any_end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => Just(exited(0)),
        1 => any::<i32>().prop_map(exited),
        1 => (any::<i32>(), "[A-Z]{0,9}").prop_map(|(signal, name)| signalled(signal, &name)),
        1 => Just(ended(ProcessEnd::Aborted)),
    ]
}

const EVERY_CHECK: &str = "initial-loss: {}, same-batch: {}, gradients: { frozen: 0 }, loss-drop: {}, grad-norm-drop: {}, \
     metric: [{ name: eval/iou, at-least: 0.9 }, { name: loss, at-most: 1, when: mean }], zeroed-image: {}, \
     deterministic: {}, mixed-precision: {}, resume-parity: {}, memory-flat: { from-step: 3 }, export-parity: {}, \
     steps: { count: 4 }, rows: { ordered: true }, golden: [{ name: eval/iou }], varied: [{ name: loss }], \
     time-budget: { at-most: 1s }";

proptest! {
    #[test]
    fn no_line_makes_a_check_panic(
        lines in prop::collection::vec(any_line(), 0..60),
        end in any_end(),
        is_command in any::<bool>(),
    ) {
        let case = if is_command { only(EVERY_CHECK) } else { train("must-fail: [loss-drop]") };
        let mut evaluator = Evaluator::for_case(&case);
        for line in &lines {
            evaluator.observe(line);
        }
        let found = evaluator.conclude(&end);
        let (outcome, reason) = judge(&case, &found);
        prop_assert_eq!(outcome == Outcome::Passed, reason.is_none());
        for check in case.selected_checks().into_iter().filter(|check| *check != checks::ExitStatus::NAME) {
            prop_assert!(found.iter().any(|finding| finding.check == check), "{} has no verdict", check);
        }
    }

    #[test]
    fn the_order_of_unrelated_metrics_does_not_matter(shuffle in prop::collection::vec(any::<prop::sample::Index>(), 900)) {
        let case = train("");
        let sound = lines(&sound_training());
        // One queue for each metric: within it the order stays.
        let mut queues: BTreeMap<String, VecDeque<Line>> = BTreeMap::new();
        for line in &sound {
            let Line::Metrics { step, values } = line else { unreachable!() };
            for (name, value) in values {
                let alone = Line::Metrics { step: *step, values: [(name.clone(), value.clone())].into() };
                queues.entry(name.clone()).or_default().push_back(alone);
            }
        }
        let mut shuffled = Evaluator::for_case(&case);
        for at in shuffle.iter().cycle() {
            if queues.is_empty() {
                break;
            }
            let name = queues.keys().nth(at.index(queues.len())).expect("in range").clone();
            let queue = queues.get_mut(&name).expect("there");
            shuffled.observe(&queue.pop_front().expect("not empty"));
            if queue.is_empty() {
                queues.remove(&name);
            }
        }
        prop_assert_eq!(shown(&shuffled.conclude(&exited(0))), shown(&findings(&case, &sound_training(), &exited(0))));
    }
}
