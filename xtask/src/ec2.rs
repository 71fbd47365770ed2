//! Starts the test EC2 for a person: the whole path from a launch to a receipt, without an AWS account.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::geteuid;

use crate::{cargo, setup};

/// Options of `cargo xtask ec2`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How much faster than this machine's its clock runs: at 60, an hour passes in a minute
    #[arg(long, default_value_t = 1.0)]
    clock_factor: f64,
    /// The port on 127.0.0.1; by default a free one
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    port: u16,
    /// How hard it is: from the same seed, the same late answers, throttled calls and small pages; 0 is kind
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Starts it, says how to use it, and stays for as long as it runs.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let ready = setup::ensure(setup::Needs::Tests)?;
    let Some(python) = ready.ec2 else {
        bail!(
            "the test EC2 makes its hosts from namespaces: run this as root, or with a sudo that asks no password"
        );
    };
    let mut command = command(&python, options);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn().context("failed to start the test EC2")?;
    // Held until this process ends, whatever ends it: then so does the server. (Waiting would close it.)
    let _held = server.stdin.take();
    // Where it ends at once, it tells why on standard error.
    if let Some(port) = server.stdout.take().and_then(port) {
        println!("{}", usage(port));
    }
    let status = server.wait().context("failed to wait for the test EC2")?;
    bail!("the test EC2 ended ({status})")
}

/// Starts it for a while, on a free port, with hosts that find libtorch. It ends with its standard input, which the child has.
pub(crate) fn start(python: &Path, libtorch: &Path) -> Result<(Child, u16)> {
    let options = Options { clock_factor: 1.0, port: 0, seed: 0 };
    let mut command = command(python, &options);
    command.envs(cargo::torch_environment(libtorch)).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut server = command.spawn().context("failed to start the test EC2")?;
    let port = server.stdout.take().and_then(port).context("the test EC2 ended at once")?;
    Ok((server, port))
}

/// `python -m gpu_harness_ec2`, as root, in a process group of its own: Ctrl-C ends this process first.
fn command(python: &Path, options: &Options) -> Command {
    let fixtures = cargo::root().join("fixtures/ec2");
    let mut command = if geteuid().is_root() { Command::new("env") } else { Command::new("sudo") };
    if !geteuid().is_root() {
        command.args(["-n", "env"]);
    }
    command.arg(format!("PYTHONPATH={}", fixtures.display())).arg("PYTHONDONTWRITEBYTECODE=1").arg(python);
    command.args(["-m", "gpu_harness_ec2", "--until-stdin-closes", "--port", &options.port.to_string()]);
    command.args(["--clock-factor", &options.clock_factor.to_string()]);
    command.args(["--seed", &options.seed.to_string()]).process_group(0);
    command
}

/// The port that it tells when it answers there; `None` where it ends before.
fn port(said: ChildStdout) -> Option<u16> {
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).ok()?;
    let line: serde_json::Value = serde_json::from_str(&line).ok()?;
    line["port"].as_u64()?.try_into().ok()
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
