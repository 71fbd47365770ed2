//! Programs of this machine that decide how a node is reached.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::here::Env;

/// How often is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(5);

/// What runs a line of the configuration: the user's shell, where there is one.
pub(super) fn shell(env: &Env) -> PathBuf {
    let named = env.get("SHELL").map(PathBuf::from).filter(|shell| shell.is_file());
    named.unwrap_or_else(|| "/bin/sh".into())
}

/// How a program ends that may take so long and no longer.
pub(super) fn ends_within(mut command: Command, limit: Duration) -> io::Result<ExitStatus> {
    wait(&mut command.spawn()?, limit)
}

/// What a program says that may take so long and no longer.
pub(super) fn output_within(mut command: Command, limit: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    std::thread::scope(|scope| {
        let errors = scope.spawn(|| all(err));
        let stdout = scope.spawn(|| all(out));
        let status = wait(&mut child, limit)?;
        let [stdout, stderr] = [stdout, errors].map(|reader| reader.join().unwrap_or_default());
        Ok(Output { status, stdout, stderr })
    })
}

fn all(from: Option<impl io::Read>) -> Vec<u8> {
    /// More than any answer is long.
    const MOST: u64 = 1 << 20;
    let mut said = Vec::new();
    if let Some(from) = from {
        // What is read until it breaks is what there is.
        let _ = from.take(MOST).read_to_end(&mut said);
    }
    said
}

fn wait(child: &mut Child, limit: Duration) -> io::Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            let seconds = limit.as_secs_f64();
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("it has not ended for {seconds} s")));
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(line);
        command
    }

    #[test]
    fn a_program_is_heard_to_its_end_and_ended_where_it_takes_too_long() {
        let output = output_within(shell("echo out; echo err >&2; exit 3"), Duration::from_secs(10)).unwrap();
        assert_eq!(
            (output.stdout, output.stderr, output.status.code()),
            (b"out\n".to_vec(), b"err\n".to_vec(), Some(3))
        );
        let error = ends_within(shell("exec sleep 60"), Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "it has not ended for 0.05 s");
    }
}
