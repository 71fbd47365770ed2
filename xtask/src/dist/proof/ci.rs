//! The CI files that `gpu-harness init` writes, run shell by shell as their services do, in an image that has Python and nothing of
//! ours, up to a JUnit report of a training on a node of the test EC2.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::root::Root;
use crate::dist::release::Release;
use crate::dist::wheel;
use crate::ec2;
use crate::setup::{self, Ready};

const SERVICES: [&str; 3] = ["bitbucket", "github", "gitlab"];

/// A case that any node can run, and one for gpu-worker.
const SUITE: &str = "suite: proof
cases:
  - name: starts
    command: { run: [sh, -c, 'echo started'] }
  - name: trains
    train:
      model: { builtin: resnet18 }
      data: { image: cache:tiles/osbs-029/image.png, boxes: cache:tiles/osbs-029/boxes.csv, task: classify, size: 64, crops: 16 }
      steps: 32
      learning-rate: 0.001
    checks: { memory-flat: { from-step: 16 } }
";

/// A process that ends with this value.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // One that ended already is what is wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs all three files, each in a fresh checkout.
pub(super) fn prove(image: &Root, dist: &Path, release: &Release, ready: &Ready) -> Result<()> {
    let python = ready.ec2.as_deref().context("the test EC2 takes root")?;
    let (ec2, port) = ec2::start(python, &ready.libtorch)?;
    let _ec2 = Serving(ec2);
    let (_wheels, wheels) = serve(python, dist)?;
    let name = wheel::file_name(release);
    let sum = setup::sha256_of(&dist.join(&name)).context("failed to read the wheel")?;
    let wheel = format!("http://127.0.0.1:{wheels}/{name}#sha256={sum}");
    image.put(&ready.cache.join("data"), "root/.cache/gpu-harness/data")?;
    image.put(&dist.join(&name), &name)?;
    // What writes the files is taken from the wheel as well.
    image.run(&[
        "sh",
        "-c",
        &format!("rm -rf /own && python3 -m venv /own && /own/bin/pip install -q /{name}"),
    ])?;
    for service in SERVICES {
        let checkout = image.clear(&format!("builds/{service}"))?;
        fs::create_dir_all(checkout.join("suites")).and_then(|()| fs::create_dir(checkout.join(".git")))?;
        fs::write(checkout.join("suites/proof.yaml"), SUITE)?;
        fs::write(checkout.join("gpu-harness.yaml"), nodes(port))?;
        let job = Job { image, service, port, folder: format!("/builds/{service}") };
        let role = "arn:aws:iam::111122223333:role/gpu-harness";
        let mut init = job.command(&["/own/bin/gpu-harness", "init", service, "--print", "--role", role]);
        let file = init.args(["--wheel", &wheel]).stderr(Stdio::inherit()).output();
        let file = file.context("failed to start gpu-harness")?;
        ensure!(file.status.success(), "gpu-harness init {service} failed ({})", file.status);
        job.run(&scripts(ready, service, &file.stdout)?)?;
        let junit = fs::read_to_string(checkout.join("test-results/gpu-harness.xml"));
        let junit = junit.with_context(|| format!("{service}: there is no report"))?;
        let cases = junit.matches("<testcase").count();
        let is_green = ["<failure", "<error", "<skipped"].iter().all(|bad| !junit.contains(bad));
        ensure!(
            cases == 2 && is_green,
            "{service}: {cases} of 2 cases in a report that is not green:\n{junit}"
        );
        println!("{service}: its file installed the wheel, and both cases passed on a node of the test EC2");
    }
    Ok(())
}

/// One service's job.
struct Job<'a> {
    image: &'a Root,
    service: &'static str,
    port: u16,
    folder: String,
}

impl Job<'_> {
    /// A command in the checkout, with what the service sets.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.image.command(&self.folder, words);
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port));
        command.env("AWS_EC2_METADATA_DISABLED", "true").env("CI", "true");
        match self.service {
            "bitbucket" => command.env("BITBUCKET_STEP_OIDC_TOKEN", "token"),
            "gitlab" => command.env("GPU_HARNESS_ID_TOKEN", "token"),
            // What the step with the action for credentials leaves in the environment.
            _ => command
                .env("AWS_ACCESS_KEY_ID", "test")
                .env("AWS_SECRET_ACCESS_KEY", "test")
                .env("RUNNER_TEMP", "/tmp/runner")
                .env("GITHUB_PATH", "/tmp/runner/path"),
        };
        command
    }

    fn run(&self, scripts: &Value) -> Result<()> {
        let runner = self.image.clear("tmp/runner")?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a script is text");
        let mut shells = Vec::new();
        for shell in scripts["job"].as_array().context("a job has scripts")? {
            shells.push(text(shell)?);
        }
        shells.push(text(&scripts["after"])?);
        for shell in shells {
            let mut command = self.command(&["bash", "-eo", "pipefail", "-c", &shell]);
            for (name, value) in scripts["variables"].as_object().context("variables have names")? {
                command.env(name, text(value)?);
            }
            // GitHub puts the lines of this file on the PATH of the steps that follow.
            if let Ok(added) = fs::read_to_string(runner.join("path")) {
                command
                    .env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", added.trim().replace('\n', ":")));
            }
            let status =
                command.status().with_context(|| format!("{}: failed to start bash", self.service))?;
            ensure!(status.success(), "{}: its shell ended with {status}:\n{shell}", self.service);
        }
        Ok(())
    }
}

fn nodes(port: u16) -> String {
    format!(
        "nodes:\n  cloud:\n    provider: ec2\n    region: us-east-1\n    types: [g6.xlarge, g5.xlarge, g4dn.xlarge]\n    \
         caller-address: http://127.0.0.1:{port}/caller-address\n"
    )
}

/// The shells of a CI file.
fn scripts(ready: &Ready, service: &str, file: &[u8]) -> Result<Value> {
    let validators = ready.validators.as_deref().context("the set-up names no validators")?;
    let mut reader = Command::new(validators.join("python"))
        .args(["-c", include_str!("scripts.py"), service])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("failed to start the reader of CI files")?;
    reader.stdin.take().context("its input is a pipe")?.write_all(file)?;
    let output = reader.wait_with_output()?;
    ensure!(output.status.success(), "the file of {service} cannot be read");
    serde_json::from_slice(&output.stdout).context("failed to read the scripts of a CI file")
}

/// A folder over HTTP on this machine, at the port that is told.
fn serve(python: &Path, folder: &Path) -> Result<(Serving, u16)> {
    let mut server = Command::new(python)
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .context("failed to serve the wheel")?;
    let said = server.stdout.take().context("its output is a pipe")?;
    let serving = Serving(server);
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line).context("failed to hear of the server")?;
    // `Serving HTTP on 127.0.0.1 port 40123 (http://127.0.0.1:40123/) ...`
    let port = line.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok());
    Ok((serving, port.with_context(|| format!("the server tells no port: {line}"))?))
}
