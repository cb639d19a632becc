//! Lines on the wire: commands end with CRLF and may come several at once, the message ends with CRLF dot CRLF.

use std::{fmt::Write, io, time::Duration};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio_rustls::TlsAcceptor;

/// Longest command line; RFC 4954 asks for this much because of AUTH.
const MAX_LINE: u64 = 12_288;
/// How long a closed connection is drained, so that the last reply is not lost to a reset.
const LINGER: Duration = Duration::from_millis(500);

/// A byte stream of either kind, plain or encrypted.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Sync> Duplex for T {}

/// What reading a command line came to.
pub(super) enum Line {
    Text(String),
    /// Not ended by CRLF.
    BareLf,
    TooLong,
    Eof,
}

/// One connection.
pub(super) struct Wire {
    io: BufReader<Box<dyn Duplex>>,
    tls: bool,
}

impl Wire {
    pub(super) fn new(io: impl Duplex + 'static) -> Self {
        Self { io: BufReader::new(Box::new(io)), tls: false }
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Does the handshake. What the client sent ahead of it in clear is forgotten (RFC 3207, section 4.2).
    pub(super) async fn upgrade(self, acceptor: &TlsAcceptor) -> io::Result<Self> {
        let stream = acceptor.accept(self.io.into_inner()).await?;
        Ok(Self { io: BufReader::new(Box::new(stream)), tls: true })
    }

    pub(super) async fn read_line(&mut self) -> io::Result<Line> {
        let mut bytes = Vec::new();
        (&mut self.io).take(MAX_LINE).read_until(b'\n', &mut bytes).await?;
        if let Some(text) = bytes.strip_suffix(b"\r\n") {
            return Ok(Line::Text(String::from_utf8_lossy(text).into_owned()));
        }
        if bytes.ends_with(b"\n") {
            return Ok(Line::BareLf);
        }
        let full = u64::try_from(bytes.len()).is_ok_and(|len| len >= MAX_LINE);
        Ok(if full { Line::TooLong } else { Line::Eof })
    }

    /// Reads a message up to the final dot and removes the stuffed dots; `None` when the client went away before it.
    /// Only CRLF ends a line here, so a dot between bare line feeds is content.
    pub(super) async fn read_data(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut data = Vec::new();
        let mut at_line_start = true;
        loop {
            let mut line = Vec::new();
            if self.io.read_until(b'\n', &mut line).await? == 0 {
                return Ok(None);
            }
            if at_line_start && line == b".\r\n" {
                return Ok(Some(data));
            }
            let content = if at_line_start { line.strip_prefix(b".").unwrap_or(&line) } else { &line };
            data.extend_from_slice(content);
            at_line_start = line.ends_with(b"\r\n");
        }
    }

    pub(super) async fn reply(&mut self, code: u16, text: &str) -> io::Result<()> {
        self.reply_lines(code, &[text]).await
    }

    pub(super) async fn reply_lines(&mut self, code: u16, lines: &[&str]) -> io::Result<()> {
        let (last, before) = lines.split_last().unwrap_or((&"", &[]));
        let mut out = String::new();
        for line in before {
            write!(out, "{code}-{line}\r\n").map_err(io::Error::other)?;
        }
        write!(out, "{code} {last}\r\n").map_err(io::Error::other)?;
        self.io.write_all(out.as_bytes()).await?;
        self.io.flush().await
    }

    /// Closes in good order after a last reply.
    pub(super) async fn finish(mut self) {
        let drained = async {
            self.io.shutdown().await?;
            tokio::io::copy(&mut self.io, &mut tokio::io::sink()).await
        };
        if let Ok(Err(err)) = tokio::time::timeout(LINGER, drained).await {
            tracing::debug!(error = %err, "mail client closed first");
        }
    }
}
