//! What the node has.

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
fn a_folder_that_cannot_be_written_is_a_fact() {
    let node = Node::new();
    std::fs::write(node.cache(), "a file").unwrap();
    let output = node.command(&["selfcheck", "--json"]).output().unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(facts["folder"]["unwritable"].is_string(), "{facts:#}");
}
