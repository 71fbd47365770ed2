//! `gpu-harness selfcheck` tells what a node has, also one that has never seen an agent.

use gpu_harness_tests::project::Project;
use gpu_harness_tests::sshd::Sshd;

#[test]
fn a_new_node_tells_what_it_has_as_text_and_as_json() {
    let sshd = Sshd::start();
    let project = Project::new().env("HOME", sshd.client_home().display().to_string());
    let text = project.gpu_harness(&["selfcheck", "--node", &sshd.address()]);
    assert_eq!(text.code(), 0, "{text:?}");
    for wanted in ["agent", "cores", "libtorch", "cuda", "clock skew"] {
        assert!(text.stdout.contains(wanted), "{wanted}: {}", text.stdout);
    }
    let json = project.gpu_harness(&["selfcheck", "--node", &sshd.address(), "--json"]);
    let facts: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    let skew = facts["clock_skew_ms"].as_f64().expect("the skew");
    assert!(skew.abs() < 5_000.0, "this machine's clock against itself: {skew} ms");
    assert_eq!(project.gpu_harness(&["selfcheck", "--node", "ssh://127.0.0.1:1"]).code(), 3);
}
