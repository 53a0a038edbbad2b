//! S3 alone on one port, for trying it with any client: `cargo run -p bucket --example serve -- 127.0.0.1:4570 ./data`.
//!
//! Everybody is let in, so it listens on loopback. The product itself is `stepwell serve`.

use std::convert::Infallible;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use base::{Entropy, Scope, SystemClock};
use bucket::{Buckets, HttpOptions, Options};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use service::Call;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let listen = arguments.next().unwrap_or_else(|| "127.0.0.1:4570".to_owned());
    let data = PathBuf::from(arguments.next().unwrap_or_else(|| "./data".to_owned()));
    let store = Arc::new(store_embedded::EmbeddedStore::open(data.join("store"), store_embedded::Options::default())?);
    let entropy = Arc::new(Entropy::from_os());
    let clock = Arc::new(SystemClock::new());
    let buckets = Buckets::start(store, &data.join("objects"), clock, entropy.clone(), Options::default()).await?;
    let service = buckets.s3_service(HttpOptions::default());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    eprintln!("S3 on http://{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        let (service, entropy) = (service.clone(), entropy.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| {
                let call = Call::internal(Scope::default(), entropy.uuid(), "arn:aws:iam::000000000000:root");
                let service = service.clone();
                async move { Ok::<_, Infallible>(service.handle(request, call).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            if let Err(error) = connection.await {
                eprintln!("connection: {error}");
            }
        });
    }
}
