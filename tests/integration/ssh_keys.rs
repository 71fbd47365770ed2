//! Which keys are shown to a server: those that the user's ssh would show, in its order.

use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use gpu_harness::transport::{Command, ExitStatus, SshOptions, Transport, TransportError};
use gpu_harness_tests::sshd::{KeyAgent, Sshd};

fn configure(sshd: &Sshd, lines: &str) {
    let (user, port) = (sshd.user(), sshd.port());
    let config = format!("Host gpu\n  HostName 127.0.0.1\n  User {user}\n  Port {port}\n{lines}\n");
    std::fs::write(sshd.client_config(), config).unwrap();
}

async fn works(options: SshOptions) {
    let node = Transport::ssh("ssh://gpu", options).await.unwrap();
    let mut exec = node.exec(Command::shell("exit 3")).await.unwrap();
    assert_eq!(exec.wait().await.unwrap(), ExitStatus::Code(3));
}

async fn refused(sshd: &Sshd, options: SshOptions) -> String {
    let connecting = tokio::time::timeout(Duration::from_secs(20), Transport::ssh("ssh://gpu", options));
    let error = connecting.await.expect("no answer").expect_err("it was let in");
    assert!(matches!(error, TransportError::Auth { .. }) && !error.is_transient(), "{error:?}");
    let text = error.to_string();
    let lines = text.lines().filter(|line| !line.starts_with("hint: ") && !line.starts_with("log in to "));
    Vec::from_iter(lines).join("\n").replace(&sshd.client_home().display().to_string(), "HOME")
}

/// An agent of the client's with a number of keys that nobody accepts, and then these.
fn agent_with(sshd: &Sshd, others: usize, keys: &[&Path]) -> KeyAgent {
    let agent = KeyAgent::start(&sshd.client_home().join("agent"));
    let made = Vec::from_iter((0..others).map(|index| sshd.other_key(&format!("other-{index}"), "")));
    for key in made.iter().map(std::path::PathBuf::as_path).chain(keys.iter().copied()) {
        agent.add(key, "");
    }
    agent
}

/// The client's key under another name, which is none of the usual ones.
fn renamed(sshd: &Sshd) -> std::path::PathBuf {
    let file = sshd.client_home().join(".ssh/gpu_key");
    std::fs::rename(sshd.identity(), &file).unwrap();
    std::fs::rename(sshd.identity().with_extension("pub"), file.with_extension("pub")).unwrap();
    file
}

#[tokio::test]
async fn of_many_keys_in_an_agent_only_the_named_one_is_shown_where_the_user_says_so() {
    let sshd = Sshd::start();
    let key = renamed(&sshd);
    let agent = agent_with(&sshd, 7, &[]);
    let with_agent = SshOptions { agent: Some(agent.socket().to_owned()), ..sshd.ssh_options() };
    configure(&sshd, "  IdentityFile ~/.ssh/gpu_key\n  IdentitiesOnly yes");
    works(with_agent.clone()).await;
    assert_eq!(sshd.log().matches("Failed publickey").count(), 0, "{}", sshd.log());

    // Without that, the server has enough of the others before, as it has of ssh's.
    configure(&sshd, "  IdentityFile ~/.ssh/gpu_key");
    let said = refused(&sshd, with_agent.clone()).await;
    assert!(said.contains("then the server hung up"), "{said}");

    // The key that gpu-harness.yaml names is the user's word about this node: it comes first.
    works(SshOptions { identity: Some(key), ..with_agent }).await;
}

#[tokio::test]
async fn a_public_file_says_which_of_the_agents_keys_is_meant() {
    let sshd = Sshd::start();
    let key = renamed(&sshd);
    let agent = agent_with(&sshd, 7, &[&key]);
    std::fs::remove_file(&key).unwrap();
    for named in ["~/.ssh/gpu_key.pub", "~/.ssh/gpu_key"] {
        configure(&sshd, &format!("  IdentityFile {named}\n  IdentitiesOnly yes\n  IdentityAgent ~/agent"));
        works(sshd.ssh_options()).await;
        configure(&sshd, &format!("  IdentityFile {named}\n  IdentityAgent {}", agent.socket().display()));
        works(sshd.ssh_options()).await;
    }
    configure(&sshd, "  IdentityFile ~/.ssh/gpu_key.pub\n  IdentityAgent none");
    let with_agent = SshOptions { agent: Some(agent.socket().to_owned()), ..sshd.ssh_options() };
    insta::assert_snapshot!(refused(&sshd, with_agent).await, @"  HOME/.ssh/gpu_key.pub: holds the public half alone, and no agent has the private one: load it with `ssh-add`");
}

