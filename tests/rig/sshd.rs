//! A real OpenSSH server on a loopback port, with keys of its own, for as long as the value lives.
//!
//! It runs as the current user from a temporary folder that holds both sides: `client/` is the home of somebody who may
//! log in (`.ssh/id_ed25519`, `.ssh/known_hosts`, `.ssh/config`), `node/` is the home that commands on the node see.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use gpu_harness::transport::{Exec, SshOptions, Transport};
use gpu_suites::process::Stat;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::process::within;

const PROGRAM: &str = "/usr/sbin/sshd";
/// Makes a root of its own, and starts a program in it.
const BARE: &str = include_str!("bare.sh");
const READY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Sshd {
    folder: TempDir,
    user: String,
    port: u16,
    options: Vec<String>,
    /// Whether it has a root of its own.
    is_bare: bool,
    child: Option<Child>,
}

impl Sshd {
    /// A server that accepts the client's key.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// The same, with more lines for its configuration, which win over the usual ones.
    pub fn with(options: &[&str]) -> Self {
        Self::prepared(options, false)
    }

    /// A node that has nothing: a root of its own with this machine's programs and libraries, and none of its caches, homes,
    /// settings or Python. It takes root.
    ///
    /// # Panics
    /// Where there is no sshd or no root.
    pub fn bare() -> Self {
        assert!(rustix::process::geteuid().is_root(), "a root of its own takes root");
        Self::prepared(&[], true)
    }

