//! Hostile and broken input: always an answer or a closed connection, never a stuck or dead server.

use base::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::harness::{Recorder, Server, gateway, options, request, start};
use crate::GatewayOptions;

async fn server(options: GatewayOptions) -> (Recorder, Server) {
    let recorder = Recorder::new();
    let registry =
        recorder.registry([("sqs", "SendMessage"), ("sts", "GetCallerIdentity"), ("lambda", "CreateFunction")]);
    let server = start(gateway(registry, options, Timestamp::MIN)).await;
    (recorder, server)
}

const TARGET: (&str, &str) = ("X-Amz-Target", "AmazonSQS.SendMessage");

#[tokio::test]
async fn heads() {
    let (_, server) = server(GatewayOptions { header_bytes_max: 8192, header_count_max: 20, ..options() }).await;
    let long = "a".repeat(9000);
    assert_eq!(server.send("POST", "/", &[TARGET, ("X-Long", &long)], b"{}").await.status, 431);
    assert_eq!(server.send("GET", &format!("/{long}"), &[], b"").await.status, 431);
    let many: Vec<_> = (0..30).map(|_| ("X-Many", "1")).collect();
    assert_eq!(server.send("POST", "/", &many, b"{}").await.status, 431);
    for garbage in [
        &b"\x00\xff\xfe garbage\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: nonsense\r\n\r\n",
    ] {
        let reply = server.raw(garbage).await;
        assert!(reply.status == 400 || reply.status == 0, "{} {}", String::from_utf8_lossy(garbage), reply.status);
    }
    assert_eq!(server.send("POST", "/", &[TARGET], b"{}").await.status, 200);
}

#[tokio::test]
async fn bodies() {
    let limited = GatewayOptions { body_bytes_max: 1000, bodies_bytes_max: 100 * 1024, ..options() };
    let (recorder, server) = server(limited).await;
    let text = |n: usize| format!("{{\"MessageBody\":\"{}\"}}", "x".repeat(n));
    assert_eq!(server.send("POST", "/", &[TARGET], text(900).as_bytes()).await.status, 200);
    let reply = server.send("POST", "/", &[TARGET], text(1000).as_bytes()).await;
    assert_eq!(reply.status, 413);
    assert_eq!(reply.json()["__type"], "com.amazonaws.sqs#RequestEntityTooLargeException");
    let chunked = [TARGET, ("Transfer-Encoding", "chunked")];
    let chunk = |data: &str| format!("{:x}\r\n{data}\r\n", data.len());
    let body = text(400);
    let pieces: String = body.as_bytes().chunks(7).map(|c| chunk(std::str::from_utf8(c).unwrap())).collect();
    let reply = server.send("POST", "/", &chunked, format!("{pieces}0\r\n\r\n").as_bytes()).await;
    assert_eq!((reply.status, &recorder.last().input["MessageBody"]), (200, &"x".repeat(400).into()));
    let long = chunk(&"x".repeat(600)).repeat(2) + "0\r\n\r\n";
    assert_eq!(server.send("POST", "/", &chunked, long.as_bytes()).await.status, 413);
    // Lambda takes larger ones, but not more than all bodies together may.
    let zip = format!("{{\"Code\":{{\"ZipFile\":\"{}\"}}}}", "A".repeat(90 * 1024));
    assert_eq!(server.send("POST", "/2015-03-31/functions", &[], zip.as_bytes()).await.status, 201);
    let reply = server.send("POST", "/2015-03-31/functions", &[], &vec![b' '; 200 * 1024]).await;
    assert_eq!((reply.status, &*reply.headers["x-amzn-errortype"]), (503, "ThrottlingException"));
}

#[tokio::test]
async fn broken_chunks() {
    let (recorder, server) = server(GatewayOptions { body_pause_ms_max: 30, ..options() }).await;
    let chunked = [TARGET, ("Transfer-Encoding", "chunked")];
    for broken in ["zz\r\n", "5\r\nab", "ffffffffffffffffff\r\n", "1;ext=\r\nab\r\n", "-1\r\n\r\n"] {
        let reply = server.send("POST", "/", &chunked, broken.as_bytes()).await;
        assert!(reply.status == 400 || reply.status == 0, "{broken} {}", reply.status);
    }
    assert_eq!(recorder.count(), 0);
}

#[tokio::test]
async fn nesting_and_parameters() {
    let (_, server) = server(options()).await;
    let nested = |n: usize| format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n));
    assert_eq!(server.json("AmazonSQS.SendMessage", &nested(100)).await.status, 200);
    for n in [128, 1_000_000] {
        let reply = server.json("AmazonSQS.SendMessage", &nested(n)).await;
        assert_eq!(reply.status, 400);
        assert!(reply.text().contains("SerializationException"), "{}", reply.text());
    }
    let brackets = format!("{{\"a\":\"{}\\\"{}\"}}", "[".repeat(1000), "{".repeat(1000));
    assert_eq!(server.json("AmazonSQS.SendMessage", &brackets).await.status, 200);
    let many = "a=b&".repeat(30_000);
    let reply = server.form("/", &format!("{many}Action=GetCallerIdentity")).await;
    assert!(reply.text().contains("MalformedQueryString"), "{}", reply.text());
}

#[tokio::test]
async fn a_slow_head_is_cut_off() {
    let (_, server) = server(GatewayOptions { header_timeout_ms: 30, ..options() }).await;
    for sent in [&b""[..], b"POST / HTTP/1.1\r\nHost: a\r\nX-"] {
        let mut stream = TcpStream::connect(&server.address).await.unwrap();
        // Late is as good as never here.
        let _ = stream.write_all(sent).await;
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
    }
}

#[tokio::test]
async fn a_slow_body_is_cut_off() {
    let (recorder, server) = server(GatewayOptions { body_pause_ms_max: 30, ..options() }).await;
    let reply = server.raw(&request("POST", "/", &[TARGET, ("Content-Length", "100")], b"{\"MessageBody\"")).await;
    assert_eq!((reply.status, recorder.count()), (400, 0));
    assert!(reply.text().contains("RequestTimeout"), "{}", reply.text());
}

#[tokio::test]
async fn connections_wait_for_a_place() {
    let (_, server) = server(GatewayOptions { connections_max: 1, ..options() }).await;
    let held = TcpStream::connect(&server.address).await.unwrap();
    let next = server.send("POST", "/", &[TARGET], b"{}");
    drop(held);
    assert_eq!(next.await.status, 200);
}
