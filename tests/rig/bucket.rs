//! The S3 server that gpu-worker has in it, alone: a process that can be killed and come back as the same one.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use gpu_stores::Keys;

use crate::project::program;

pub struct Served {
    server: Child,
    /// It ends when this does.
    stdin: ChildStdin,
    env: Vec<(String, String)>,
}

impl Served {
    /// Serves the folders below `root`, on a port (0 is any).
    pub fn start(root: &Path, port: u16, keys: Option<&Keys>) -> Self {
        let libtorch = std::env::var("LIBTORCH").expect("`cargo xtask test` sets LIBTORCH");
        let mut command = Command::new(program("gpu-worker"));
        command.arg("serve-s3").arg(root).args(["--port", &port.to_string()]);
        command.env("LD_LIBRARY_PATH", Path::new(&libtorch).join("lib")).env("GOMP_SPINCOUNT", "3000");
        command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        if let Some(keys) = keys {
            command.env("AWS_ACCESS_KEY_ID", &keys.id).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
        }
        let mut server =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let stdin = server.stdin.take().expect("it is piped");
        let said = BufReader::new(server.stdout.take().expect("it is piped")).lines().take(4);
        let env = said.map(|line| {
            let line = line.expect("it can be read");
            let (name, value) = line.split_once('=').expect("a variable a line");
            (name.to_owned(), value.to_owned())
        });
        let env = Vec::from_iter(env);
        assert_eq!(env.len(), 4, "it ended early");
        Self { server, stdin, env }
    }

    /// What its clients have to have in their environment.
    pub fn env(&self) -> &[(String, String)] {
        &self.env
    }

    /// One of these variables.
    pub fn said(&self, name: &str) -> &str {
        &self.env.iter().find(|(found, _)| found == name).expect("it says this").1
    }

    pub fn port(&self) -> u16 {
        let endpoint = self.said("AWS_ENDPOINT_URL_S3");
        endpoint.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("it has a port")
    }

    pub fn keys(&self) -> Keys {
        Keys {
            id: self.said("AWS_ACCESS_KEY_ID").to_owned(),
            secret: self.said("AWS_SECRET_ACCESS_KEY").to_owned(),
        }
    }

    /// Ends its standard input, and waits for its end.
    pub fn end(self) {
        let Self { mut server, stdin, .. } = self;
        drop(stdin);
        assert!(server.wait().expect("it can be waited for").success());
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.server.kill().expect("it can be killed");
        self.server.wait().expect("it can be waited for");
    }
}

/// The Python that has moto, boto3, pyarrow and DuckDB.
pub fn python() -> std::ffi::OsString {
    std::env::var_os("GPU_HARNESS_EC2_PYTHON").expect("`cargo xtask test` sets it")
}
