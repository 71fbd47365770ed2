//! Why a pipeline cannot go on. A bad image is not among it: that is a row.

use std::borrow::Cow;

use gpu_bucket::ServerError;
use gpu_shards::{ReadError, WriteError};
use gpu_stores::StoreError;
use gpu_stores::location::NoLocation;
use gpu_suites::metrics::Blame;

use crate::error::{Trouble, WorkerError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum PipelineError {
    #[error(transparent)]
    Location { error: NoLocation },
    #[error(transparent)]
    Store(StoreError),
    #[error("{error}: {cause}")]
    Server { error: ServerError, cause: String },
    #[error("there are no images below {place}")]
    NoImages { place: String },
    #[error("{place} holds the shards of something else: {difference}")]
    AnotherPlan { place: String, difference: String },
    #[error("{place}{key} is not what this version writes: {cause}")]
    Foreign { place: String, key: String, cause: String },
    #[error("failed to make shard {shard}: {cause}")]
    Shard { shard: usize, cause: WriteError },
    #[error("failed to read {place}{key} back: {cause}")]
    ReadBack { place: String, key: String, cause: ReadError },
    #[error(
        "{place}{key} is not the shard that was written: its bytes have another SHA-256 than its mark in _done/ says"
    )]
    Changed { place: String, key: String },
    #[error("the model's output {shape:?} does not fit `output: {output}`")]
    Output { shape: Vec<i64>, output: &'static str },
    #[error("failed to cut images: {cause}")]
    Cut { cause: String },
    #[error("{file} is not a list of {what}: {cause}")]
    List { file: String, what: &'static str, cause: String },
    #[error("a thread of the pipeline ended in the middle of its work")]
    Thread,
}

impl Trouble for PipelineError {
    /// Whose fault it is: a model whose output does not fit, a list that cannot be read are the code's on every node.
    fn fault(&self) -> Blame {
        match self {
            Self::Location { .. } | Self::Output { .. } | Self::List { .. } => Blame::Code,
            _ => Blame::Node,
        }
    }

    fn hint(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Location { .. } => "begin with s3://, file:/// or memory://",
            Self::Store(error) => return error.fault.hint(),
            Self::Server { .. } => "look at the folder and the space left on the node's disk",
            Self::NoImages { .. } => "look at the location and its prefix; a prefix ends in a slash",
            Self::AnotherPlan { .. } => {
                "choose another `to` (with `{run}` each run has its own), or remove what is there"
            }
            Self::Foreign { .. } => "use the version that began these shards, or another `to`",
            Self::Shard { .. } | Self::Thread => "this is a fault of gpu-harness: please report it",
            Self::ReadBack { .. } | Self::Changed { .. } => {
                "something else wrote to this prefix, or the store is damaged: remove that object, and run again (its mark in _done/ counts no more then)"
            }
            Self::Output { .. } => {
                "`classify` wants [N, K], `segment` [N, 1, H, W]; `embed` takes whatever begins with N"
            }
            Self::Cut { .. } => "look at the image and at the space left on the node's disk",
            Self::List { .. } => "docs/pipeline.md shows both kinds of file",
        })
    }
}

impl From<ServerError> for PipelineError {
    fn from(error: ServerError) -> Self {
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        Self::Server { error, cause }
    }
}

impl From<PipelineError> for WorkerError {
    fn from(error: PipelineError) -> Self {
        Self::Part(Box::new(error))
    }
}
