use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http::uri::{Authority, Scheme};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio_rustls::TlsConnector;

use crate::address::{Place, place};
use crate::answer::{self, Fault};
use crate::{Error, tls};

/// What may be called, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Addresses of this machine, also without TLS.
    pub allow_loopback: bool,
    /// Addresses of this machine's link and metadata services of clouds.
    pub allow_link_local: bool,
    /// `http://` to anywhere.
    pub allow_plain_http: bool,
    /// A PEM file of certificate authorities that are trusted beside the machine's.
    pub certificate_authorities: Option<PathBuf>,
    /// From the look-up to the answer's end.
    pub timeout_ms: u64,
    pub body_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            allow_loopback: false,
            allow_link_local: false,
            allow_plain_http: false,
            certificate_authorities: None,
            timeout_ms: 60_000,
            body_bytes_max: 256 * 1024,
        }
    }
}

/// One request. `Host`, `Content-Length` and `Connection` are added.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub url: String,
    /// In this order and case.
    pub headers: Vec<(String, String)>,
    pub body: Option<Bytes>,
}

/// What was answered, whatever its status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// The text behind the status; may be empty.
    pub reason: String,
    /// In the order and case in which they came.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Makes calls. Clones share what is trusted.
#[derive(Clone)]
pub struct Client {
    options: Arc<Options>,
    connector: Arc<OnceCell<TlsConnector>>,
}

impl Client {
    pub fn new(options: Options) -> Client {
        Client { options: Arc::new(options), connector: Arc::default() }
    }

    /// Makes one call.
    pub async fn call(&self, request: &Request) -> Result<Answer, Error> {
        let target = Target::of(request, &self.options)?;
        let timeout = Duration::from_millis(self.options.timeout_ms);
        let exchanged = tokio::time::timeout(timeout, self.exchange(request, &target)).await;
        exchanged.unwrap_or_else(|_| Err(Error::TimedOut(target.authority)))
    }

    async fn exchange(&self, request: &Request, target: &Target) -> Result<Answer, Error> {
        let stream = self.connect(target).await?;
        if !target.tls {
            return self.talk(stream, request, target).await;
        }
        let failed = |why| Error::Connect(target.authority.clone(), why);
        let connector = self.connector.get_or_try_init(|| async {
            let options = self.options.clone();
            let read = move || tls::connector(options.certificate_authorities.as_deref());
            tokio::task::spawn_blocking(read).await.map_err(|e| e.to_string())?
        });
        let connector = connector.await.map_err(failed)?;
        let stream = tls::connect(connector, &target.host, stream).await.map_err(failed)?;
        self.talk(stream, request, target).await
    }

    async fn connect(&self, target: &Target) -> Result<TcpStream, Error> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port)).await;
        let found: Vec<SocketAddr> = found.map_err(|_| Error::Resolve(target.host.clone()))?.collect();
        let (allowed, refused): (Vec<_>, Vec<_>) = found.into_iter().partition(|a| self.is_allowed(a, target));
        let mut failure = match refused.first() {
            Some(address) => Error::Refused(format!(
                "{} leads to {}, which may not be called; see http_invoke in the configuration",
                target.host,
                address.ip()
            )),
            None => Error::Resolve(target.host.clone()),
        };
        for address in allowed {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // A request is one write.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => failure = Error::Connect(target.authority.clone(), error.to_string()),
            }
        }
        Err(failure)
    }

    fn is_allowed(&self, address: &SocketAddr, target: &Target) -> bool {
        match place(address.ip()) {
            Place::Network => target.tls || self.options.allow_plain_http,
            Place::Loopback => self.options.allow_loopback,
            Place::Link => self.options.allow_link_local && (target.tls || self.options.allow_plain_http),
            Place::Nowhere => false,
        }
    }

    async fn talk<S>(&self, mut stream: S, request: &Request, target: &Target) -> Result<Answer, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let broken = |why: String| Error::Broken(target.authority.clone(), why);
        let written = async {
            stream.write_all(&target.write(request)).await?;
            stream.flush().await
        };
        written.await.map_err(|e| broken(e.to_string()))?;
        let max = self.options.body_bytes_max;
        answer::read(&mut stream, &request.method, max).await.map_err(|fault| match fault {
            Fault::Io(error) => broken(error.to_string()),
            Fault::Malformed(why) => broken(why.to_owned()),
            Fault::TooLarge => Error::TooLarge(max),
        })
    }
}

/// Where a request goes.
struct Target {
    tls: bool,
    host: String,
    port: u16,
    /// As it stands in the URL: the `Host` header.
    authority: String,
    path: String,
}

impl Target {
    fn of(request: &Request, options: &Options) -> Result<Target, Error> {
        let invalid =
            |why: &str| Error::Invalid(format!("{why}: {}", request.url.chars().take(200).collect::<String>()));
        let uri: Uri = request.url.parse().map_err(|_| invalid("not a URL"))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && (options.allow_plain_http || options.allow_loopback) => false,
            _ => return Err(invalid("not an https URL")),
        };
        let authority: &Authority = uri.authority().ok_or_else(|| invalid("no host"))?;
        if authority.as_str().contains('@') {
            return Err(invalid("a URL with a user is not called"));
        }
        let is_token = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
        };
        let is_value = |text: &str| text.bytes().all(|b| b == b'\t' || b >= b' ' && b != 0x7f);
        if !is_token(&request.method) {
            return Err(Error::Invalid(format!("the method {:?} is none", request.method)));
        }
        if let Some((name, _)) = request.headers.iter().find(|(name, value)| !is_token(name) || !is_value(value)) {
            return Err(Error::Invalid(format!("the header {name:?} cannot be sent")));
        }
        let host = authority.host();
        Ok(Target {
            tls,
            host: host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.as_str().to_owned(),
            path: uri.path_and_query().map_or_else(|| "/".to_owned(), |path| path.as_str().to_owned()),
        })
    }

    fn write(&self, request: &Request) -> Vec<u8> {
        let path = if self.path.starts_with('/') { self.path.clone() } else { format!("/{}", self.path) };
        let mut head = format!("{} {path} HTTP/1.1\r\nHost: {}\r\n", request.method, self.authority);
        let own = ["host", "content-length", "connection", "transfer-encoding"];
        for (name, value) in &request.headers {
            if !own.contains(&name.to_ascii_lowercase().as_str()) {
                head += &format!("{name}: {value}\r\n");
            }
        }
        let body = request.body.as_deref().unwrap_or_default();
        if request.body.is_some() || matches!(request.method.as_str(), "POST" | "PUT" | "PATCH") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "Connection: close\r\n\r\n";
        [head.as_bytes(), body].concat()
    }
}
