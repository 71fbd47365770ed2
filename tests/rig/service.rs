//! A program of the fixtures on the far side of a real protocol: it prints its address, then each request as a line of JSON.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

pub struct Service {
    process: Child,
    pub address: String,
    requests: Receiver<Value>,
}

impl Service {
    /// Starts a script below `fixtures/`.
    pub fn start(script: &str, arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("fixtures").join(script);
        let mut command = Command::new("python3");
        command.arg(script).args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python3 is installed");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let address = lines.next().expect("its address").expect("text");
        let (sender, requests) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let _ = sender.send(serde_json::from_str(&line).expect("JSON"));
            }
        });
        Self { process, address, requests }
    }

    /// What has come since, in order. It prints after it has answered, so the last may come a little later.
    pub fn requests(&self) -> Vec<Value> {
        std::iter::from_fn(|| self.requests.recv_timeout(Duration::from_millis(300)).ok()).collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
