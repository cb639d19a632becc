//! `gatepost health`: asks a running process whether it is ready, for container health checks.

use std::time::Duration;

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::output;

/// Whether `url` answers 200 within five seconds. Prints the body.
pub async fn ask(url: &str) -> anyhow::Result<bool> {
    let Some(rest) = url.strip_prefix("http://") else { bail!("only http:// addresses of this machine are asked") };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    let answer = timeout(Duration::from_secs(5), exchange).await.context("no answer within 5 s")?;
    let answer = answer.with_context(|| format!("cannot reach {host}"))?;
    if let Some((_, body)) = answer.split_once("\r\n\r\n") {
        output::print(body.trim());
    }
    Ok(answer.split(' ').nth(1) == Some("200"))
}