/// Has `authority` sign `key` for this account; the certificate lies beside the key, or elsewhere.
fn certify(sshd: &Sshd, authority: &Path, key: &Path, elsewhere: Option<&Path>) {
    let mut keygen = Program::new("ssh-keygen");
    keygen.args(["-q", "-I", "rig", "-n", sshd.user(), "-s"]).arg(authority).arg(key.with_extension("pub"));
    let signed = keygen.output().unwrap();
    assert!(signed.status.success(), "{signed:?}");
    if let Some(elsewhere) = elsewhere {
        std::fs::rename(format!("{}-cert.pub", key.display()), elsewhere).unwrap();
    }
}

#[tokio::test]
async fn a_certificate_opens_where_the_key_alone_does_not() {
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str, kind: &str| {
            let file = folder.path().join(name);
            let mut keygen = Program::new("ssh-keygen");
            assert!(keygen.args(["-q", "-N", "", "-t", kind, "-f"]).arg(&file).status().unwrap().success());
            file
        };
        let (authority, key) = (made("authority", "ed25519"), made("key", kind));
        let trusts = format!("TrustedUserCAKeys {}", authority.with_extension("pub").display());
        let sshd = Sshd::with(&[&trusts]);
        let identity = format!("  IdentityFile {}", key.display());
        configure(&sshd, &identity);
        let said = refused(&sshd, sshd.ssh_options()).await;
        assert!(said.contains("key: not accepted"), "{said}");

        certify(&sshd, &authority, &key, None);
        works(sshd.ssh_options()).await;

        let elsewhere = folder.path().join("elsewhere.pub");
        certify(&sshd, &authority, &key, Some(&elsewhere));
        configure(&sshd, &format!("{identity}\n  CertificateFile {}", elsewhere.display()));
        works(sshd.ssh_options()).await;

        // An agent that was given both shows the certificate by itself.
        certify(&sshd, &authority, &key, None);
        let agent = agent_with(&sshd, 0, &[&key]);
        std::fs::remove_file(&key).unwrap();
        configure(
            &sshd,
            &format!("{identity}\n  IdentitiesOnly yes\n  IdentityAgent {}", agent.socket().display()),
        );
        if kind == "rsa" {
            // libssh2 cannot have an agent sign for it.
            let said = refused(&sshd, sshd.ssh_options()).await;
            assert!(said.contains("cannot be shown: an RSA certificate needs its key's file"), "{said}");
        } else {
            works(sshd.ssh_options()).await;
        }
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_shown_says_why() {
    let sshd = Sshd::start();
    let key = renamed(&sshd);
    let authority = sshd.other_key("authority", "");
    let other = sshd.other_key("other", "");
    certify(&sshd, &authority, &other, Some(&sshd.client_home().join("cert.pub")));
    std::fs::write(sshd.client_home().join("no-cert.pub"), "ssh-ed25519 nonsense\n").unwrap();
    std::fs::remove_file(key).unwrap();
    configure(
        &sshd,
        "  IdentityFile ~/.ssh/none\n  CertificateFile ~/cert.pub\n  CertificateFile ~/no-cert.pub\n  CertificateFile ~/gone.pub",
    );
    insta::assert_snapshot!(refused(&sshd, sshd.ssh_options()).await, @r"
      HOME/cert.pub: belongs to none of the key files (IdentityFile)
      the certificate HOME/no-cert.pub: is no certificate
      the certificate HOME/gone.pub: cannot be read: No such file or directory (os error 2)
    ");
}

#[tokio::test]
async fn a_configuration_that_forbids_keys_is_told_by_its_option() {
    let sshd = Sshd::start();
    configure(&sshd, "  PreferredAuthentications password,keyboard-interactive");
    insta::assert_snapshot!(refused(&sshd, sshd.ssh_options()).await, @"  keys: PreferredAuthentications of the ssh configuration forbids them, and nothing else is used here");
    works(SshOptions { identity: Some(sshd.identity()), ..sshd.ssh_options() }).await;
}

#[tokio::test]
async fn a_server_that_wants_more_than_a_key_is_told_by_what_it_wants() {
    let sshd = Sshd::with(&[
        "AuthenticationMethods publickey,keyboard-interactive",
        "KbdInteractiveAuthentication yes",
        "UsePAM yes",
    ]);
    configure(&sshd, "  IdentityFile ~/.ssh/id_ed25519");
    let said = refused(&sshd, sshd.ssh_options()).await;
    assert!(said.ends_with("the server: no key alone opens it; it asks for keyboard-interactive"), "{said}");
}
