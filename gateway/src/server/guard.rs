//! A connection that does not wait for slow peers.
//!
//! ```text
//! Head     opened, or the first byte of a further request       patience.head until the head is complete
//! Request  the head is complete                                  patience.request until the first byte of the answer
//! Idle     the answer is being written, or was                   patience.idle, anew with every byte written
//! ```
//!
//! The HTTP implementation behind has no such timer: half a head would keep its connection for ever. Bytes of a head do
//! not prolong its time, so sending them one by one gains nothing. HTTP/2 without TLS is not spoken.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep},
};

use super::head::{HeadWatch, Progress};

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For the head of a request.
    pub head: Duration,
    /// For the rest of the request; longer than the request timeout, which answers.
    pub request: Duration,
    /// Between requests, and to take the next bytes of an answer.
    pub idle: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Head,
    Request,
    Idle,
}

/// A connection with deadlines; it gives its permit back when it is dropped.
pub struct GuardedStream {
    stream: TcpStream,
    phase: Phase,
    head: HeadWatch,
    /// When the peer has had its time.
    deadline: Instant,
    /// Wakes at the deadline or before it: most deadlines move on before they are reached, which costs no timer.
    alarm: Pin<Box<Sleep>>,
    patience: Patience,
    _permit: OwnedSemaphorePermit,
}

impl GuardedStream {
    /// Guards a connection that was just opened.
    pub fn new(stream: TcpStream, patience: Patience, permit: OwnedSemaphorePermit) -> Self {
        Self {
            stream,
            phase: Phase::Head,
            head: HeadWatch::default(),
            deadline: Instant::now() + patience.head,
            alarm: Box::pin(tokio::time::sleep(patience.head)),
            patience,
            _permit: permit,
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        let wait = match phase {
            Phase::Head => self.patience.head,
            Phase::Request => self.patience.request,
            Phase::Idle => self.patience.idle,
        };
        self.deadline = Instant::now() + wait;
        if self.deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(self.deadline);
        }
    }

    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() || self.phase == Phase::Request {
            return Ok(());
        }
        if self.phase == Phase::Idle {
            self.head = HeadWatch::default();
            self.enter(Phase::Head);
        }
        match self.head.feed(bytes) {
            Progress::Partial => {}
            Progress::Complete => self.enter(Phase::Request),
            Progress::Http2 => return Err(io::Error::new(io::ErrorKind::Unsupported, "HTTP/2 without TLS")),
        }
        Ok(())
    }

    fn sent(&mut self, bytes: &[u8]) {
        let is_interim = self.phase == Phase::Request && bytes.starts_with(b"HTTP/1.1 100");
        if !is_interim && matches!(self.phase, Phase::Request | Phase::Idle) {
            self.enter(Phase::Idle);
        }
    }

    /// Nothing can be done now: pending until the deadline, and an error after it.
    fn wait<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            if self.deadline <= self.alarm.deadline() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer is too slow")));
            }
            let deadline = self.deadline;
            self.alarm.as_mut().reset(deadline);
        }
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(cx, buffer) {
            Poll::Ready(Ok(())) => Poll::Ready(this.received(buffer.filled().get(before..).unwrap_or_default())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.wait(cx),
        }
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match Pin::new(&mut this.stream).poll_write(cx, bytes) {
            Poll::Ready(Ok(written)) => {
                this.sent(bytes);
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.wait(cx),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
