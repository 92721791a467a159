//! The socket below the HTTP library, for two things the library does not do.
//!
//! A head that it cannot read (400), with an address too long (414) or headers too large (431), it answers by itself, with an empty body,
//! and no hook to change that. [`Wire`] knows that one answer by its exact form and sends ours, in JSON, instead.
//!
//! And it closes at once when it refuses a body, which makes the kernel throw away the answer if data is still coming in. [`Wire`]
//! lingers: it says that nothing more will be sent, and reads on for a moment, until the client has read and closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::response::IntoResponse;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::request_id::RequestId;
use crate::error::ApiError;

/// How long, and for how much, a closing connection reads on.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

/// A connection's socket.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    /// What is still to be sent of an answer that replaces the library's own.
    instead: Bytes,
    closing: Closing,
}

#[derive(Debug)]
enum Closing {
    No,
    Lingering {
        until: Pin<Box<Sleep>>,
        bytes: usize,
    },
    Done,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> Wire {
        Wire {
            stream,
            instead: Bytes::new(),
            closing: Closing::No,
        }
    }

    fn poll_instead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.instead.has_remaining() {
            match ready!(Pin::new(&mut self.stream).poll_write(context, &self.instead))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.instead.advance(sent),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes the library's own answer, if this is it, and keeps ours to be sent.
    fn replaces(&mut self, data: &[u8]) -> bool {
        match bare_refusal(data) {
            Some(error) => {
                self.instead = written_out(error);
                true
            }
            None => false,
        }
    }

    fn poll_linger(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Closing::Lingering { until, bytes } = &mut self.closing else {
            return Poll::Ready(Ok(()));
        };
        let mut waste = [0_u8; 8 * 1024];
        while *bytes < LINGER_BYTES && until.as_mut().poll(context).is_pending() {
            let mut buffer = ReadBuf::new(&mut waste);
            match ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer)) {
                Ok(()) if !buffer.filled().is_empty() => {
                    *bytes = bytes.saturating_add(buffer.filled().len())
                }
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        if self.replaces(data) {
            return Poll::Ready(Ok(data.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_instead(context))?;
        if let [only] = pieces
            && self.replaces(only)
        {
            return Poll::Ready(Ok(only.len()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.closing, Closing::No) {
            ready!(self.poll_instead(context))?;
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.closing = Closing::Lingering {
                until: Box::pin(sleep(LINGER)),
                bytes: 0,
            };
        }
        ready!(self.poll_linger(context))?;
        self.closing = Closing::Done;
        Poll::Ready(Ok(()))
    }
}

/// Recognises the library's own answer: a 4xx with no header but `connection`, `content-length: 0` and `date`.
fn bare_refusal(data: &[u8]) -> Option<ApiError> {
    const LONGEST: usize = 200;
    let head = data
        .strip_prefix(b"HTTP/1.1 4")
        .filter(|_| data.len() <= LONGEST)?;
    let head = std::str::from_utf8(head.strip_suffix(b"\r\n\r\n")?).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?;
    let mut empty = false;
    for line in lines {
        match line.split_once(": ")? {
            ("content-length", "0") => empty = true,
            ("connection" | "date", _) => {}
            _ => return None,
        }
    }
    if !empty {
        return None;
    }
    match status.get(..2)? {
        "00" => Some(ApiError::invalid_request(
            "The request's head is not valid HTTP.",
        )),
        "14" => Some(ApiError::new(crate::error::Code::UriTooLong)),
        "31" => Some(ApiError::new(crate::error::Code::HeadTooLarge)),
        _ => None,
    }
}

/// An error as it goes over the wire, closing the connection.
fn written_out(error: ApiError) -> Bytes {
    let body = error.body();
    let mut response = error.into_response();
    RequestId::fresh().stamp(response.headers_mut());
    let status = response.status();
    let mut text = format!(
        "HTTP/1.1 {} {}\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default()
    );
    for (name, value) in response.headers() {
        if let (false, Ok(value)) = (name == http::header::CONTENT_LENGTH, value.to_str()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    text.push_str(&format!(
        "content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ));
    Bytes::from(text)
}
