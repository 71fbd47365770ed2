//! Asks ssh itself what it makes of the user's configuration: `ssh -G`.

use std::process::Command;
use std::time::Duration;

use super::found::{Found, Origin, Value};
use super::{ConfigError, Subject};
use crate::transport::ssh::program::output_within;

/// What ssh says about a host; `None` where there is no ssh that can be asked.
///
/// `ssh` is the program with its first arguments.
pub(super) fn ask(ssh: &[String], subject: &Subject, limit: Duration) -> Result<Option<Found>, ConfigError> {
    let [program, arguments @ ..] = ssh else { return Ok(None) };
    let mut command = Command::new(program);
    command.args(arguments).arg("-G");
    if let Some(user) = &subject.user {
        command.arg("-l").arg(user);
    }
    if let Some(port) = subject.port {
        command.arg("-p").arg(port.to_string());
    }
    command.arg("--").arg(&subject.host);
    let output = match output_within(command, limit) {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
            return Err(ConfigError::Refused { host: subject.host.clone(), said: error.to_string() });
        }
        Err(_) => return Ok(None),
    };
    if output.status.success() {
        return Ok(Some(taken(&String::from_utf8_lossy(&output.stdout))));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // Another program of that name, or one from before 2013, does not know the question.
    if said.contains("usage:") || said.contains("illegal option") || said.contains("unknown option -- G") {
        return Ok(None);
    }
    let lines =
        said.lines().filter(|line| !line.starts_with("Pseudo-terminal")).map(crate::text::clean::text);
    Err(ConfigError::Refused { host: subject.host.clone(), said: Vec::from_iter(lines).join("; ") })
}

/// An answer: a line for each option, in small letters, without quotes.
fn taken(answer: &str) -> Found {
    let mut found = Found::default();
    for line in answer.lines() {
        let Some((keyword, rest)) = line.split_once(' ') else { continue };
        let keyword = keyword.to_ascii_lowercase();
        let words = if SEVERAL.contains(&keyword.as_str()) { paths(rest) } else { vec![rest.to_owned()] };
        found.add(&keyword, Value { words, rest: rest.to_owned(), at: Origin::Ssh });
    }
    found
}

/// Options whose values are several files on one line.
const SEVERAL: [&str; 3] = ["userknownhostsfile", "globalknownhostsfile", "revokedhostkeys"];

/// Files on one line. Blanks within their names are not marked, but each begins as only the beginning of a name does.
fn paths(line: &str) -> Vec<String> {
    let mut paths: Vec<String> = Vec::new();
    for part in line.split(' ') {
        match paths.last_mut() {
            Some(last) if !part.starts_with(['/', '~', '%', '$', '.']) => {
                last.push(' ');
                last.push_str(part);
            }
            _ => paths.push(part.to_owned()),
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject { host: "gpu".into(), user: None, port: None }
    }

    #[test]
    fn an_answer_is_taken_line_by_line() {
        let found = taken(
            "host gpu\nuser me\nidentityfile ~/.ssh/my key\nidentityfile /b\nuserknownhostsfile /a b /c\nproxycommand sh -c 'x y'\n",
        );
        assert_eq!(found.word("user"), Some("me"));
        assert_eq!(
            Vec::from_iter(found.all("identityfile").iter().map(Value::word)),
            ["~/.ssh/my key", "/b"]
        );
        assert_eq!(found.first("userknownhostsfile").unwrap().words, ["/a b", "/c"]);
        assert_eq!(found.word("proxycommand"), Some("sh -c 'x y'"));
    }

    #[test]
    fn a_program_that_cannot_be_asked_is_no_ssh() {
        let ask = |words: &[&str]| {
            ask(&Vec::from_iter(words.iter().map(ToString::to_string)), &subject(), Duration::from_secs(10))
        };
        assert!(ask(&[]).unwrap().is_none());
        assert!(ask(&["/no/such/ssh"]).unwrap().is_none());
        assert!(ask(&["/bin/sh", "-c", "echo 'usage: ssh [-46]' >&2; exit 255"]).unwrap().is_none());
        let error = ask(&["/bin/sh", "-c", "echo '/c: line 3: Bad configuration option: foo' >&2; exit 255"]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "`ssh -G gpu` says: /c: line 3: Bad configuration option: foo"
        );
    }
}
