//! A keep-alive HTTP/1.1 connection that costs little beside the server it measures, and about the same whatever the answer.

use std::io::Write as _;

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Headers that an answer may have.
const HEADERS: usize = 32;

/// One connection.
pub struct Connection {
    stream: TcpStream,
    host: String,
    cookie: Option<String>,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

/// One answer.
pub struct Reply {
    /// Status.
    pub status: u16,
    /// Head, as it came.
    pub head: String,
    /// Body.
    pub body: String,
}

/// What a head says about itself and what follows.
struct Head {
    status: u16,
    /// Bytes of the head with the empty line behind it.
    length: usize,
    body: Extent,
}

/// How far a body reaches (RFC 9112, section 6).
enum Extent {
    Bytes(usize),
    Chunks,
}

impl Connection {
    /// Connects to `host:port`.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn open(host: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(host).await?;
        stream.set_nodelay(true)?;
        let buffer = Vec::with_capacity(8192);
        Ok(Self { stream, host: host.to_owned(), cookie: None, request: Vec::with_capacity(512), buffer })
    }

    /// Sends this cookie, `name=value`, with every request.
    #[must_use]
    pub fn with_cookie(mut self, cookie: &str) -> Self {
        self.cookie = Some(cookie.to_owned());
        self
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// When the connection breaks or the answer is not HTTP.
    pub async fn send(&mut self, method: &str, path: &str, bearer: Option<&str>, body: &str) -> anyhow::Result<Reply> {
        let request = &mut self.request;
        request.clear();
        write!(request, "{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host)?;
        if let Some(bearer) = bearer {
            write!(request, "Authorization: Bearer {bearer}\r\n")?;
        }
        if let Some(cookie) = &self.cookie {
            write!(request, "Cookie: {cookie}\r\n")?;
        }
        write!(request, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        self.stream.write_all(request).await?;
        self.read().await
    }

    async fn read(&mut self) -> anyhow::Result<Reply> {
        self.buffer.clear();
        let head = loop {
            self.fill().await?;
            if let Some(head) = Head::read(&self.buffer)? {
                break head;
            }
        };
        let begin = head.length;
        let body = match head.body {
            Extent::Chunks => self.chunks(begin).await?,
            Extent::Bytes(length) => {
                while self.buffer.len() < begin + length {
                    self.fill().await?;
                }
                self.buffer[begin..begin + length].to_vec()
            }
        };
        let text = String::from_utf8_lossy(&self.buffer[..begin]).into_owned();
        Ok(Reply { status: head.status, head: text, body: String::from_utf8_lossy(&body).into_owned() })
    }

    /// The chunks of a body that begins there (RFC 9112, section 7.1).
    async fn chunks(&mut self, mut at: usize) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(length) = find(&self.buffer[at..], b"\r\n") {
                    break length;
                }
                self.fill().await?;
            };
            let length = usize::from_str_radix(std::str::from_utf8(&self.buffer[at..at + line])?.trim(), 16)?;
            let begin = at + line + 2;
            while self.buffer.len() < begin + length + 2 {
                self.fill().await?;
            }
            if length == 0 {
                return Ok(body);
            }
            body.extend_from_slice(&self.buffer[begin..begin + length]);
            at = begin + length + 2;
        }
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

impl Head {
    /// The head at the beginning of the bytes, once it is complete.
    fn read(bytes: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = answer.parse(bytes)? else { return Ok(None) };
        let status = answer.code.context("no status")?;
        let mut body = Extent::Bytes(0);
        for header in answer.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                body = Extent::Bytes(std::str::from_utf8(header.value)?.parse()?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                body = Extent::Chunks;
            }
        }
        Ok(Some(Self { status, length, body }))
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
