//! HTTP/1.1 over a kept connection, as little of it as there can be: a client
//! that takes its CPU away from what it measures would be part of the result.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    address: SocketAddr,
}

/// What was answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// What the head of an answer says.
struct Head {
    status: u16,
    /// Bytes of head and body.
    head: usize,
    body: usize,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(256 * 1024),
            address,
        })
    }

    /// A request's bytes, to be sent many times.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Vec<u8> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str("content-type: application/json\r\n");
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        text.into_bytes()
    }

    pub(crate) async fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let request = self.request("GET", path, headers, "");
        self.answer(&request).await
    }

    /// Sends the bytes of a request and reads the whole answer.
    pub(crate) async fn answer(&mut self, request: &[u8]) -> Result<Answer> {
        let head = self.exchange(request).await?;
        let body = self
            .buffer
            .get(head.head..head.head + head.body)
            .unwrap_or_default()
            .to_vec();
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    /// The same without a copy of the body: status and the body's length.
    pub(crate) async fn count(&mut self, request: &[u8]) -> Result<(u16, usize)> {
        let head = self.exchange(request).await?;
        Ok((head.status, head.body))
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Head> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut head: Option<Head> = None;
        loop {
            ensure!(
                self.stream.read_buf(&mut self.buffer).await? > 0,
                "{} closed the connection",
                self.address
            );
            if head.is_none() {
                head = read_head(&self.buffer)?;
            }
            if let Some(head) = head.take_if(|head| self.buffer.len() >= head.head + head.body) {
                return Ok(head);
            }
        }
    }
}

/// The head, once all of it is there.
fn read_head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(bytes.get(..end).unwrap_or_default())?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1));
    let status: u16 = status.context("no status line")?.parse()?;
    for line in lines {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            return Ok(Some(Head {
                status,
                head: end + 4,
                body: value.trim().parse()?,
            }));
        }
    }
    bail!("an answer of unknown length: {text}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_complete() {
        assert!(
            read_head(b"HTTP/1.1 200 OK\r\nContent-Le")
                .unwrap()
                .is_none()
        );
        let head = read_head(b"HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nabc")
            .unwrap()
            .unwrap();
        assert_eq!((head.status, head.head, head.body), (404, 45, 7));
        assert!(read_head(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }
}
