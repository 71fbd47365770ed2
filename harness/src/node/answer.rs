//! What a command on a node answers, where that is not its journal: within a length and a time.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::transport::{Exec, ExitStatus, TransportError};

/// How much a command may answer, and for how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) bytes: usize,
    /// From the question to the command's end.
    pub(crate) within: Duration,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error("it answers more than {0} bytes")]
    TooLong(usize),
    #[error("it has not answered in {} s", .0.as_secs())]
    Late(Duration),
}

/// All that a command writes, and how it ends. Dropped, it is ended.
pub(crate) async fn whole(exec: &mut Exec, bounds: Bounds) -> Result<(Vec<u8>, ExitStatus), AnswerError> {
    let Bounds { bytes, within } = bounds;
    let by = Instant::now() + within;
    let late = |_| AnswerError::Late(within);
    let mut said = Vec::new();
    while let Some(chunk) = timeout_at(by, exec.stdout.recv()).await.map_err(late)? {
        let chunk = chunk?;
        if said.len() + chunk.len() > bytes {
            return Err(AnswerError::TooLong(bytes));
        }
        said.extend_from_slice(&chunk);
    }
    let status = timeout_at(by, exec.wait()).await.map_err(late)??;
    Ok((said, status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Command, Transport};

    async fn ask(line: &str, milliseconds: u64) -> Result<(Vec<u8>, ExitStatus), AnswerError> {
        let mut exec = Transport::local().exec(Command::shell(line)).await.unwrap();
        let bounds = Bounds { bytes: 1 << 10, within: Duration::from_millis(milliseconds) };
        whole(&mut exec, bounds).await
    }

    #[tokio::test]
    async fn an_answer_has_an_end_whatever_the_node_does() {
        assert_eq!(
            ask("echo fine; exit 3", 60_000).await.unwrap(),
            (b"fine\n".to_vec(), ExitStatus::Code(3))
        );
        assert!(matches!(ask("yes", 60_000).await, Err(AnswerError::TooLong(1024))));
        assert!(matches!(ask("exec sleep 100", 200).await, Err(AnswerError::Late(_))));
        // Its output ends, and it does not.
        assert!(matches!(ask("exec >&-; exec sleep 100", 200).await, Err(AnswerError::Late(_))));
    }
}
