//! The application behind its listener.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use shared::lifecycle::CancellationToken;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::TestApp;
use crate::{metrics_listener, server};

async fn listen(app: &TestApp, for_operators: bool) -> SocketAddr {
    let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (address, state) = (bound.address(), app.state.clone());
    let serving = async move {
        let (config, stopping) = (state.kernel.config.http.clone(), CancellationToken::new());
        if for_operators {
            metrics_listener::serve(bound, state, stopping).await
        } else {
            bound.serve(crate::app(state), &config, stopping).await
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the test ends with its task")]
    tokio::spawn(serving);
    address
}

async fn exchange(address: SocketAddr, head: &str, body: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(10), reading).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn a_huge_body_is_refused_at_once_and_the_client_reads_why() {
    let app = TestApp::new().await;
    let address = listen(&app, false).await;
    let body = vec![b'a'; 10 * 1024 * 1024];
    let head = format!(
        "POST /api/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let started = Instant::now();
    let answer = exchange(address, &head, &body).await;
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("body_too_large"), "{answer}");
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(app.state.hasher.computed(), 0);

    let waiting = head.replace("Connection: close", "Expect: 100-continue\r\nConnection: close");
    let answer = exchange(address, &waiting, b"").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_body_of_unknown_length_is_bounded() {
    let app = TestApp::new().await;
    let address = listen(&app, false).await;
    let head = "POST /api/login HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut body = Vec::new();
    for _ in 0..20 {
        body.extend_from_slice(b"1000\r\n");
        body.extend_from_slice(&[b'a'; 0x1000]);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(address, head, &body).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn operators_read_metrics_by_route_and_health() {
    let metrics = shared::telemetry::metrics();
    assert!(metrics.is_some());
    let app = TestApp::new().await;
    for path in ["/api/jobs/1", "/api/jobs/2", "/wp-login.php", "/reset?token=canary"] {
        app.get(path).await;
    }
    let address = listen(&app, true).await;
    let text = exchange(address, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"").await;
    let line = |route: &str, status: u16| {
        format!("gatepost_http_requests_total{{method=\"GET\",route=\"{route}\",status=\"{status}\"}}")
    };
    assert!(text.contains(&line("/api/jobs/{job_id}", 401)), "{text}");
    assert!(text.contains(&line("unmatched", 404)), "{text}");
    assert!(text.contains("gatepost_http_request_seconds_bucket"), "{text}");
    assert!(!text.contains("canary") && !text.contains("wp-login"), "{text}");
    let health = exchange(address, "GET /health/ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"").await;
    assert!(health.starts_with("HTTP/1.1 200"), "{health}");
}
