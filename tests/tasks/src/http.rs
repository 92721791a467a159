//! Just enough HTTP to call the host on this machine: one request per connection.
//!
//! It speaks HTTP/1.0, where an answer ends with its connection.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(35);

/// A client of a server on this machine.
pub(crate) struct Client {
    port: u16,
    headers: Vec<(&'static str, String)>,
}

/// A server's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Method and path that this is the answer to.
    called: String,
    pub(crate) status: u16,
    body: String,
}

impl Client {
    pub(crate) fn of_port(port: u16) -> Self {
        Self {
            port,
            headers: Vec::new(),
        }
    }

    /// Sends this header with every request from now on.
    pub(crate) fn header(&mut self, name: &'static str, value: String) {
        self.headers.push((name, value));
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer> {
        self.send("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send("POST", path, &body.to_string())
    }

    fn send(&self, method: &str, path: &str, body: &str) -> Result<Answer> {
        let called = format!("{method} {path}");
        let answer = self
            .exchange(&called, body)
            .with_context(|| called.clone())?;
        Answer::of_text(called, &answer)
    }

    fn exchange(&self, called: &str, body: &str) -> Result<String> {
        let mut head = format!(
            "{called} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\nAccept: application/json\r\n",
            self.port
        );
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n")?;
        }
        if !body.is_empty() {
            write!(
                head,
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )?;
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.write_all(format!("{head}\r\n{body}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Answer {
    fn of_text(called: String, text: &str) -> Result<Self> {
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            bail!("{called}: the answer breaks off in its head");
        };
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.split(' ').nth(1))
            .and_then(|status| status.parse().ok())
            .with_context(|| format!("{called}: the answer is not HTTP"))?;
        let length = lines
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, value)| value.trim().parse::<usize>().ok());
        if length.is_some_and(|length| length != body.len()) {
            bail!("{called}: the answer breaks off in its body");
        }
        Ok(Self {
            called,
            status,
            body: body.to_owned(),
        })
    }

    /// The JSON of a successful answer.
    pub(crate) fn json(&self) -> Result<Value> {
        let Self {
            called,
            status,
            body,
        } = self;
        if !(200..300).contains(status) {
            bail!("{called} answered {status}: {}", body.trim_end());
        }
        serde_json::from_str(body).with_context(|| format!("{called}: the answer is not JSON"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use serde_json::json;

    use super::*;

    /// Answers one request with `answer` and tells what was asked.
    fn server(answer: &'static str) -> (u16, JoinHandle<String>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut piece = [0; 1024];
            while !asked.ends_with(b"\r\n\r\n") && !asked.ends_with(b"}") {
                let read = stream.read(&mut piece).unwrap();
                asked.extend(piece.iter().take(read));
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(asked).unwrap()
        });
        (port, asked)
    }

    #[test]
    fn a_body_is_sent_with_its_length_and_headers() {
        let (port, asked) =
            server("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"id\":\"ä\"}");
        let mut client = Client::of_port(port);
        client.header("Authorization", "Bearer t".to_owned());
        let answer = client.post("/api/credentials", &json!({"a": "ä"})).unwrap();
        assert_eq!(answer.json().unwrap(), json!({"id": "ä"}));
        let asked = asked.join().unwrap();
        assert!(
            asked.starts_with("POST /api/credentials HTTP/1.0\r\n"),
            "{asked}"
        );
        assert!(asked.contains("\r\nAuthorization: Bearer t\r\n"), "{asked}");
        assert!(asked.contains("\r\nContent-Length: 10\r\n"), "{asked}");
        assert!(asked.ends_with("\r\n\r\n{\"a\":\"ä\"}"), "{asked}");
    }

    #[test]
    fn a_refusal_is_told_with_status_and_body() {
        let (port, asked) =
            server("HTTP/1.1 409 Conflict\r\ncontent-length: 20\r\n\r\n{\"errorMessage\":\"x\"}");
        let answer = Client::of_port(port).get("/crm/api/people").unwrap();
        assert_eq!(answer.status, 409);
        let told = answer.json().unwrap_err().to_string();
        assert_eq!(
            told,
            r#"GET /crm/api/people answered 409: {"errorMessage":"x"}"#
        );
        assert!(
            asked
                .join()
                .unwrap()
                .starts_with("GET /crm/api/people HTTP/1.0\r\n")
        );
    }

    #[test]
    fn a_torn_answer_is_an_error() {
        for torn in [
            "",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        ] {
            let told = Answer::of_text(String::new(), torn)
                .unwrap_err()
                .to_string();
            assert!(told.contains("breaks off"), "{torn:?}: {told}");
        }
        assert!(Answer::of_text(String::new(), "SSH-2.0\r\n\r\n").is_err());
    }
}
