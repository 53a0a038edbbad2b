use std::convert::Infallible;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tracing::{debug, warn};

use crate::io::Connection;
use crate::{Gateway, GatewayError, GatewayOptions};

/// Pause after the system refused a connection (no file descriptors left), so that the loop does not spin.
const ACCEPT_RETRY_MS: u64 = 50;
/// Headers that hyper takes without a buffer of their own.
const HYPER_HEADERS: usize = 100;

impl Gateway {
    /// Binds the configured address.
    pub async fn listen(&self) -> Result<TcpListener, GatewayError> {
        let address = self.options.listen;
        TcpListener::bind(address).await.map_err(|e| GatewayError::Listen(address, e))
    }

    /// Serves until `shutdown` resolves; then takes no more calls and gives running ones time to end.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<(), GatewayError> {
        let address = listener.local_addr().map_err(|e| GatewayError::Listen(self.options.listen, e))?;
        self.options.check_address(address)?;
        let listen: Arc<str> = address.to_string().into();
        let gateway = Arc::new(self);
        let connections = Arc::new(Semaphore::new(gateway.options.connections_max));
        let (stop, stopping) = watch::channel(false);
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                accepted = accept(&listener, &connections) => accepted,
            };
            let (stream, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(%error, "accept a connection");
                    tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                    continue;
                }
            };
            let (gateway, listen, stopping) = (gateway.clone(), listen.clone(), stopping.clone());
            tokio::spawn(async move {
                let _permit = permit;
                connection(gateway, stream, listen, stopping).await;
            });
        }
        drop(listener);
        let _ = stop.send(true);
        // Every connection holds a permit and ends when it is idle.
        let all = u32::try_from(gateway.options.connections_max).unwrap_or(u32::MAX);
        let drained = connections.acquire_many(all);
        if tokio::time::timeout(Duration::from_millis(gateway.options.drain_timeout_ms), drained).await.is_err() {
            warn!("calls were still running when the server stopped");
        }
        Ok(())
    }
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

async fn connection(gateway: Arc<Gateway>, stream: TcpStream, listen: Arc<str>, mut stopping: watch::Receiver<bool>) {
    // Answers are small and written whole; waiting to fill packets would only delay them.
    let _ = stream.set_nodelay(true);
    let options = &gateway.options;
    let io = Connection::new(stream, Duration::from_millis(options.write_pause_ms_max));
    let builder = builder(options);
    let service = service_fn(|request| {
        let (gateway, listen) = (gateway.clone(), listen.clone());
        async move { Ok::<_, Infallible>(gateway.handle(request, listen).await) }
    });
    let mut connection = pin!(builder.serve_connection(io, service));
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = async { drop(stopping.wait_for(|stop| *stop).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%error, "connection ended");
    }
}

fn builder(options: &GatewayOptions) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(options.header_timeout_ms))
        .max_header_size(options.header_bytes_max);
    // Another number costs an allocation a request.
    if options.header_count_max != HYPER_HEADERS {
        builder.max_headers(options.header_count_max);
    }
    builder
}
