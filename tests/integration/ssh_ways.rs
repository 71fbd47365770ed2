//! The ways to a node that ssh knows: other machines in between, a program, an address of one's own.

use std::fmt::Write as _;
use std::time::Duration;

use gpu_harness::text::explained;
use gpu_harness::transport::{Command, ExitStatus, SshOptions, Transport, TransportError};
use gpu_harness_tests::process::{lives, within};
use gpu_harness_tests::sshd::{Sshd, bytes_of, output_of};

/// A client whose configuration knows each server by a name.
fn client(servers: &[(&str, &Sshd)], more: &str) -> SshOptions {
    let client = servers[0].1;
    let mut config = more.to_owned();
    let mut known = String::new();
    for (name, sshd) in servers {
        let (user, port) = (sshd.user(), sshd.port());
        let _ = write!(
            config,
            "\nHost {name}\n  HostName 127.0.0.1\n  User {user}\n  Port {port}\n  HostKeyAlias {name}\n"
        );
        let _ = writeln!(known, "{name} {}", sshd.host_key());
        if sshd.port() != client.port() {
            let public = std::fs::read_to_string(client.identity().with_extension("pub")).unwrap();
            sshd.let_in(public.trim_end());
        }
    }
    std::fs::write(client.client_config(), config).unwrap();
    std::fs::write(client.known_hosts(), known).unwrap();
    client.ssh_options()
}

async fn home_of(address: &str, options: SshOptions) -> String {
    let node = tokio::time::timeout(Duration::from_secs(30), Transport::ssh(address, options));
    let node = node.await.expect("no answer").unwrap_or_else(|error| panic!("{error}"));
    let mut exec = node.exec(Command::shell("printf %s \"$HOME\"; exit 3")).await.unwrap();
    let said = output_of(&mut exec).await;
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(3));
    said
}

async fn refused(address: &str, options: SshOptions) -> TransportError {
    let connecting = tokio::time::timeout(Duration::from_secs(30), Transport::ssh(address, options));
    connecting.await.expect("no answer").expect_err("it was let in")
}

#[tokio::test]
async fn a_node_behind_several_machines_is_reached_over_them() {
    let (node, inner, outer) = (Sshd::start(), Sshd::start(), Sshd::start());
    let servers = [("node", &node), ("inner", &inner), ("outer", &outer)];
    let expected = node.node_home().display().to_string();
    for (jumps, over_inner, over_outer) in [
        ("Host node\n  ProxyJump outer,inner", true, true),
        ("Host node\n  ProxyJump inner\nHost inner\n  ProxyJump outer", true, true),
        ("Host node\n  ProxyJump outer", false, true),
        ("Host *\n  ProxyJump none", false, false),
    ] {
        let options = client(&servers, jumps);
        let before = [&inner, &outer].map(|sshd| sshd.log().matches("Accepted publickey").count());
        assert_eq!(home_of("ssh://node", options).await, expected, "{jumps}");
        let after = [&inner, &outer].map(|sshd| sshd.log().matches("Accepted publickey").count());
        assert_eq!(
            [after[0] - before[0], after[1] - before[1]],
            [over_inner, over_outer].map(usize::from),
            "{jumps}"
        );
    }
}

#[tokio::test]
async fn much_data_passes_a_machine_in_between_whole() {
    let (node, jump) = (Sshd::start(), Sshd::start());
    let options = client(&[("node", &node), ("jump", &jump)], "Host node\n  ProxyJump jump");
    let node = Transport::ssh("ssh://node", options).await.unwrap();
    let mut exec = node.exec(Command::shell("cat; exit 4")).await.unwrap();
    let mut stdin = exec.take_stdin();
    let writing = tokio::spawn(async move {
        for index in 0..64_u32 {
            stdin.write(index.to_be_bytes().repeat(64 << 10)).await.unwrap();
        }
    });
    let received = bytes_of(&mut exec).await;
    writing.await.unwrap();
    let expected = Vec::from_iter((0..64_u32).flat_map(|index| index.to_be_bytes().repeat(64 << 10)));
    assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(4));
}

#[tokio::test]
async fn a_machine_in_between_has_to_be_trusted_as_well() {
    let (node, jump) = (Sshd::start(), Sshd::start());
    let options = client(&[("node", &node), ("jump", &jump)], "Host node\n  ProxyJump jump");
    let known = std::fs::read_to_string(node.known_hosts()).unwrap();
    let line = known.lines().find(|line| line.starts_with("jump ")).unwrap();
    std::fs::write(node.known_hosts(), known.replace(line, "")).unwrap();
    let before = node.log().matches("Connection from").count();
    let error = refused("ssh://node", options.clone()).await;
    assert!(
        error.to_string().contains(&format!("port {}: its host key is not known", jump.port())),
        "{error}"
    );
    let after = node.log().matches("Connection from").count();
    assert_eq!(before, after, "the node was reached all the same");

    // What it says to do is what helps: the key is known by its alias, which ssh-keyscan would not write.
    let command = explained(&error).lines().last().unwrap().trim().to_owned();
    assert!(
        std::process::Command::new("sh").arg("-c").arg(&command).status().unwrap().success(),
        "{command}"
    );
    home_of("ssh://node", options).await;
}

