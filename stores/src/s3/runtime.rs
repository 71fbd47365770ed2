//! The threads that speak with every S3: callers block, and each call runs here until it ends.
//!
//! So a store can be opened, asked and dropped anywhere, inside another event loop too.

use std::sync::{OnceLock, mpsc};

use tokio::runtime::{Builder, Runtime};

use crate::error::Fault;

/// More threads do not help: encrypting is what they are for, and it is quick.
const MOST_THREADS: usize = 8;

/// Runs a call to its end.
pub(super) fn block_on<T: Send + 'static>(
    call: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    let (answer, answered) = mpsc::sync_channel(1);
    started()?.spawn(async move {
        // The caller waits below.
        let _ = answer.send(call.await);
    });
    // A call that panicked has dropped its end.
    answered.recv().unwrap_or_else(|_| Err(Fault::Other("the call ended early".into())))
}

fn started() -> Result<&'static Runtime, Fault> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let mut builder = Builder::new_multi_thread();
        let builder = builder.worker_threads(threads).thread_name("s3").enable_all();
        builder.build().map_err(|error| error.to_string())
    });
    runtime.as_ref().map_err(|error| Fault::Other(format!("no threads to speak with S3: {error}")))
}
