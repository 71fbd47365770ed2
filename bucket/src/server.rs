//! Who listens, on which port, and until when?

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use gpu_stores::Keys;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};

use crate::objects::Buckets;

/// The region that it says it is in.
pub const REGION: &str = "us-east-1";
/// Connections at a time; more of them wait.
const MOST_CONNECTIONS: usize = 1024;
/// Threads that speak HTTP. Files have threads of their own.
const MOST_THREADS: usize = 4;
/// Threads that read and write files.
const FILE_THREADS: usize = 32;
/// How long a connection may wait for its next request.
const IDLE: Duration = Duration::from_mins(2);
/// Pause where no connection can be taken, e.g. because too many files are open.
const PAUSE: Duration = Duration::from_millis(50);
/// How long requests that are under way have when it ends.
const END_WITHIN: Duration = Duration::from_secs(1);

/// A server that could not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Its folder.
    #[error("failed to make the folder {} for an S3 server", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its port.
    #[error("failed to listen on port {port} of 127.0.0.1")]
    Listen {
        /// The port; 0 is any.
        port: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its threads.
    #[error("failed to start the threads of an S3 server")]
    Threads(#[source] io::Error),
}

/// A server that runs. It ends when it is dropped, or with its process.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    keys: Keys,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Serves the folders below `root` as buckets, on `port` of 127.0.0.1, or on any port for 0.
    pub fn start(root: &Path, port: u16, keys: Keys) -> Result<Self, ServerError> {
        std::fs::create_dir_all(root)
            .map_err(|source| ServerError::Folder { path: root.to_owned(), source })?;
        let wrong = |source| ServerError::Listen { port, source };
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(wrong)?;
        listener.set_nonblocking(true).map_err(wrong)?;
        let address = listener.local_addr().map_err(wrong)?;

        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .max_blocking_threads(FILE_THREADS)
            .thread_name("s3-server")
            .enable_all()
            .build()
            .map_err(ServerError::Threads)?;
        let listener = runtime.block_on(async { TcpListener::from_std(listener) }).map_err(wrong)?;
        let mut service = S3ServiceBuilder::new(Buckets::below(root));
        service.set_auth(SimpleAuth::from_single(keys.id.clone(), keys.secret.clone()));
        let service = service.build();
        let (stop, stopped) = oneshot::channel();
        let work = move || {
            runtime.block_on(async {
                tokio::select! {
                    never = accept(listener, service) => match never {},
                    // Told to, or nobody is left who could tell.
                    _ = stopped => {}
                }
            });
            runtime.shutdown_timeout(END_WITHIN);
        };
        let thread =
            std::thread::Builder::new().name("s3-server".into()).spawn(work).map_err(ServerError::Threads)?;
        Ok(Self { address, keys, stop: Some(stop), thread: Some(thread) })
    }

    /// Scheme, host and port.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Who may ask.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            // Its panic was printed; whoever drops it has no use for it.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, service: S3Service) -> Infallible {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { std::future::pending().await };
        let Ok((connection, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // A connection that cannot be told to hurry works as well.
        let _ = connection.set_nodelay(true);
        let service = service.clone();
        tokio::spawn(async move {
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(IDLE);
            // A client that goes away in the middle is its own business.
            let _ = http.serve_connection(TokioIo::new(connection), service).await;
            drop(place);
        });
    }
}