#[tokio::test]
async fn a_machine_that_passes_nothing_on_is_named_with_its_word() {
    let (node, jump) = (Sshd::start(), Sshd::with(&["AllowTcpForwarding no"]));
    let options = client(&[("node", &node), ("jump", &jump)], "Host node\n  ProxyJump jump");
    let error = refused("ssh://node", options).await;
    assert!(error.is_transient());
    let text = error.to_string();
    let expected = "have USER@127.0.0.1 port JUMP connect to 127.0.0.1 port NODE: Channel open failure (administratively prohibited)";
    let text = text
        .replace(&format!("{}@", node.user()), "USER@")
        .replace(&jump.port().to_string(), "JUMP")
        .replace(&node.port().to_string(), "NODE");
    assert!(text.ends_with(expected), "{text}");
}

#[tokio::test]
async fn jumps_in_a_circle_end_in_an_error() {
    let (a, b) = (Sshd::start(), Sshd::start());
    for jumps in ["Host a\n  ProxyJump b\nHost b\n  ProxyJump a", "Host *\n  ProxyJump a"] {
        let error = refused("ssh://a", client(&[("a", &a), ("b", &b)], jumps)).await;
        assert!(matches!(error, TransportError::JumpLoop { .. }) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("leads in a circle"), "{error}");
    }
}

#[tokio::test]
async fn a_node_is_reached_through_a_program() {
    let (node, jump) = (Sshd::start(), Sshd::start());
    // What many have in their configuration: ssh itself as the program.
    let command = format!(
        "ssh -F /dev/null -i %d/.ssh/id_ed25519 -o IdentitiesOnly=yes -o UserKnownHostsFile={} -o HostKeyAlias=jump -p {} \
         -W [127.0.0.1]:%p %r@127.0.0.1 # to %h, it's \"quoted",
        node.known_hosts().display(),
        jump.port()
    );
    let options = client(
        &[("node", &node), ("jump", &jump)],
        &format!("Host node\n  ProxyCommand {}", command.split(" #").next().unwrap()),
    );
    assert_eq!(home_of("ssh://node", options).await, node.node_home().display().to_string());
    assert_eq!(jump.log().matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_program_that_ends_or_never_answers_is_named_with_its_word() {
    let node = Sshd::start();
    let options =
        client(&[("node", &node)], "Host node\n  ProxyCommand echo 'no such \"tunnel\" %n' >&2; exit 7");
    let error = refused("ssh://node", options).await;
    assert!(error.is_transient());
    let text = error.to_string();
    assert!(text.contains("by ProxyCommand `echo 'no such \"tunnel\" node' >&2; exit 7`: "), "{text}");

    let options = client(&[("node", &node)], "Host node\n  ConnectTimeout 1\n  ProxyCommand sleep 60");
    let error = refused("ssh://node", options).await;
    assert!(matches!(error, TransportError::Handshake { .. }), "{error:?}");
}

#[tokio::test]
async fn a_program_ends_with_its_connection() {
    let node = Sshd::start();
    let alive = node.client_home().join("pid");
    // It does not notice by itself that its connection is closed.
    let command = format!(
        "sh -c 'echo $$ > {}; trap \"\" HUP; cat <&0 >/dev/null & while sleep 0.1; do :; done'",
        alive.display()
    );
    let options =
        client(&[("node", &node)], &format!("Host node\n  ConnectTimeout 1\n  ProxyCommand {command}"));
    refused("ssh://node", options).await;
    let pid = std::fs::read_to_string(&alive).unwrap().trim().to_owned();
    // Whoever ends it is a task of this runtime.
    let ended = move || within(Duration::from_secs(60), "the program ends", || !lives(&pid));
    tokio::task::spawn_blocking(ended).await.unwrap();
}

#[tokio::test]
async fn an_address_of_ones_own_and_a_family_are_kept_to() {
    let node = Sshd::start();
    let options = client(&[("node", &node)], "Host node\n  BindAddress 127.0.0.77\n  AddressFamily inet");
    home_of("ssh://node", options).await;
    assert!(node.log().contains("Connection from 127.0.0.77 port"), "{}", node.log());
    let error = refused("ssh://node", client(&[("node", &node)], "Host node\n  AddressFamily inet6")).await;
    assert!(matches!(error, TransportError::Connect { .. }), "{error:?}");
    let error = refused("ssh://node", client(&[("node", &node)], "Host node\n  BindAddress ::1")).await;
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "BindAddress ::1 is of another family");
}
