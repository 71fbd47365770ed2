//! Who is trusted, who is let in, and what a person reads where not.

use std::process::{Command as Program, Stdio};
use std::time::Duration;

use gpu_harness::cloud::keys::NodeKeys;
use gpu_harness::text::explained;
use gpu_harness::transport::{Command, ExitStatus, HostKey, SshOptions, Transport, TransportError};
use gpu_harness_tests::sshd::{KeyAgent, Sshd};

async fn refused(address: &str, options: SshOptions) -> TransportError {
    let connecting = tokio::time::timeout(Duration::from_secs(20), Transport::ssh(address, options));
    let error = connecting.await.expect("no answer").expect_err("it was let in");
    assert!(!error.to_string().contains("PRIVATE KEY"), "{error}");
    error
}

async fn works(address: &str, options: SshOptions) {
    let node = Transport::ssh(address, options).await.unwrap();
    let mut exec = node.exec(Command::shell("exit 3")).await.unwrap();
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(3));
}

/// The text with what differs from run to run replaced.
fn steady(sshd: &Sshd, text: &str) -> String {
    let home = sshd.client_home();
    let mut text = text
        .replace(&home.display().to_string(), "HOME")
        .replace(&format!("{}@", sshd.user()), "USER@")
        .replace(&format!("of {} there", sshd.user()), "of USER there")
        .replace(&sshd.port().to_string(), "PORT");
    // In the order in which they appear, so that equal and different fingerprints can be told apart.
    for name in ["SHA256:(first)", "SHA256:(second)"] {
        let prints = text.match_indices("SHA256:").map(|(at, _)| at);
        let Some(at) = prints.into_iter().find(|at| !text[*at..].starts_with("SHA256:(")) else { break };
        let print = text[at..at + "SHA256:".len() + 43].to_owned();
        text = text.replace(&print, name);
    }
    text
}

fn fingerprint(sshd: &Sshd) -> String {
    HostKey::parse(&sshd.host_key()).unwrap().fingerprint()
}

#[tokio::test]
async fn an_unknown_host_is_refused_with_the_way_to_trust_it() {
    let sshd = Sshd::start();
    std::fs::remove_file(sshd.known_hosts()).unwrap();
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    assert!(error.to_string().contains(&fingerprint(&sshd)), "{error}");
    assert!(!error.is_transient());
    assert!(!sshd.log().contains("publickey"), "a key was shown to a host that is not trusted");
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    trust USER@127.0.0.1 port PORT: its host key is not known
    it shows ssh-ed25519 SHA256:(first)
    hint: compare that with what `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub` prints on the machine itself; where they are equal, trust it with
        ssh-keyscan -p PORT -t ed25519 127.0.0.1 >> HOME/.ssh/known_hosts
    ");

    // What it says to do is what helps.
    let command = explained(&error).lines().last().unwrap().trim().to_owned();
    assert!(Program::new("sh").arg("-c").arg(&command).stderr(Stdio::null()).status().unwrap().success());
    works(&sshd.address(), sshd.ssh_options()).await;
}

#[tokio::test]
async fn a_changed_host_key_is_refused_loudly_with_the_line_that_has_the_old_one() {
    let mut sshd = Sshd::start();
    let line = sshd.known_hosts_line(sshd.port());
    std::fs::write(sshd.known_hosts(), format!("# mine\nother {}\n{line}", sshd.host_key())).unwrap();
    works(&sshd.address(), sshd.ssh_options()).await;
    sshd.rotate_host_key();
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    assert!(!error.is_transient());
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    trust USER@127.0.0.1 port PORT: ITS HOST KEY HAS CHANGED
    it shows ssh-ed25519 SHA256:(first)
    but HOME/.ssh/known_hosts:3 has ssh-ed25519 SHA256:(second)
    Somebody may be listening in, or the machine was set up anew. Nothing was sent to it.
    hint: compare the key with the machine's own; where the change is right, remove the old one with
        ssh-keygen -f HOME/.ssh/known_hosts -R '[127.0.0.1]:PORT'
    ");

    // What it says to do leaves an unknown host.
    let command = explained(&error).lines().last().unwrap().trim().to_owned();
    let mut shell = Program::new("sh");
    assert!(
        shell.arg("-c").arg(&command).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    );
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    assert!(matches!(error, TransportError::HostKeyUnknown { .. }), "{error}");
}

