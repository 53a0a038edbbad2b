use std::future::Future;
use std::pin::Pin;

/// How the outside is called. The binary puts a real client behind it, tests a closure.
pub trait HttpClient: Send + Sync + 'static {
    fn call(&self, request: outbound::Request) -> HttpFuture;
}

pub type HttpFuture = Pin<Box<dyn Future<Output = Result<outbound::Answer, outbound::Error>> + Send>>;

impl HttpClient for outbound::Client {
    fn call(&self, request: outbound::Request) -> HttpFuture {
        let client = self.clone();
        Box::pin(async move { outbound::Client::call(&client, &request).await })
    }
}
