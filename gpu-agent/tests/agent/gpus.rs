//! The GPUs are watched while a case of any kind runs, through the driver's own library.
//!
//! The far side of that library stands in (fixtures/nvml): what a sick GPU says cannot be had on demand.

use gpu_suites::event::{Event, GpusWatched, Record};
use serde_json::{Value, json};

use crate::rig::{Node, ends, plan, sh, warnings};

struct Gpu {
    node: Node,
}

impl Gpu {
    fn new() -> Self {
        let node = Node::new().with_nvml();
        Self { node }
    }

    /// Runs a line of shell that can `tell LINES` what the GPU is like from now on, and then waits until it was looked at
    /// four times.
    fn run(&self, line: &str) -> Vec<Record> {
        self.case(&sh(&script(line)))
    }

    fn case(&self, case: &Value) -> Vec<Record> {
        self.node.run(plan("r", std::slice::from_ref(case)))
    }
}

fn script(line: &str) -> String {
    let tell = r#"tell() { printf "$1\n" > $NVML_STAND_IN.part; mv $NVML_STAND_IN.part $NVML_STAND_IN
        seen=$(wc -c < $NVML_STAND_IN.looks); while [ $(wc -c < $NVML_STAND_IN.looks) -lt $((seen + 4)) ]; do sleep 0.02; done; }"#;
    format!("{tell}\n{line}")
}

fn watched(records: &[Record]) -> Vec<&GpusWatched> {
    let watched = records.iter().filter_map(|record| match &record.event {
        Event::GpusWatched(watched) => Some(watched),
        _ => None,
    });
    watched.collect()
}

#[test]
fn a_gpu_that_is_well_is_told_with_its_figures() {
    // Its power cap holds it back, and the case itself computes on it.
    let records = Gpu::new().run("tell \"throttle=0x5\\npid=$$\"");
    assert_eq!(ends(&records), ["passed"]);
    let watched = watched(&records)[0];
    assert_eq!(
        (watched.case.as_str(), watched.attempt, watched.broken.len()),
        ("s::c0", 1, 0),
        "{watched:?}"
    );
    let [gpu] = watched.gpus.as_slice() else { panic!("{watched:?}") };
    assert_eq!(gpu.name.as_deref(), Some("NVIDIA L4"));
    assert!(gpu.looks >= 4 && gpu.power_capped >= 3 && gpu.power_capped <= gpu.looks, "{gpu:?}");
    assert_eq!(gpu.sm_clock_mhz.map(|clock| clock.mean), Some(1590.0));
    assert_eq!(gpu.power_watts.map(|power| power.most), Some(70.5));
    assert!(gpu.energy_joules.is_some_and(|joules| joules > 0.0));
    assert_eq!(warnings(&records), [""; 0]);
}

#[test]
fn whatever_makes_a_gpu_slow_or_shared_is_told_and_changes_no_outcome() {
    let somebody = std::process::id();
    let somebody = (format!("tell pid={somebody}"), format!("(process {somebody}) too"));
    let all = [
        ("tell throttle=0x40; tell throttle=0", "slowed itself down: hw thermal slowdown"),
        ("tell throttle=0x20", "slowed itself down: sw thermal slowdown"),
        ("tell throttle=0x80", "slowed itself down: hw power brake slowdown"),
        ("tell throttle=0x8", "slowed itself down: hw slowdown"),
        (&somebody.0, &somebody.1),
        ("tell remap=0,1,1,0", "has bad memory in use until it is reset"),
        ("tell remap=0,1,0,1", "could not replace a bad row of its memory"),
        ("tell xid=31", "the driver reported Xid 31 of GPU 0 (NVIDIA L4)"),
    ];
    at_once(&all, |(line, said)| {
        let records = Gpu::new().run(line);
        assert_eq!(ends(&records), ["passed"], "{line}");
        let broken = &watched(&records)[0].broken;
        assert!(broken.len() == 1 && broken[0].contains(said), "{line}: {broken:?}");
        let warned = warnings(&records);
        assert!(warned.len() == 1 && warned[0].contains("counts for no baseline"), "{warned:?}");
    });
}

/// A case mostly waits to be looked at.
fn at_once<T: Sync>(all: &[T], check: impl Fn(&T) + Sync) {
    std::thread::scope(|scope| {
        for one in all {
            scope.spawn(|| check(one));
        }
    });
}