#[tokio::test]
async fn a_revoked_host_key_is_refused() {
    let sshd = Sshd::start();
    let revoked = format!("@revoked * {}\n{}", sshd.host_key(), sshd.known_hosts_line(sshd.port()));
    std::fs::write(sshd.known_hosts(), revoked).unwrap();
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    trust USER@127.0.0.1 port PORT: its host key ssh-ed25519 SHA256:(first) is marked @revoked in HOME/.ssh/known_hosts:1
    ");
}

/// A server with a certificate for these names, and the line that trusts its authority.
fn certified(names: &str) -> (tempfile::TempDir, Sshd) {
    let folder = tempfile::tempdir().unwrap();
    let keygen = |arguments: &[&str]| {
        let made =
            Program::new("ssh-keygen").arg("-q").args(arguments).current_dir(folder.path()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    keygen(&["-t", "ed25519", "-N", "", "-f", "ca"]);
    keygen(&["-t", "ed25519", "-N", "", "-f", "host"]);
    keygen(&["-I", "rig", "-s", "ca", "-h", "-n", names, "host.pub"]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let sshd = Sshd::with(&[
        &format!("HostKey {}", path("host")),
        &format!("HostCertificate {}", path("host-cert.pub")),
    ]);
    let authority = std::fs::read_to_string(path("ca.pub")).unwrap();
    let line = format!("@cert-authority [127.0.0.1]:{},127.0.0.* {authority}", sshd.port());
    std::fs::write(sshd.known_hosts(), line).unwrap();
    (folder, sshd)
}

#[tokio::test]
async fn a_host_is_known_by_a_certificate_of_an_authority_that_is_trusted() {
    let (_folder, sshd) = certified("127.0.0.1");
    works(&sshd.address(), sshd.ssh_options()).await;

    let (_folder, sshd) = certified("elsewhere");
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    assert!(!error.is_transient());
    assert!(!sshd.log().contains("publickey"), "a key was shown to a host that is not trusted");
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    trust USER@127.0.0.1 port PORT: it shows a certificate that does not hold: it is for other hosts (elsewhere)
    hint: have the host's certificate made anew, or list its own key in known_hosts
    ");

    // A server that has none.
    let other = Sshd::start();
    let line = std::fs::read_to_string(sshd.known_hosts()).unwrap();
    std::fs::write(other.known_hosts(), &line).unwrap();
    let error = refused(&other.address(), other.ssh_options()).await;
    let expected = "known_hosts:1 trusts an authority for it, and it shows no certificate";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_name_without_its_port_is_enough_to_be_known_by() {
    let sshd = Sshd::start();
    std::fs::write(sshd.known_hosts(), format!("127.0.0.1 {}\n", sshd.host_key())).unwrap();
    works(&sshd.address(), sshd.ssh_options()).await;
    let other = Sshd::start();
    std::fs::write(sshd.known_hosts(), format!("127.0.0.1 {}\n", other.host_key())).unwrap();
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    assert!(matches!(error, TransportError::HostKeyUnknown { .. }), "{error}");
}

#[tokio::test]
async fn a_server_with_several_keys_shows_the_one_that_is_known() {
    let folder = tempfile::tempdir().unwrap();
    for kind in ["rsa", "ecdsa"] {
        let file = folder.path().join(kind);
        let made =
            Program::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(&file).status().unwrap();
        assert!(made.success());
    }
    let path = |kind: &str| folder.path().join(kind);
    // These come before the server's own ed25519 key.
    let lines =
        [format!("HostKey {}", path("ecdsa").display()), format!("HostKey {}", path("rsa").display())];
    let sshd = Sshd::with(&[&lines[0], &lines[1]]);
    works(&sshd.address(), sshd.ssh_options()).await;
    for kind in ["rsa", "ecdsa"] {
        let public = std::fs::read_to_string(path(kind).with_extension("pub")).unwrap();
        std::fs::write(sshd.known_hosts(), format!("[127.0.0.1]:{} {public}", sshd.port())).unwrap();
        works(&sshd.address(), sshd.ssh_options()).await;
    }
}

#[tokio::test]
async fn a_pinned_key_is_the_only_one_and_known_hosts_does_not_count() {
    let sshd = Sshd::start();
    let pinned = HostKey::parse(&sshd.host_key()).unwrap();
    std::fs::write(sshd.known_hosts(), format!("@revoked * {}\n", sshd.host_key())).unwrap();
    works(&sshd.address(), SshOptions { pinned: Some(pinned), ..sshd.ssh_options() }).await;

    let other = Sshd::start();
    let pinned = HostKey::parse(&other.host_key()).ok();
    std::fs::write(sshd.known_hosts(), sshd.known_hosts_line(sshd.port())).unwrap();
    let error = refused(&sshd.address(), SshOptions { pinned, ..sshd.ssh_options() }).await;
    assert!(!error.is_transient());
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    trust USER@127.0.0.1 port PORT: it shows the host key ssh-ed25519 SHA256:(first), and the node was given ssh-ed25519 SHA256:(second)
    This is another machine than the one that was made. Nothing was sent to it.
    ");
}

#[tokio::test]
async fn a_new_node_is_entered_with_a_key_from_memory_and_nothing_of_the_users() {
    let keys = NodeKeys::new().unwrap();
    let sshd = Sshd::start();
    sshd.let_in(keys.client.public_line());
    let shown = HostKey::parse(&sshd.host_key()).unwrap();
    works(&sshd.address(), SshOptions::of_new_node(keys.client_key(), shown.clone())).await;

    // Another key is refused, although the user's own would open the door.
    let strange = SshOptions {
        identity: Some(sshd.identity()),
        ..SshOptions::of_new_node(NodeKeys::new().unwrap().client_key(), shown)
    };
    let error = refused(&sshd.address(), strange).await;
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    log in to USER@127.0.0.1 port PORT: no key is accepted; tried
      the key that was made for this node: not accepted
    hint: add the public half of a key to ~/.ssh/authorized_keys of USER there, or name the right key: `identity:` for this node in gpu-harness.yaml, IdentityFile in ~/.ssh/config, or `ssh-add KEY`
    ");

    // The node's host key is not the one that it was given.
    let other = SshOptions::of_new_node(keys.client_key(), keys.pinned());
    let error = refused(&sshd.address(), other).await;
    assert!(matches!(error, TransportError::HostKeyNotPinned { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_was_given_its_host_key_is_known_by_it() {
    let keys = NodeKeys::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("host");
    std::fs::write(&file, keys.host.private_pem()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let line = format!("HostKey {}", file.display());
    let sshd = Sshd::with(&[&line]);
    sshd.let_in(keys.client.public_line());
    works(&sshd.address(), SshOptions::of_new_node(keys.client_key(), keys.pinned())).await;
}

#[tokio::test]
async fn a_key_that_is_not_accepted_is_named_with_what_to_do() {
    let sshd = Sshd::start();
    let wrong = sshd.other_key("wrong", "");
    std::fs::rename(&wrong, sshd.identity()).unwrap();
    let identity = Some(sshd.client_home().join(".ssh/not-there"));
    let error = refused(&sshd.address(), SshOptions { identity, ..sshd.ssh_options() }).await;
    assert!(!error.is_transient());
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    log in to USER@127.0.0.1 port PORT: no key is accepted; tried
      HOME/.ssh/not-there: is not there
      HOME/.ssh/id_ed25519: not accepted
    hint: add the public half of a key to ~/.ssh/authorized_keys of USER there, or name the right key: `identity:` for this node in gpu-harness.yaml, IdentityFile in ~/.ssh/config, or `ssh-add KEY`
    ");
}

#[tokio::test]
async fn having_no_key_at_all_is_said() {
    let sshd = Sshd::start();
    std::fs::remove_file(sshd.identity()).unwrap();
    std::fs::remove_file(sshd.identity().with_extension("pub")).unwrap();
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    log in to USER@127.0.0.1 port PORT: there is no key to try: no agent has one, and none of the key files is there (HOME/.ssh/id_rsa, HOME/.ssh/id_ecdsa, HOME/.ssh/id_ecdsa_sk, HOME/.ssh/id_ed25519, HOME/.ssh/id_ed25519_sk)
    hint: add the public half of a key to ~/.ssh/authorized_keys of USER there, or name the right key: `identity:` for this node in gpu-harness.yaml, IdentityFile in ~/.ssh/config, or `ssh-add KEY`
    ");
}

#[tokio::test]
async fn a_server_that_hangs_up_after_too_many_keys_is_not_tried_again() {
    let sshd = Sshd::with(&["MaxAuthTries 2"]);
    let keys = ["one", "two", "three"].map(|name| sshd.other_key(name, ""));
    let lines: Vec<String> = keys.iter().map(|key| format!("IdentityFile {}\n", key.display())).collect();
    std::fs::write(sshd.client_config(), lines.concat()).unwrap();
    let error = refused(&sshd.address(), sshd.ssh_options()).await;
    assert!(!error.is_transient(), "{error}");
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    log in to USER@127.0.0.1 port PORT: no key is accepted; tried
      HOME/.ssh/one: not accepted
      then the server hung up: it may allow only so many tries; name the right key to have it tried first
    hint: add the public half of a key to ~/.ssh/authorized_keys of USER there, or name the right key: `identity:` for this node in gpu-harness.yaml, IdentityFile in ~/.ssh/config, or `ssh-add KEY`
    ");
}

#[tokio::test]
async fn a_key_with_a_passphrase_works_through_an_agent_only() {
    let sshd = Sshd::start();
    let protected = sshd.other_key("protected", "open sesame");
    sshd.authorize(&protected);
    std::fs::remove_file(sshd.identity()).unwrap();
    let with_key = SshOptions { identity: Some(protected.clone()), ..sshd.ssh_options() };
    let error = refused(&sshd.address(), with_key.clone()).await;
    assert!(!error.is_transient());
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    log in to USER@127.0.0.1 port PORT: no key is accepted; tried
      HOME/.ssh/protected: is protected by a passphrase; load it into an agent with `ssh-add HOME/.ssh/protected`
      HOME/.ssh/id_ed25519: is not there (its public half is), and no agent has it
    hint: add the public half of a key to ~/.ssh/authorized_keys of USER there, or name the right key: `identity:` for this node in gpu-harness.yaml, IdentityFile in ~/.ssh/config, or `ssh-add KEY`
    ");

    let agent = KeyAgent::start(&sshd.client_home().join("agent"));
    agent.add(&protected, "open sesame");
    works(&sshd.address(), SshOptions { agent: Some(agent.socket().to_owned()), ..with_key }).await;
    works(&sshd.address(), SshOptions { agent: Some(agent.socket().to_owned()), ..sshd.ssh_options() }).await;
}

#[tokio::test]
async fn an_agent_that_is_gone_does_not_keep_a_key_file_from_being_used() {
    let sshd = Sshd::start();
    let agent = Some(sshd.client_home().join("no-agent"));
    works(&sshd.address(), SshOptions { agent: agent.clone(), ..sshd.ssh_options() }).await;
    std::fs::remove_file(sshd.identity()).unwrap();
    let error = refused(&sshd.address(), SshOptions { agent, ..sshd.ssh_options() }).await;
    insta::assert_snapshot!(steady(&sshd, &explained(&error)), @r"
    log in to USER@127.0.0.1 port PORT: no key is accepted; tried
      ssh agent at HOME/no-agent: failed connecting with agent
      HOME/.ssh/id_ed25519: is not there (its public half is), and no agent has it
    hint: add the public half of a key to ~/.ssh/authorized_keys of USER there, or name the right key: `identity:` for this node in gpu-harness.yaml, IdentityFile in ~/.ssh/config, or `ssh-add KEY`
    ");
}

#[tokio::test]
async fn the_ssh_configuration_is_followed() {
    let sshd = Sshd::start();
    let folder = sshd.client_home().join("elsewhere");
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(sshd.identity(), folder.join("key")).unwrap();
    std::fs::rename(sshd.known_hosts(), folder.join("hosts")).unwrap();
    let config = format!(
        "Host gpu-?\n  HostName 127.0.0.1\n  User {}\n  Port {}\nHost *\n  User nobody\n  \
         IdentityFile ~/elsewhere/key\n  UserKnownHostsFile ~/elsewhere/hosts\n",
        sshd.user(),
        sshd.port()
    );
    std::fs::write(sshd.client_config(), config).unwrap();
    works("ssh://gpu-1", sshd.ssh_options()).await;
    let error = refused("ssh://nobody@gpu-1", sshd.ssh_options()).await;
    assert!(matches!(error, TransportError::Auth { .. }), "{error}");
}

#[tokio::test]
async fn a_host_that_is_not_there_is_named_and_may_be_tried_again() {
    let sshd = Sshd::start();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&format!("ssh://me@127.0.0.1:{port}"), sshd.ssh_options()).await;
    assert!(error.is_transient());
    assert_eq!(error.to_string(), format!("connect to me@127.0.0.1 port {port} (tried 127.0.0.1:{port})"));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("Connection refused"), "{source}");

    let error = refused("ssh://me@no-such-host.invalid", sshd.ssh_options()).await;
    assert!(matches!(error, TransportError::Resolve { .. }), "{error:?}");
}

#[tokio::test]
async fn a_port_where_nobody_speaks_ssh_is_noticed_in_time() {
    let sshd = Sshd::start();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ssh://me@127.0.0.1:{}", silent.local_addr().unwrap().port());
    let connect_timeout = Duration::from_millis(700);
    let error = refused(&address, SshOptions { connect_timeout, ..sshd.ssh_options() }).await;
    assert!(matches!(error, TransportError::Handshake { .. }), "{error:?}");
    assert!(error.is_transient());
}
