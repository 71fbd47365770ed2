//! Starts the test EC2 for a person: the whole path from a launch to a receipt, without an AWS account.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::{cargo, setup};

const READY: Duration = Duration::from_secs(60);

/// Options of `cargo xtask ec2`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How much faster than this machine's its clock runs: at 60, an hour passes in a minute
    #[arg(long, default_value_t = 1.0)]
    clock_factor: f64,
    /// The port on 127.0.0.1; by default a free one
    #[arg(long)]
    port: Option<u16>,
}

/// Starts it, says how to use it, and stays for as long as it runs.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Tests)?;
    let Some(python) = ready.ec2 else {
        bail!(
            "the test EC2 makes its hosts from namespaces: run this as root, or with a sudo that asks no password"
        );
    };
    let port = options.port.map_or_else(free_port, Ok)?;
    // The other end of its standard input is held here: it ends with this process, whatever ends that.
    let mut server = command(&python, port, options.clock_factor);
    let mut server = server.stdin(Stdio::piped()).spawn().context("failed to start the test EC2")?;
    listening(&mut server, port)?;
    println!("{}", usage(port));
    let status = server.wait().context("failed to wait for the test EC2")?;
    bail!("the test EC2 ended ({status})")
}

/// `python -m gpu_harness_ec2`, as root, in a process group of its own: Ctrl-C ends this process first.
fn command(python: &Path, port: u16, clock_factor: f64) -> Command {
    let fixtures = cargo::root().join("fixtures/ec2");
    let mut command = if geteuid().is_root() { Command::new("env") } else { Command::new("sudo") };
    if !geteuid().is_root() {
        command.args(["-n", "env"]);
    }
    command.arg(format!("PYTHONPATH={}", fixtures.display())).arg("PYTHONDONTWRITEBYTECODE=1").arg(python);
    command.args(["-m", "gpu_harness_ec2", "--port", &port.to_string()]);
    command.args(["--clock-factor", &clock_factor.to_string()]).process_group(0);
    command
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to find a free port")?;
    Ok(listener.local_addr().context("failed to find a free port")?.port())
}

/// Waits until it takes connections.
fn listening(server: &mut Child, port: u16) -> Result<()> {
    let begun = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if let Some(status) = server.try_wait().context("failed to look after the test EC2")? {
            bail!("the test EC2 does not start ({status})");
        }
        if begun.elapsed() > READY {
            bail!("the test EC2 does not answer on port {port} within {} s", READY.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// What a person puts into another terminal, and into a project.
fn usage(port: u16) -> String {
    format!(
        "The test EC2 answers on port {port} until Ctrl-C. In another terminal:

export AWS_ENDPOINT_URL=http://127.0.0.1:{port}
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_REGION=us-east-1
export AWS_EC2_METADATA_DISABLED=true

and in gpu-harness.yaml:

nodes:
  cloud:
    provider: ec2
    region: us-east-1
    types: [g6.xlarge, g5.xlarge, g4dn.xlarge]
    market: spot-then-on-demand
    caller-address: http://127.0.0.1:{port}/caller-address

What it holds, and what is left over: curl http://127.0.0.1:{port}/_test/state, and /_test/left"
    )
}
