//! An instance metadata service (version 2) on loopback: nothing without a token.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// The service; it goes on until the test's process ends.
pub(crate) struct Metadata {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// How many tokens were given out; the last one alone is good.
    tokens: usize,
    /// Tokens that were given out before this many are not good any more.
    forgotten: usize,
    notice: Option<String>,
    /// The answers so far, as `METHOD PATH STATUS`.
    answers: Vec<String>,
}

impl Metadata {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(&stream, &mut shared.lock().unwrap());
            }
        });
        Self { endpoint, state }
    }

    /// From now on the instance is to be taken back.
    pub(crate) fn reclaim(&self, instance_action: &str) {
        self.state.lock().unwrap().notice = Some(instance_action.to_owned());
    }

    /// The tokens given out so far are not good any more.
    pub(crate) fn forget_tokens(&self) {
        let mut state = self.state.lock().unwrap();
        state.forgotten = state.tokens;
    }

    pub(crate) fn answers(&self) -> Vec<String> {
        self.state.lock().unwrap().answers.clone()
    }
}

fn answer(mut stream: &TcpStream, state: &mut State) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut headers = Vec::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let token = header("x-aws-ec2-metadata-token");
    let number = token.and_then(|token| token.strip_prefix("token-")?.parse::<usize>().ok());
    let is_known = number.is_some_and(|number| number > state.forgotten && number <= state.tokens);
    let words: Vec<&str> = request.split(' ').collect();
    let (status, body) = match (words[0], words[1]) {
        ("PUT", "/latest/api/token") if header("x-aws-ec2-metadata-token-ttl-seconds").is_some() => {
            state.tokens += 1;
            (200, format!("token-{}", state.tokens))
        }
        ("PUT", "/latest/api/token") => (400, String::new()),
        _ if !is_known => (401, "<html>Unauthorized</html>".to_owned()),
        ("GET", "/latest/meta-data/spot/instance-action") => match &state.notice {
            Some(notice) => (200, notice.clone()),
            None => (404, "<html>Not Found</html>".to_owned()),
        },
        _ => (404, String::new()),
    };
    state.answers.push(format!("{} {} {status}", words[0], words[1]));
    write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
