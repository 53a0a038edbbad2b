use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};

use crate::answer::{self, Fault};
use crate::{Answer, Client, Error, Options, Request};

fn data(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "data", name].iter().collect()
}

fn open() -> Options {
    Options { allow_loopback: true, ..Options::default() }
}

fn get(url: String) -> Request {
    Request { method: "GET".to_owned(), url, headers: Vec::new(), body: None }
}

/// Answers each connection with `answer`, and hands out what came.
async fn serve(answer: &'static str, tls: Option<TlsAcceptor>) -> (u16, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tx, rx) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let came = match &tls {
                None => talk(stream, answer).await,
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => talk(stream, answer).await,
                    Err(_) => continue,
                },
            };
            let _ = tx.send(came);
        }
    });
    (port, rx)
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> String {
    let mut came = Vec::new();
    while !came.windows(4).any(|w| w == b"\r\n\r\n") {
        if stream.read_buf(&mut came).await.unwrap() == 0 {
            break;
        }
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
    // What is still on its way.
    let _ = stream.read_to_end(&mut came).await;
    String::from_utf8(came).unwrap()
}

#[tokio::test]
async fn a_request_goes_out_and_its_answer_comes_back_as_written() {
    let (port, mut came) =
        serve("HTTP/1.1 201 Made it\r\nX-Mixed-Case: a\r\nx-mixed-case: b\r\nContent-Length: 2\r\n\r\nhi", None).await;
    let request = Request {
        method: "POST".to_owned(),
        url: format!("http://127.0.0.1:{port}/a%20b?c=d"),
        headers: vec![("X-Key".into(), "v".into()), ("Host".into(), "evil".into())],
        body: Some(Bytes::from_static(b"{}")),
    };
    let answer = Client::new(open()).call(&request).await.unwrap();
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        answer,
        Answer {
            status: 201,
            reason: "Made it".to_owned(),
            headers: vec![header("X-Mixed-Case", "a"), header("x-mixed-case", "b"), header("Content-Length", "2")],
            body: Bytes::from_static(b"hi"),
        }
    );
    let expected = format!(
        "POST /a%20b?c=d HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-Key: v\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"
    );
    assert_eq!(came.recv().await.unwrap(), expected);
}

#[tokio::test]
async fn servers_are_known_by_their_certificates() {
    let certificates = CertificateDer::pem_file_iter(data("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(data("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap();
    let answer =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n";
    let (port, _came) = serve(answer, Some(TlsAcceptor::from(Arc::new(config)))).await;
    let request = get(format!("https://localhost:{port}"));
    let trusting = Options { certificate_authorities: Some(data("authority.pem")), ..open() };
    assert_eq!(Client::new(trusting).call(&request).await.unwrap().body, "abcde");
    let unknown = Client::new(open()).call(&request).await.unwrap_err();
    assert!(matches!(unknown, Error::Connect(..)), "{unknown}");
}

#[tokio::test]
async fn what_leads_into_this_machine_is_refused() {
    let (port, _came) = serve("HTTP/1.1 200 OK\r\n\r\n", None).await;
    let closed = Client::new(Options { allow_plain_http: true, ..Options::default() });
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "169.254.169.254", "[::1]"] {
        let error = closed.call(&get(format!("http://{host}:{port}/"))).await.unwrap_err();
        assert!(matches!(error, Error::Refused(_) | Error::Resolve(_)), "{host}: {error}");
    }
    // Allowed here, but not there.
    let link = Client::new(open()).call(&get("http://169.254.169.254/".to_owned())).await.unwrap_err();
    assert!(matches!(link, Error::Refused(_)), "{link}");
    let plain = Client::new(Options::default()).call(&get(format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    assert!(matches!(plain, Error::Invalid(_)), "{plain}");
}

#[tokio::test]
async fn what_cannot_be_sent_is_not() {
    let client = Client::new(open());
    for url in ["", "localhost", "ftp://localhost/", "https:///x", "https://user@localhost/", "https://h\u{f6}st/"] {
        let error = client.call(&get(url.to_owned())).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{url}: {error}");
    }
    for (name, value) in [("bad name", "v"), ("", "v"), ("X", "a\r\nY: b"), ("X", "\u{0}")] {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let error = client.call(&Request { headers, ..get("http://localhost/".to_owned()) }).await.unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{name:?} {value:?}: {error}");
    }
    let error = client.call(&Request { method: "G ET".into(), ..get("http://localhost/".to_owned()) }).await;
    assert!(matches!(error, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = Client::new(Options { timeout_ms: 20, ..open() });
    let error = client.call(&get(format!("http://127.0.0.1:{port}/"))).await.unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
}

async fn read(answer: &str, method: &str) -> Result<Answer, Fault> {
    answer::read(answer.as_bytes(), method, 10).await
}

#[tokio::test]
async fn answers() {
    let body = |answer: Result<Answer, Fault>| String::from_utf8(answer.unwrap().body.to_vec()).unwrap();
    assert_eq!(body(read("HTTP/1.1 200 OK\r\n\r\nto the end", "GET").await), "to the end");
    assert_eq!(body(read("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcde", "GET").await), "abc");
    assert_eq!(body(read("HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n", "HEAD").await), "");
    assert_eq!(body(read("HTTP/1.1 204 No Content\r\nContent-Length: 30\r\n\r\n", "GET").await), "");
    let interim = read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", "POST").await;
    assert_eq!(interim.unwrap().status, 200);
    assert_eq!(read("HTTP/1.1 418\r\nContent-Length: 0\r\n\r\n", "GET").await.unwrap().reason, "");
    for malformed in [
        "",
        "no HTTP at all\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        assert!(matches!(read(malformed, "GET").await, Err(Fault::Malformed(_))), "{malformed:?}");
    }
    for large in [
        "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\nmore than ten",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\n",
    ] {
        assert!(matches!(read(large, "GET").await, Err(Fault::TooLarge)), "{large:?}");
    }
}
