//! Bytes that are meant to confuse or exhaust the server, sent to a real process.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    future::Future,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use harness::{Installation, Process, free_port, http_client, works::PATIENCE};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// How long a peer may take over a head.
const HEAD: Duration = Duration::from_secs(2);
/// By how much the memory of the process may grow while it is attacked, in KiB. What an attacker sends is more than that.
const GROWTH: u64 = 16 * 1024;

/// `gatepost serve` with little patience.
struct Server {
    installation: Installation,
    process: Process,
    host: String,
}

impl Server {
    async fn start() -> Self {
        let host = format!("127.0.0.1:{}", free_port());
        let installation = Installation::new()
            .set("HTTP__LISTEN", &host)
            .set("HTTP__PUBLIC_URL", &format!("http://{host}"))
            .set("HTTP__IDLE_TIMEOUT_SECONDS", &HEAD.as_secs().to_string())
            .set("HTTP__REQUEST_TIMEOUT_SECONDS", "5")
            .set("TELEMETRY__LOG_FILTER", "info");
        let process = installation.start("serve", &["serve"]);
        installation.wait_for(&format!("http://{host}/health/ready"), PATIENCE).await;
        Self { installation, process, host }
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        // A server that hangs up in the middle is one that refuses.
        drop(stream.write_all(bytes).await);
        stream
    }

    /// Resident memory in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.pid().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Asks for the readiness all the time until `attack` is over; what it gives, and how often the server was ready.
    async fn ready_during<Outcome>(&self, attack: impl Future<Output = Outcome>) -> (Outcome, usize) {
        let client = http_client();
        let mut ready = 0;
        tokio::pin!(attack);
        loop {
            let asking =
                client.get(format!("http://{}/health/ready", self.host)).timeout(Duration::from_secs(2)).send();
            tokio::select! {
                outcome = &mut attack => return (outcome, ready),
                answer = asking => {
                    assert_eq!(answer.unwrap().status(), 200, "{}", self.installation.logs());
                    ready += 1;
                }
            }
            tokio::select! {
                outcome = &mut attack => return (outcome, ready),
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }

    async fn stop(mut self) {
        self.process.signal("TERM").await;
        assert_eq!(self.process.wait(Duration::from_secs(30)).await, Some(true), "{}", self.installation.logs());
    }
}

/// What the server sends until it closes the connection, and whether it does within `patience`.
async fn rest(stream: &mut TcpStream, patience: Duration) -> (String, bool) {
    let mut bytes = Vec::new();
    // A reset is a close, too.
    let is_closed = tokio::time::timeout(patience, stream.read_to_end(&mut bytes)).await.is_ok();
    (String::from_utf8_lossy(&bytes).into_owned(), is_closed)
}

/// T-API-03: what two servers could read as two different requests is one at most here: it is refused, or answered and the
/// connection closed, and the request that hides in it does not happen.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hides_in_another_does_not_happen() {
    let server = Server::start().await;
    let hidden = |number: usize| format!("GET /hidden-{number} HTTP/1.1\r\nHost: x\r\n\r\n");
    // The head's lines about the length, what stands before the hidden request, and whether that is refused as malformed.
    let pairs = [
        ("Content-Length: 500\r\nTransfer-Encoding: chunked", "0\r\n\r\n", false),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n", false),
        ("Transfer-Encoding: chunked\r\nContent-Length: nothing", "0\r\n\r\n", false),
        ("Content-Length: 0\r\nContent-Length: 500", "", true),
        ("Content-Length: 0, 500", "", true),
        ("Content-Length: +0", "", true),
        ("Content-Length: -1", "", true),
        ("Transfer-Encoding: xchunked\r\nContent-Length: 0", "", true),
        ("Transfer-Encoding: chunked, identity\r\nContent-Length: 0", "", true),
        ("Transfer-Encoding : chunked\r\nContent-Length: 0", "", true),
        (" Transfer-Encoding: chunked\r\nContent-Length: 0", "", true),
        ("Transfer-Encoding: chunked", "g\r\n\r\n", true),
        ("Transfer-Encoding: chunked", "fffffffffffffffff\r\n\r\n", true),
        ("Transfer-Encoding: chunked", "1\nx0\n\n", true),
    ];
    for (number, (lengths, before, is_refused)) in pairs.into_iter().enumerate() {
        let outer =
            format!("POST /api/reset HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{lengths}\r\n\r\n");
        let mut stream = server.send(format!("{outer}{before}{}", hidden(number)).as_bytes()).await;
        // Closed by the server itself, well before an idle connection would be.
        let (answer, is_closed) = rest(&mut stream, HEAD / 2).await;
        assert!(is_closed, "{lengths:?} leaves the connection open: {answer}");
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{lengths:?}: {answer}");
        let is_client_error = answer.starts_with("HTTP/1.1 4") || (is_refused && answer.is_empty());
        assert!(is_client_error, "{lengths:?}: {answer}");
    }
    // The log has a line of every request, so that finding none of the hidden ones means something.
    let mut stream = server.send(b"GET /not-hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    rest(&mut stream, HEAD).await;
    let log = server.installation.log_lines().join("\n");
    assert!(log.contains("/not-hidden") && !log.contains("/hidden-"), "{log}");
    server.stop().await;
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, stream][..], payload].concat()
}

