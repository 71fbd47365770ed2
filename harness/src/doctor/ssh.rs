//! A machine that is there already: whether it lets us in, whether it is who it should be, and what its agent says.

use gpu_suites::facts::{Gpus, Libtorch, NodeFacts};

use crate::here::Env;
use crate::node::remote::Remote;
use crate::node::{Endpoint, Node};
use crate::report::finding::Finding;
use crate::run::connect;
use crate::text::{Explain as _, chain};
use crate::transport::{Transport, TransportError};

/// More skew than this makes the times of node and harness hard to read together.
const SKEW_MS: f64 = 2_000.0;

/// Connection, host key, and what the agent there says.
pub(super) async fn findings(node: &Node, env: &Env) -> Vec<Finding> {
    let Endpoint::Ssh { address, .. } = &node.place else {
        return agent(node.clone(), Transport::local(), env).await;
    };
    match connect(node, env).await {
        Ok(transport) => {
            let mut findings = vec![
                Finding::ok("connection", format!("logged in to {}", transport.describe())),
                Finding::ok("host key", "the one that known_hosts holds"),
            ];
            findings.extend(agent(node.clone(), transport, env).await);
            findings
        }
        Err(error) => vec![refused(address, &error)],
    }
}

fn refused(address: &str, error: &TransportError) -> Finding {
    let about = match error {
        TransportError::HostKeyUnknown { .. }
        | TransportError::HostKeyChanged { .. }
        | TransportError::HostKeyRevoked { .. }
        | TransportError::HostCertificate { .. }
        | TransportError::KnownHosts { .. } => "host key",
        TransportError::Config { .. } | TransportError::JumpLoop { .. } => "ssh configuration",
        _ => "connection",
    };
    let text = format!("{address}: failed to {}", chain(error));
    Finding { hint: error.hint(), ..Finding::failed(about, text) }
}

async fn agent(node: Node, transport: Transport, env: &Env) -> Vec<Finding> {
    let asked = async { crate::session::selfcheck::facts(&Remote::new(node, transport, env)?).await };
    match asked.await {
        Ok(facts) => judge(&facts),
        Err(error) => vec![Finding { hint: error.hint(), ..Finding::failed("selfcheck", chain(&error)) }],
    }
}

/// What a run may fail over. A node without a GPU is one for the suites that need none.
fn judge(facts: &NodeFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(skew) = facts.clock_skew_ms {
        let said = format!("{skew:+.0} ms against this machine");
        findings.push(if skew.abs() <= SKEW_MS {
            Finding::ok("clock", said)
        } else {
            Finding::failed("clock", said)
                .hint("let both machines keep time by NTP: `timedatectl set-ntp true`")
        });
    }
    findings.push(match &facts.folder.unwritable {
        None => Finding::ok("folder", facts.folder.path.display().to_string()),
        Some(why) => Finding::failed("folder", format!("{}: {why}", facts.folder.path.display()))
            .hint("name another with `cache:` in gpu-harness.yaml"),
    });
    findings.push(match &facts.gpus {
        Gpus::Present { devices, driver, .. } if !devices.is_empty() => {
            let names = devices.iter().map(|gpu| gpu.name.clone().unwrap_or_else(|| "a GPU".to_owned()));
            let driver = driver.as_deref().unwrap_or("of unknown version");
            Finding::ok("GPU", format!("{}, driver {driver}", Vec::from_iter(names).join(", ")))
        }
        Gpus::Present { .. } => Finding::unknown("GPU", "the driver lists none").hint(NO_GPU),
        Gpus::Absent(why) => Finding::unknown("GPU", why.as_str()).hint(NO_GPU),
    });
    findings.push(match &facts.libtorch {
        Libtorch::Found { root, from } => Finding::ok("libtorch", format!("{} ({from})", root.display())),
        Libtorch::Missing(why) => Finding::unknown("libtorch", why.as_str()).hint(
            "gpu-worker's cases need it, and it is fetched before the first of them: docs/environment.md",
        ),
    });
    findings
}

/// What a machine without a GPU is good for.
const NO_GPU: &str = "cases that ask for a GPU are refused there; the others run on its processor";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::finding::State;

    fn judged(change: &dyn Fn(&mut serde_json::Value)) -> Vec<(String, State)> {
        let mut facts = serde_json::json!({
            "agent": "0.1.0", "machine": {"host": "h", "kernel": "k"}, "folder": {"path": "/c"},
            "clock": {"now": "2026-11-23T00:00:00Z"}, "clock_skew_ms": 3.0,
            "gpus": {"present": {"driver": "580.82.07", "devices": [{"name": "NVIDIA L4"}]}},
            "libtorch": {"found": {"root": "/opt/libtorch", "from": "$LIBTORCH"}},
        });
        change(&mut facts);
        let findings = judge(&serde_json::from_value(facts).unwrap()).into_iter();
        findings
            .filter(|finding| finding.state != State::Ok)
            .map(|finding| (finding.about, finding.state))
            .collect()
    }

    #[test]
    fn what_is_wrong_with_a_machine_is_told_and_what_it_merely_lacks_is_no_failure() {
        let failed = |about: &str| vec![(about.to_owned(), State::Failed)];
        let unknown = |about: &str| vec![(about.to_owned(), State::Unknown)];
        assert_eq!(judged(&|_| {}), []);
        assert_eq!(judged(&|facts| facts["clock_skew_ms"] = (-9e4).into()), failed("clock"));
        assert_eq!(judged(&|facts| facts["folder"]["unwritable"] = "read-only".into()), failed("folder"));
        assert_eq!(
            judged(&|facts| facts["gpus"] = serde_json::json!({"absent": "no driver"})),
            unknown("GPU")
        );
        assert_eq!(
            judged(&|facts| facts["libtorch"] = serde_json::json!({"missing": "x"})),
            unknown("libtorch")
        );
    }
}