    fn prepared(options: &[&str], is_bare: bool) -> Self {
        assert!(Path::new(PROGRAM).exists(), "{PROGRAM} is missing: run `cargo xtask setup`");
        let folder = tempfile::Builder::new().prefix("sshd-").tempdir().expect("a temporary folder");
        let user = said(Command::new("id").arg("-un")).trim().to_owned();
        let options = options.iter().map(ToString::to_string).collect();
        let mut sshd = Self { folder, user, port: 0, options, is_bare, child: None };
        for home in ["client/.ssh", "node/.ssh", "etc", "root"] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(sshd.path(home)).expect("a folder");
        }
        keygen(&sshd.identity(), "ed25519", "");
        fs::copy(sshd.identity().with_extension("pub"), sshd.path("etc/authorized_keys")).expect("a copy");
        keygen(&sshd.host_key_file("ed25519"), "ed25519", "");
        sshd.launch();
        sshd.trust(sshd.port);
        sshd
    }

    /// What its client's ssh has by its configuration.
    pub fn ssh_options(&self) -> SshOptions {
        SshOptions::below(self.client_home(), self.client_config())
    }

    /// A connection of the client's.
    pub async fn connect(&self) -> Transport {
        Transport::ssh(&self.address(), self.ssh_options()).await.expect("it lets its client in")
    }

    /// The port that it listens on, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The account that logs in.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its address for gpu-harness.
    pub fn address(&self) -> String {
        self.address_at(self.port)
    }

    /// Its address by way of another port of this machine, such as a proxy's.
    pub fn address_at(&self, port: u16) -> String {
        format!("ssh://{}@127.0.0.1:{port}", self.user)
    }

    /// The home of the user who logs in: `HOME` for gpu-harness.
    pub fn client_home(&self) -> PathBuf {
        self.path("client")
    }

    /// The `HOME` of commands on the node.
    pub fn node_home(&self) -> PathBuf {
        self.path("node")
    }

    /// The `GPU_HARNESS_CACHE` of commands on the node; not there at first.
    pub fn node_cache(&self) -> PathBuf {
        self.path("node/cache")
    }

    /// The private key that is accepted.
    pub fn identity(&self) -> PathBuf {
        self.path("client/.ssh/id_ed25519")
    }

    /// The client's `known_hosts`.
    pub fn known_hosts(&self) -> PathBuf {
        self.path("client/.ssh/known_hosts")
    }

    /// The client's ssh configuration: empty unless a test writes it.
    pub fn client_config(&self) -> PathBuf {
        self.path("client/.ssh/config")
    }

    /// The public half of the host key: `ssh-ed25519 AAAA…`.
    pub fn host_key(&self) -> String {
        let file = self.host_key_file("ed25519").with_extension("pub");
        let line = fs::read_to_string(file).expect("a public host key");
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// The line that makes the client trust this server at `port`.
    pub fn known_hosts_line(&self, port: u16) -> String {
        format!("[127.0.0.1]:{port} {}\n", self.host_key())
    }

    /// Adds that line for a port, such as a proxy's.
    pub fn trust(&self, port: u16) {
        let mut file =
            fs::OpenOptions::new().create(true).append(true).open(self.known_hosts()).expect("known_hosts");
        file.write_all(self.known_hosts_line(port).as_bytes()).expect("known_hosts");
    }

    /// Gives the server another host key, as a machine that was set up anew has. Connections that stand are not touched.
    pub fn rotate_host_key(&mut self) {
        self.stop_listening();
        let file = self.host_key_file("ed25519");
        fs::remove_file(&file).expect("an old key");
        keygen(&file, "ed25519", "");
        self.launch();
    }

    /// Makes a key pair of the client's that is not accepted, protected where a passphrase is given.
    pub fn other_key(&self, name: &str, passphrase: &str) -> PathBuf {
        let file = self.path("client/.ssh").join(name);
        keygen(&file, "ed25519", passphrase);
        file
    }

    /// Accepts one more public key.
    pub fn authorize(&self, private: &Path) {
        let public = fs::read_to_string(private.with_extension("pub")).expect("a public key");
        self.let_in(public.trim_end());
    }

    /// Accepts one more public key, given as the line of its `.pub` file.
    pub fn let_in(&self, line: &str) {
        let mut file =
            fs::OpenOptions::new().append(true).open(self.path("etc/authorized_keys")).expect("a file");
        writeln!(file, "{line}").expect("authorized_keys");
    }

    /// The OpenSSH client, about to run `command` on the node at `port` with the same key and trust as ours.
    pub fn ssh(&self, port: u16, command: &str) -> Command {
        let mut ssh = Command::new("ssh");
        ssh.args(self.client_options()).arg("-p").arg(port.to_string());
        ssh.arg(format!("{}@127.0.0.1", self.user)).arg(command).stdin(Stdio::null());
        ssh
    }

    /// The scp program, about to copy `from` (here) to `to` (on the node).
    pub fn scp(&self, port: u16, from: &Path, to: &Path) -> Command {
        let mut scp = Command::new("scp");
        scp.arg("-q").args(self.client_options()).arg("-P").arg(port.to_string()).arg(from);
        scp.arg(format!("{}@127.0.0.1:{}", self.user, to.display())).stdin(Stdio::null());
        scp
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("etc/log")).unwrap_or_default()
    }

    /// Ends every connection by killing the processes that serve them, as a node that dies does.
    pub fn kill_connections(&self) {
        for pid in self.child.iter().flat_map(|child| descendants(child.id())) {
            kill(pid, Signal::KILL);
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    fn host_key_file(&self, kind: &str) -> PathBuf {
        self.path(&format!("etc/ssh_host_{kind}_key"))
    }

    fn client_options(&self) -> Vec<String> {
        let mut options = vec![
            "-F".to_owned(),
            "/dev/null".to_owned(),
            "-i".to_owned(),
            self.identity().display().to_string(),
        ];
        let known = format!("UserKnownHostsFile={}", self.known_hosts().display());
        for option in [known.as_str(), "IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes"] {
            options.extend(["-o".to_owned(), option.to_owned()]);
        }
        options
    }

    /// Starts the server on its port, or on a free one where it has none yet.
    fn launch(&mut self) {
        // sshd asks for this folder where it runs as root; a package makes it at boot only.
        let _ = fs::DirBuilder::new().mode(0o755).create("/run/sshd");
        for attempt in 1.. {
            let port = if self.port == 0 { free_port() } else { self.port };
            self.configure(port);
            let mut child = self
                .program()
                .args(["-D", "-f"])
                .arg(self.path("etc/sshd_config"))
                .arg("-E")
                .arg(self.path("etc/log"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("sshd starts");
            if greets(port, &mut child) {
                self.port = port;
                self.child = Some(child);
                return;
            }
            let _ = child.kill();
            let _ = child.wait();
            // Somebody else may have taken the port in the meantime.
            assert!(attempt < 5, "sshd does not start; its log says:\n{}", self.log());
        }
    }

    fn program(&self) -> Command {
        if !self.is_bare {
            return Command::new(PROGRAM);
        }
        let mut program = Command::new("unshare");
        program.args(["--mount", "--propagation", "private", "sh", "-c", BARE, "sh"]);
        program.arg(self.path("root")).arg(self.folder.path()).arg(PROGRAM);
        program
    }

    fn configure(&self, port: u16) {
        let (etc, node, cache) = (self.path("etc"), self.node_home(), self.node_cache());
        let (etc, node, cache) = (etc.display(), node.display(), cache.display());
        let options = self.options.join("\n");
        let text = format!(
            "{options}\nListenAddress 127.0.0.1:{port}\nHostKey {etc}/ssh_host_ed25519_key\nPidFile {etc}/pid\n\
             AuthorizedKeysFile {etc}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 200\nMaxSessions 64\nUseDNS no\n\
             PrintMotd no\nPrintLastLog no\nLogLevel VERBOSE\nSetEnv HOME={node} GPU_HARNESS_CACHE={cache}\n\
             Subsystem sftp internal-sftp\n"
        );
        let file = self.path("etc/sshd_config");
        fs::write(&file, text).expect("a configuration");
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).expect("its mode");
    }

    fn stop_listening(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.kill_connections();
        self.stop_listening();
    }
}

/// Makes a key pair.
fn keygen(file: &Path, kind: &str, passphrase: &str) {
    said(Command::new("ssh-keygen").args(["-q", "-t", kind, "-C", "rig", "-N", passphrase, "-f"]).arg(file));
}

fn said(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; run `cargo xtask setup`"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Whether an ssh server answers at the port before `child` ends.
fn greets(port: u16, child: &mut Child) -> bool {
    let deadline = Instant::now() + READY;
    while Instant::now() < deadline {
        if !matches!(child.try_wait(), Ok(None)) {
            return false;
        }
        let mut greeting = [0; 4];
        let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
        if connected.is_ok_and(|mut stream| stream.read_exact(&mut greeting).is_ok()) && greeting == *b"SSH-"
        {
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

#[derive(Debug)]
pub struct KeyAgent {
    socket: PathBuf,
    process: Child,
}

impl KeyAgent {
    /// An agent without keys that listens at `socket`.
    pub fn start(socket: &Path) -> Self {
        let mut program = Command::new("ssh-agent");
        let process = program.arg("-D").arg("-a").arg(socket).stdout(Stdio::null()).spawn();
        let agent = Self { socket: socket.to_owned(), process: process.expect("OpenSSH has an agent") };
        within(READY, "ssh-agent starts", || socket.exists());
        agent
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Gives it a key; one that is not protected takes any passphrase.
    pub fn add(&self, key: &Path, passphrase: &str) {
        let ask = key.with_extension("ask");
        fs::write(&ask, format!("#!/bin/sh\necho '{passphrase}'\n")).expect("the key's folder is ours");
        fs::set_permissions(&ask, PermissionsExt::from_mode(0o700)).expect("the file is ours");
        let mut program = Command::new("ssh-add");
        program.arg("-q").arg(key).env("SSH_AUTH_SOCK", &self.socket).env("SSH_ASKPASS", ask);
        let output = program.env("SSH_ASKPASS_REQUIRE", "force").output().expect("OpenSSH has ssh-add");
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for KeyAgent {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The processes that a process started, and those that they started, the nearest first.
fn descendants(of: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.ok()?.file_name().to_str()?.parse().ok()?;
            Some((pid, Stat::of(pid).ok()?.parent.cast_unsigned()))
        })
        .collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

fn kill(pid: u32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid.cast_signed()) {
        let _ = kill_process(pid, signal);
    }
}

/// All that a program writes to its standard output.
pub async fn bytes_of(exec: &mut Exec) -> Vec<u8> {
    let mut output = Vec::new();
    while let Some(chunk) = exec.stdout.recv().await {
        output.extend(chunk.expect("the connection holds"));
    }
    output
}

/// The same, as text.
pub async fn output_of(exec: &mut Exec) -> String {
    String::from_utf8(bytes_of(exec).await).expect("text")
}
