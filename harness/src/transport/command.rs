//! A command to be run on a node, and how it is put into one line for a far shell.

/// What to run.
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

    /// A line for the shell: the user's login shell over ssh, `/bin/sh` on this machine.
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

    /// One line that makes any POSIX login shell run this, and become it: a signal that ends the program then reaches
    /// us as a signal, not as the shell's 128 + n.
    pub(super) fn shell_line(&self) -> String {
        match &self.line {
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
        }
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

/// `text` as one word of a POSIX shell.
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

    #[test]
    fn every_word_reaches_the_program_as_it_was_given() {
        for word in
            ["plain", "", "two words", "it's", "$HOME `id` \"x\"", "a\nb", "*?~!#;&|<>", "ü🦀", "-n", "a\\b"]
        {
            let line =
                Command::argv(vec!["printf".into(), "%s".into(), word.into()], Vec::new()).shell_line();
            let output = std::process::Command::new("/bin/sh").arg("-c").arg(&line).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word, "{line}");
        }
    }

    #[test]
    fn a_variable_is_set_for_the_far_program() {
        let env = vec![("GREETING".to_owned(), "it's $5".to_owned())];
        let argv = ["sh", "-c", "printf %s \"$GREETING\""].map(String::from).to_vec();
        let line = Command::argv(argv, env).shell_line();
        let output = std::process::Command::new("/bin/sh").arg("-c").arg(&line).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "it's $5");
    }

    #[test]
    fn a_description_is_short_one_line_and_has_no_variables() {
        let secret = vec![("TOKEN".to_owned(), "hush".to_owned())];
        let command = Command::argv(vec!["run".into(), "a\nb".into(), "x".repeat(100)], secret);
        assert_eq!(command.describe(), format!("run a b {}…", "x".repeat(51)));
    }
}