/// A request that is never over: its head, then empty DATA frames for as long as the server takes them. How many bytes went
/// out, and what came back.
async fn flood(server: &Server) -> (usize, String) {
    let head = [0x83, 0x86, 0x84, 0x41, 0x01, b'x'];
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[]), frame(1, 4, 1, &head)].concat();
    let empty = frame(0, 0, 1, &[]).repeat(1000);
    let mut stream = server.send(&opening).await;
    let mut sent = opening.len();
    let begin = Instant::now();
    while begin.elapsed() < HEAD && sent < 64 << 20 && stream.write_all(&empty).await.is_ok() {
        sent += empty.len();
        tokio::task::yield_now().await;
    }
    let (answer, is_closed) = rest(&mut stream, HEAD).await;
    assert!(is_closed, "the connection stays open after {sent} bytes");
    (sent, answer)
}

/// T-API-03: HTTP/2 without TLS is not spoken, so there are no frames to flood it with: the connection ends with the preface,
/// an upgrade to it does not happen, memory stays, and others are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_empty_frames_is_cut_off_at_once() {
    let server = Server::start().await;
    flood(&server).await;
    let before = server.memory();
    let attack = async {
        let mut all = Vec::new();
        for _ in 0..10 {
            all.extend(join_all((0..20).map(|_| flood(&server))).await);
        }
        all
    };
    let (floods, ready) = server.ready_during(attack).await;
    for (sent, answer) in &floods {
        assert!(answer.is_empty(), "frames are answered: {answer:?}");
        // What the sockets of both ends hold, and no more.
        assert!(*sent < 16 << 20, "{sent} bytes were taken");
    }
    let grown = server.memory().saturating_sub(before);
    assert!(grown < GROWTH, "memory grew by {grown} KiB");
    assert!(floods.len() == 200 && ready > 0, "{ready}");
    let upgrade = "GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n\
                   HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let (answer, _) = rest(&mut server.send(upgrade.as_bytes()).await, HEAD).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    server.stop().await;
}

/// Sends a head byte by byte until the server hangs up; how long that took.
async fn drip(server: &Server, number: usize) -> Duration {
    let mut stream = server.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n").await;
    let begin = Instant::now();
    for letter in format!("X-Slow-{number}: ").bytes().chain(std::iter::repeat(b'x')) {
        if stream.write_all(&[letter]).await.is_err() || begin.elapsed() > 4 * HEAD {
            break;
        }
        // The end of the connection, or nothing.
        let pause = Duration::from_millis(50);
        let (answer, is_closed) = rest(&mut stream, pause).await;
        assert!(answer.is_empty(), "{answer}");
        if is_closed {
            break;
        }
    }
    begin.elapsed()
}

/// T-API-03: five hundred peers that send their heads byte by byte are hung up on when their time is over, memory stays, and
/// others are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_are_hung_up_on() {
    let server = Server::start().await;
    join_all((0..100).map(|number| drip(&server, number))).await;
    let before = server.memory();
    let (times, ready) = server.ready_during(join_all((0..500).map(|number| drip(&server, number)))).await;
    let longest = times.iter().max().unwrap();
    assert!(*longest < HEAD + Duration::from_secs(2), "{longest:?}");
    assert!(times.iter().min().is_some_and(|shortest| *shortest > HEAD / 2), "they were not waited for at all");
    let grown = server.memory().saturating_sub(before);
    assert!(grown < GROWTH, "memory grew by {grown} KiB");
    assert!(ready > 10, "{ready}");
    server.stop().await;
}
