//! What the node has.

use gpu_suites::facts::{ARMED, Gpus, KernelLog, NodeFacts, RowRemap, Throttle};

use crate::rig::Node;

#[test]
fn a_node_without_gpu_or_libtorch_is_told_as_such() {
    let node = Node::new().with("LIBTORCH", "").with("PATH", "/nonexistent");
    let output =
        node.command(&["selfcheck", "--json", "--worker", "/nonexistent/gpu-worker"]).output().unwrap();
    assert!(output.status.success());
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(facts["libtorch"]["missing"].as_str().unwrap().contains("hint:"), "{facts:#}");
    assert!(facts["worker"]["silent"].as_str().unwrap().contains("/nonexistent/gpu-worker"), "{facts:#}");
    assert!(
        facts["gpus"]["absent"].is_string() || facts["gpus"]["present"]["driver"].is_string(),
        "{facts:#}"
    );
    assert!(facts["folder"]["free_bytes"].as_u64().unwrap() > 0 && facts["folder"]["unwritable"].is_null());
    assert!(facts["machine"]["cores"].as_u64().unwrap() > 0);
    let text = String::from_utf8(node.command(&["selfcheck"]).output().unwrap().stdout).unwrap();
    for name in ["agent", "host", "cores", "memory", "folder", "clock", "libtorch", "cuda"] {
        assert!(text.lines().any(|line| line.starts_with(name)), "{name}: {text}");
    }
}

#[test]
fn the_facts_are_those_that_a_harness_can_read() {
    let output = Node::new().command(&["selfcheck", "--json"]).output().unwrap();
    let facts: NodeFacts = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(facts.agent, env!("CARGO_PKG_VERSION"));
    assert!(facts.folder.free_bytes.is_some() && facts.machine.cores.is_some());
    // Which of both depends on the machine; either way it is said.
    if let KernelLog::Unreadable(why) = &facts.kernel_log {
        assert!(why.starts_with("/dev/kmsg: "), "{why}");
    }
    assert_eq!(facts.armed.is_some(), std::path::Path::new(ARMED).exists());
}

#[test]
fn what_the_driver_tells_of_a_sick_gpu_is_a_fact() {
    let node = Node::new().with_nvml();
    // Idle, held back by its settings, too hot by hardware's own measure, and a bit that nobody knows yet.
    node.stand_in_nvml("throttle=0x10000000043\nremap=7,2,1,1\necc=3\n");
    let output = node.command(&["selfcheck", "--json"]).output().unwrap();
    let facts: NodeFacts = serde_json::from_slice(&output.stdout).unwrap();
    let Gpus::Present { devices, .. } = &facts.gpus else { panic!("{facts:?}") };
    let remap = RowRemap { correctable: 7, uncorrectable: 2, pending: true, failed: true };
    assert_eq!(devices[0].row_remap, Some(remap));
    assert_eq!(devices[0].retirement_pending, Some(false));
    assert_eq!(devices[0].throttled, [Throttle::HardwareThermal]);
    assert_eq!((devices[0].memory_bytes, devices[0].ecc_uncorrected), (Some(24_152_899_584), Some(3)));
    assert_eq!(devices[0].ecc, None, "what it is not told of is not made up");
}

#[test]
fn facts_can_be_stood_in_for_to_try_a_sick_node() {
    let node = Node::new();
    let path = node.path().join("facts.json");
    let node = node.with("GPU_AGENT_STAND_IN", &path.display().to_string());
    let gpu = r#"{"name":"NVIDIA L4","memory_bytes":24152899584,"throttled":["hw thermal slowdown"]}"#;
    std::fs::write(&path, format!(r#"{{"gpus":{{"present":{{"driver":"580.1","devices":[{gpu}]}}}}}}"#))
        .unwrap();
    let output = node.command(&["selfcheck", "--json"]).output().unwrap();
    let facts: NodeFacts = serde_json::from_slice(&output.stdout).unwrap();
    let Gpus::Present { devices, .. } = &facts.gpus else { panic!("{facts:?}") };
    assert_eq!(devices[0].throttled, [Throttle::HardwareThermal]);
    assert!(facts.machine.cores.is_some(), "the rest is the machine's own");
    let text = String::from_utf8(node.command(&["selfcheck"]).output().unwrap().stdout).unwrap();
    assert!(text.contains("gpu            NVIDIA L4, 22.5 GiB (? used), no UUID\n"), "{text}");
    assert!(text.contains("slowed down: hw thermal slowdown\n"), "{text}");

    std::fs::write(&path, r#"{"gpus":"many"}"#).unwrap();
    let output = node.command(&["selfcheck"]).output().unwrap();
    assert!(!output.status.success(), "what cannot be understood is no fact");
}

#[test]
fn a_folder_that_cannot_be_written_is_a_fact() {
    let node = Node::new();
    std::fs::write(node.cache(), "a file").unwrap();
    let output = node.command(&["selfcheck", "--json"]).output().unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(facts["folder"]["unwritable"].is_string(), "{facts:#}");
}

#[test]
fn a_driver_that_never_answers_is_told_of_and_holds_up_nothing() {
    let node = Node::new().with_nvml().with("GPU_AGENT_DRIVER_ANSWERS_WITHIN", "1");
    node.stand_in_nvml("hang=1\n");
    let output = node.command(&["selfcheck", "--json"]).output().unwrap();
    let facts: NodeFacts = serde_json::from_slice(&output.stdout).unwrap();
    let Gpus::Absent(why) = facts.gpus else { panic!("{:?}", facts.gpus) };
    assert!(why.contains("does not answer"), "{why}");
}
