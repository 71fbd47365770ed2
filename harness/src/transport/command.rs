//! A command to be run on a node, and how it is put into one line for a far shell.

use std::fmt::Write as _;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    line: Line,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Argv { argv: Vec<String>, env: Vec<(String, String)> },
    Shell(String),
}

impl Command {
    /// A program with its arguments, and variables that are set for it beside those that it inherits.
    pub fn argv(argv: Vec<String>, env: Vec<(String, String)>) -> Self {
        Self { line: Line::Argv { argv, env } }
    }

    /// A line for `/bin/sh`, whatever the user's login shell is.
    pub fn shell(line: impl Into<String>) -> Self {
        Self { line: Line::Shell(line.into()) }
    }

    /// The program, its arguments and its variables, for a place where no shell stands between.
    pub(super) fn local_argv(&self) -> (Vec<String>, &[(String, String)]) {
        match &self.line {
            Line::Argv { argv, env } => (argv.clone(), env),
            Line::Shell(line) => (vec!["/bin/sh".into(), "-c".into(), line.clone()], &[]),
        }
    }

    /// One line that makes any login shell (sh, bash, zsh, fish, csh) become `/bin/sh`, write `mark` and run this.
    ///
    /// Where the command is a program, it becomes that: a signal that ends it then reaches us as a signal, not as the shell's 128 + n.
    pub(super) fn far_line(&self, mark: &Mark) -> String {
        let script = match &self.line {
            Line::Shell(line) => line.clone(),
            Line::Argv { argv, env } => {
                let mut words = vec!["exec".to_owned()];
                if !env.is_empty() {
                    words.push("env".into());
                    words.extend(env.iter().map(|(name, value)| quote(&format!("{name}={value}"))));
                }
                words.extend(argv.iter().map(|word| quote(word)));
                words.join(" ")
            }
        };
        // Shells agree on what single quotes mean only where neither quotes, backslashes, exclamation marks nor newlines stand between
        // them: those are written as printf's octal numbers, which every shell leaves alone.
        format!("exec /bin/sh -c '{}eval \"$(printf \"{}\")\"'", mark.line(), octal(&script))
    }

    /// A short form for messages, without variables (they may hold secrets).
    pub(super) fn describe(&self) -> String {
        const LONGEST: usize = 60;
        let text = match &self.line {
            Line::Argv { argv, .. } => argv.join(" "),
            Line::Shell(line) => line.clone(),
        };
        let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        if one_line.chars().count() <= LONGEST {
            return one_line;
        }
        one_line.chars().take(LONGEST - 1).chain(['…']).collect()
    }
}

/// What is written before a command's own output, so that what a login shell says before is told from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark(String);

impl Mark {
    /// One that no greeting holds.
    pub(super) fn new() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()))
    }

    /// What comes before the output.
    pub(super) fn text(&self) -> Vec<u8> {
        format!("gpu-harness:{}\n", self.0).into_bytes()
    }

    /// The line that writes it. In two parts, so that a shell that shows what it runs does not show the mark.
    fn line(&self) -> String {
        format!("printf \"%s:%s\\012\" gpu-harness {}; ", self.0)
    }
}

/// Text in double quotes for `printf`, with every byte that any shell or `printf` takes for more than itself as a number.
fn octal(text: &str) -> String {
    let mut written = String::with_capacity(text.len() * 5 / 4);
    for byte in text.bytes() {
        match byte {
            b'\'' | b'"' | b'\\' | b'!' | b'$' | b'`' | b'%' | 0..=0x1f | 0x7f.. => {
                let _ = write!(written, "\\{byte:03o}");
            }
            plain => written.push(char::from(plain)),
        }
    }
    written
}

pub fn quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Login shells; those that are not installed are left out with a note.
    fn shells() -> Vec<&'static str> {
        let mut found = Vec::new();
        for shell in ["sh", "dash", "bash", "zsh", "fish", "tcsh", "csh"] {
            let path = crate::here::Env::of_process().get("PATH").unwrap_or_default();
            if std::env::split_paths(&path).any(|folder| folder.join(shell).is_file()) {
                found.push(shell);
            } else {
                eprintln!("left out: {shell} is not installed (`cargo xtask setup` installs it)");
            }
        }
        found
    }

    fn said(shell: &str, command: &Command) -> Vec<u8> {
        let mark = Mark::new();
        let line = command.far_line(&mark);
        let output = std::process::Command::new(shell).arg("-c").arg(&line).output().unwrap();
        let text = mark.text();
        assert!(output.stdout.starts_with(&text), "{shell} {line}: {output:?}");
        output.stdout[text.len()..].to_vec()
    }

    #[test]
    fn every_word_reaches_the_program_as_it_was_given_whatever_the_login_shell() {
        for shell in shells() {
            for word in [
                "plain",
                "",
                "two words",
                "it's",
                "$HOME `id` \"x\"",
                "a\nb\n",
                "*?~!#;&|<>{}[]()^=",
                "ü🦀",
                "-n",
                "a\\b\\\\c\\n",
                "100% %s %%",
                "!!:1 !x",
                "\t\x01\x7f",
                &"long ".repeat(3000),
            ] {
                let command = Command::argv(vec!["printf".into(), "%s".into(), word.into()], Vec::new());
                assert_eq!(String::from_utf8(said(shell, &command)).unwrap(), word, "{shell}");
            }
        }
    }

    #[test]
    fn a_variable_is_set_for_the_far_program() {
        for shell in shells() {
            let env = vec![("GREETING".to_owned(), "it's $5!".to_owned())];
            let argv = ["sh", "-c", "printf %s \"$GREETING\""].map(String::from).to_vec();
            assert_eq!(said(shell, &Command::argv(argv, env)), b"it's $5!", "{shell}");
        }
    }

    #[test]
    fn a_line_is_for_sh_and_its_end_is_its_own() {
        for shell in shells() {
            let mark = Mark::new();
            let line = Command::shell("case x in x) exit 7;; esac").far_line(&mark);
            let status = std::process::Command::new(shell).arg("-c").arg(&line).output().unwrap().status;
            assert_eq!(status.code(), Some(7), "{shell}");
        }
    }

    #[test]
    fn a_shell_that_shows_what_it_runs_does_not_show_the_mark() {
        let mark = Mark::new();
        let line = Command::shell("exit").far_line(&mark);
        let text = mark.text();
        assert!(
            !line.as_bytes().windows(text.len() - 1).any(|part| part == &text[..text.len() - 1]),
            "{line}"
        );
    }

    #[test]
    fn a_description_is_short_one_line_and_has_no_variables() {
        let secret = vec![("TOKEN".to_owned(), "hush".to_owned())];
        let command = Command::argv(vec!["run".into(), "a\nb".into(), "x".repeat(100)], secret);
        assert_eq!(command.describe(), format!("run a b {}…", "x".repeat(51)));
    }
}