#[test]
fn a_test_that_fails_on_a_gpu_that_breaks_is_errored_and_not_failed() {
    let all = [
        ("tell xid=79; exit 1", "Xid 79 of GPU 0 (NVIDIA L4): it has fallen off the bus"),
        ("tell ecc=2; exit 1", "2 errors in the memory of GPU 0 (NVIDIA L4) could not be corrected"),
        ("tell lost=1; exit 1", "GPU 0 (NVIDIA L4) no longer answers"),
    ];
    at_once(&all, |(line, said)| {
        let end = ends(&Gpu::new().run(line)).remove(0);
        assert!(end.starts_with("errored: ") && end.contains(said), "{end}");
        assert!(end.contains("the case itself: "), "{end}");
    });
    // The program's own mistake, which the driver reports too.
    let end = ends(&Gpu::new().run("tell xid=31; exit 1")).remove(0);
    assert!(end.starts_with("failed"), "{end}");
    // It hung because the GPU did.
    let hung =
        json!({ "command": { "run": ["sh", "-c", script("tell xid=119; sleep 60")] }, "timeout": "3s" });
    let end = ends(&Gpu::new().case(&hung)).remove(0);
    assert!(
        end.starts_with("errored: ") && end.contains("Xid 119") && end.contains("timeout of 3s"),
        "{end}"
    );
}

#[test]
fn nothing_else_is_run_on_a_gpu_that_broke() {
    let on_cpu = json!({ "command": { "run": ["true"] }, "device": "cpu" });
    let mut plan = plan("r", &[sh(&script("tell xid=79; exit 1")), sh("true"), on_cpu]);
    plan.retries = 2;
    let records = Gpu::new().node.run(plan);
    let ends = ends(&records);
    assert!(ends[1].starts_with("errored: ") && ends[1].contains("in a case before this one"), "{ends:?}");
    assert_eq!((ends.len(), ends[2].as_str()), (3, "passed"), "{ends:?}");
    assert!(watched(&records)[1].broken[0].contains("Xid 79"), "the second is not blamed for it");
}

#[test]
fn an_old_trouble_is_not_the_cases() {
    let gpu = Gpu::new();
    gpu.node.stand_in_nvml("ecc=7\n");
    let records = gpu.run("tell ecc=7; exit 1");
    assert!(ends(&records)[0].starts_with("failed"), "{records:?}");
    assert_eq!(watched(&records)[0].broken, [""; 0]);
}

#[test]
fn a_gpu_that_is_not_what_the_case_asks_for_is_told() {
    let command = json!({ "run": ["sh", "-c", script("tell throttle=0")] });
    let records = Gpu::new().case(&json!({ "command": command, "gpu": { "memory": "40 GiB" } }));
    let ends = ends(&records);
    assert!(
        ends[0].starts_with(
            "errored: the case needs 1 GPU of 40.0 GiB or more, and this node has NVIDIA L4 (22.5 GiB"
        ),
        "{ends:?}"
    );
    assert!(!records.iter().any(|record| matches!(record.event, Event::CaseStarted(_))), "nothing was run");
}

#[test]
fn a_gpu_that_the_case_does_not_see_is_not_watched() {
    let hidden = json!({ "run": ["true"], "env": { "CUDA_VISIBLE_DEVICES": "" } });
    assert_eq!(watched(&Gpu::new().case(&json!({ "command": hidden }))).len(), 0);
    let on_cpu = json!({ "command": { "run": ["true"] }, "device": "cpu" });
    assert_eq!(watched(&Gpu::new().case(&on_cpu)).len(), 0);
    assert_eq!(watched(&Node::new().run(plan("r", &[sh("true")]))).len(), 0, "a node without a driver");
}

#[test]
fn a_driver_that_never_answers_again_holds_nothing_up() {
    let records = Gpu::new().node.run(plan(
        "r",
        &[sh(&script("tell throttle=0; printf 'hang=1\\n' > $NVML_STAND_IN; sleep 0.5")), sh("true")],
    ));
    assert_eq!(ends(&records), ["passed", "passed"]);
    let watched = watched(&records);
    assert_eq!(watched.len(), 2);
    for watched in watched {
        assert!(watched.broken[0].contains("the driver does not answer"), "{watched:?}");
    }
}
