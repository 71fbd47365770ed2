//! Keeps text that a node wrote from being taken for commands by GitHub Actions.
//!
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>

/// What switches commands off in the log, and on again: around text that a node wrote.
#[derive(Debug)]
pub struct StopCommands {
    token: String,
}

impl StopCommands {
    /// With a word that nobody can guess.
    pub fn new() -> Self {
        Self { token: format!("gpu-harness-{:032x}", rand::random::<u128>()) }
    }

    /// The line before the text.
    pub fn begin(&self) -> String {
        format!("::stop-commands::{}", self.token)
    }

    /// The line after it.
    pub fn end(&self) -> String {
        format!("::{}::", self.token)
    }
}

impl Default for StopCommands {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_hush_with_the_same_word() {
        assert_ne!(StopCommands::new().begin(), StopCommands::new().begin());
    }
}
