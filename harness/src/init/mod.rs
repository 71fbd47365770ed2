//! The CI files that `gpu-harness init` writes: a text for each CI system, and how it gets into a file that is there.
//!
//! Our part of a file stands between two marker lines. What is between them is ours to renew, but for the user's own
//! values; what is outside is never touched, and neither is a file without markers.

mod marked;
mod values;

pub use marked::{Change, change};
pub use values::{Value, ValueError, Values};

/// A CI system that gpu-harness writes a file for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Ci {
    /// Bitbucket Pipelines.
    Bitbucket,
    /// GitHub Actions.
    Github,
    /// GitLab CI.
    Gitlab,
}

impl Ci {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Bitbucket, Self::Github, Self::Gitlab];

    /// Where its file lies, from the repository's root.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Bitbucket => "bitbucket-pipelines.yml",
            Self::Github => ".github/workflows/gpu.yml",
            Self::Gitlab => ".gitlab-ci.yml",
        }
    }

    /// Where the text goes in a file that is there and has no markers.
    pub const fn place(self) -> &'static str {
        match self {
            Self::Bitbucket => {
                "add what is below `definitions:` and `pipelines:` to yours (each key may stand there once), without \
                 the marker lines"
            }
            Self::Github => "put it into another file of .github/workflows/",
            Self::Gitlab => {
                "paste it at the end, marker lines too; if you have `stages:`, give the job a `stage:`"
            }
        }
    }

    /// Its text with these values.
    pub fn text(self, values: &Values) -> String {
        values.fill(match self {
            Self::Bitbucket => include_str!("bitbucket.yml"),
            Self::Github => include_str!("github.yml"),
            Self::Gitlab => include_str!("gitlab.yml"),
        })
    }
}
