//! `gpu-harness selfcheck` tells what a node has, also one that has never seen an agent.

use gpu_harness::config::Config;
use gpu_harness::node::NodeSpec;
use gpu_harness::node::health::{Requirements, Unhealthy, judge};
use gpu_harness::node::remote::Remote;
use gpu_harness::session::selfcheck::facts;
use gpu_harness::transport::Transport;
use gpu_harness_tests::project::{Project, program};
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

#[test]
fn the_facts_of_a_node_are_read_and_judged() {
    let folder = tempfile::tempdir().unwrap();
    let stand_in = folder.path().join("facts.json");
    let xid = r#"{"code":79,"gpu":"PCI:0000:00:1e","message":"GPU has fallen off the bus."}"#;
    let gpus = r#"{"present":{"driver":"580.82.07","cuda":"13.0","devices":[{"name":"NVIDIA L4"}]}}"#;
    std::fs::write(&stand_in, format!(r#"{{"gpus":{gpus},"kernel_log":{{"read":{{"xids":[{xid}]}}}}}}"#))
        .unwrap();
    let environment =
        [("GPU_HARNESS_AGENT", program("gpu-agent")), ("GPU_HARNESS_CACHE", folder.path().join("cache"))];
    for (name, value) in environment.into_iter().chain([("GPU_AGENT_STAND_IN", stand_in)]) {
        // SAFETY: each test has a process of its own, and this one has no other thread yet.
        unsafe { std::env::set_var(name, value) };
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(async {
        let node = NodeSpec::choose(Some("local"), &Config::default()).unwrap().there().unwrap();
        facts(&Remote::new(node, Transport::local(), &gpu_harness::here::Env::of_process()).unwrap())
            .await
            .unwrap()
    });
    assert!(seen.clock_skew_ms.expect("the skew").abs() < 5_000.0, "{seen:?}");
    assert_eq!(judge(&seen, &Requirements::default()), Ok(()));
    let wrong = judge(&seen, &Requirements { gpus: 1, ..Requirements::default() }).unwrap_err();
    assert!(matches!(wrong.as_slice(), [Unhealthy::Xid { seen, .. }] if seen.code == 79), "{wrong:?}");
}
