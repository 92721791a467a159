//! A host whose accounts are connected by a login of the connector's own, the app they are
//! of, and a page that asks a person for a code.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rollout_test_apps::codes_by_mail::{ANNA, PASSWORD, Simulator};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::fixtures::{Client, HostUnderTest, PATIENCE, Setup, within};

pub const KEY: &str = "codes-by-mail";
pub const ORIGIN: &str = "https://api.codes.conformance.example";

/// The app, with sessions that last for so long, and a host with its connector.
pub async fn stage(life: Duration) -> (Simulator, HostUnderTest) {
    let app = Simulator::start(life).unwrap();
    let host = HostUnderTest::start(setup(&app)).await;
    (app, host)
}

pub fn setup(app: &Simulator) -> Setup {
    let folder = rollout_tasks::build_conformance().expect("the connectors are built");
    let only = tempfile::tempdir().unwrap().keep();
    let file = "codes-by-mail.wasm";
    std::fs::copy(folder.join(file), only.join(file)).unwrap();
    Setup::plain()
        .set("dev.enabled", true)
        .set(&format!("dev.upstreams.\"{ORIGIN}\""), app.url())
        .set("sync.poll_interval", "1h")
        .connectors(&only)
}

/// What connects an account with a password.
pub fn by_password(email: &str) -> Value {
    json!({"appKey": KEY, "userInputs": {"email": email, "password": PASSWORD}})
}

/// Connects Anna's account, who needs no code.
pub async fn connect_anna(client: &Client) -> Client {
    let connected = client
        .post("/api/credentials", by_password(ANNA))
        .await
        .ok();
    client.of(connected["id"].as_str().expect("an account"))
}

/// The id of the challenge that an answer holds.
#[track_caller]
pub fn challenge(answer: &Value) -> String {
    assert_eq!(answer["action"], "OTP_REQUEST", "{answer}");
    answer["otpChallengeId"].as_str().unwrap().to_owned()
}

/// The connection of a page that asks for a code.
pub struct Page(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Page {
    pub async fn open(host: &HostUnderTest, challenge: &str) -> Self {
        let address = format!(
            "ws://127.0.0.1:{}/api/auth/otp/{challenge}?rolloutUserAgent=@rollout/link-react@0.14.0",
            host.port()
        );
        let (socket, _) = connect_async(address).await.expect("the connection opens");
        Self(socket)
    }

    /// Sends a code.
    pub async fn enter(&mut self, code: &str) {
        let frame = json!({"event": "ENTER_OTP", "otp": code});
        self.say(&frame.to_string()).await;
    }

    pub async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    /// The next frame that is text.
    pub async fn hear(&mut self) -> Value {
        let heard = async {
            loop {
                let frame = self.0.next().await.expect("the connection is open");
                if let Message::Text(text) = frame.unwrap() {
                    return serde_json::from_str(&text).unwrap();
                }
            }
        };
        within(PATIENCE, "a frame", heard).await
    }

    /// What became of the last code: nothing, or the words of a refusal.
    pub async fn result(&mut self) -> Result<(), String> {
        let result = self.hear().await;
        assert_eq!(result["event"], "OTP_RESULT", "{result}");
        if result["ok"] == true {
            return Ok(());
        }
        Err(result["errors"][0]["message"].as_str().unwrap().to_owned())
    }

    /// The id of the account that was connected, or the words of a refusal.
    pub async fn credential(&mut self) -> Result<String, String> {
        let told = self.hear().await;
        assert_eq!(told["event"], "CREDENTIAL", "{told}");
        if told["ok"] == true {
            return Ok(told["credential"]["id"].as_str().unwrap().to_owned());
        }
        Err(told["errors"][0]["message"].as_str().unwrap().to_owned())
    }
}
