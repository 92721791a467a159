//! Guests with an HTTP library of their own: what of it reaches the host, and what
//! comes back. The one guest is the example in JavaScript; the others are WebAssembly
//! text, for what no library would do.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::{Arc, Mutex};

use rollout_sandbox::{
    CallError, Caller, Component, Error, Header, Host, Limits, LogLevel, ReadScope, Sandbox, http,
};
use tokio::sync::OnceCell;
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

const JS_HELLO: &str = "../../example-connectors/js-hello";

type Answer = Result<http::Response, http::Failure>;

/// An outside that gives one answer after the other and remembers what it was asked.
#[derive(Default)]
struct Outside {
    answers: Mutex<Vec<Answer>>,
    asked: Mutex<Vec<http::Request>>,
    lines: Mutex<Vec<String>>,
}

#[async_trait::async_trait]
impl Host for Outside {
    async fn send(&self, request: http::Request) -> Answer {
        self.asked.lock().unwrap().push(request);
        // As an exchange does, it lets others run in between.
        tokio::task::yield_now().await;
        self.answers.lock().unwrap().remove(0)
    }
    fn placements(&self, url: &str) -> Vec<http::Placement> {
        let bound = url.starts_with("https://api.followupboss.com/");
        bound.then(key).into_iter().collect()
    }
    fn log(&self, _: LogLevel, message: &str) {
        self.lines.lock().unwrap().push(message.to_owned());
    }
}

fn key() -> http::Placement {
    http::Placement {
        slot: "apiKey".into(),
        prefix: String::new(),
        place: http::Place::BasicUser,
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = headers.iter().map(|(name, value)| Header {
        name: (*name).into(),
        value: (*value).into(),
    });
    Ok(http::Response {
        status,
        headers: headers.collect(),
        body: body.to_vec(),
        extra: None,
    })
}

/// The sandbox and a guest in it.
struct Stage {
    sandbox: Sandbox,
    component: Component,
}

impl Stage {
    async fn of(bytes: Vec<u8>) -> Self {
        let sandbox = Sandbox::new(Limits::default()).unwrap();
        let component = Component::load(&sandbox, bytes).await.expect("loads");
        Self { sandbox, component }
    }

    /// The one with the guest in JavaScript, which takes its time to compile.
    async fn js() -> &'static Self {
        static JS: OnceCell<Stage> = OnceCell::const_new();
        let file = format!("{JS_HELLO}/js-hello.wasm");
        JS.get_or_init(|| async { Self::of(std::fs::read(file).unwrap()).await })
            .await
    }

    fn outside(&self, answers: impl IntoIterator<Item = Answer>) -> Arc<Outside> {
        Arc::new(Outside {
            answers: Mutex::new(answers.into_iter().collect()),
            ..Outside::default()
        })
    }

    fn caller(&self, outside: &Arc<Outside>) -> Caller<'_> {
        Caller::new(&self.sandbox, &self.component, outside.clone())
    }
}

#[tokio::test]
async fn a_request_is_the_contracts_with_the_bound_placements() {
    let stage = Stage::js().await;
    let identity = r#"{"account":{"id":7,"name":"Sunrise ☀ Realty"},"user":{"id":2,"name":"Ada"}}"#;
    let outside = stage.outside([answer(200, &[("date", "x")], identity.as_bytes())]);
    let account = stage.caller(&outside).probe().await.unwrap();
    assert_eq!(account.label, "Ada (Sunrise ☀ Realty)");
    assert_eq!(account.external_id, "7:2");
    let asked = outside.asked.lock().unwrap();
    let [request] = asked.as_slice() else {
        panic!("{asked:?}")
    };
    assert_eq!(request.method, "GET");
    assert_eq!(request.url, "https://api.followupboss.com/v1/identity");
    assert_eq!(request.secrets, [key()]);
    assert!(!request.authenticate && request.capture.is_empty());
    assert_eq!((&request.body, request.max_bytes), (&None, None));
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|header| (header.name.as_str(), header.value.as_str()))
        .collect();
    assert_eq!(headers, [("accept", "application/json")]);
}

#[tokio::test]
async fn a_page_of_any_size_comes_back_whole() {
    let stage = Stage::js().await;
    let name = "Łucja".repeat(2000);
    let people: Vec<String> = (1..=100)
        .map(|id| format!(r#"{{"id":{id},"name":"{name}","stage":"Lead"}}"#))
        .collect();
    let body = format!(
        r#"{{"_metadata":{{"total":250}},"people":[{}]}}"#,
        people.join(",")
    );
    assert!(body.len() > 1 << 20);
    let date = ("date", "Sat, 21 Nov 2026 10:00:00 GMT");
    let outside = stage.outside([answer(200, &[date], body.as_bytes())]);
    let caller = stage.caller(&outside);
    let page = caller.changes("people", &ReadScope::Incremental, None, 100);
    let page = page.await.unwrap();
    assert_eq!(
        (page.items.len(), page.done, page.total),
        (100, false, Some(250))
    );
    for (item, id) in page.items.iter().zip(1..) {
        assert_eq!(item.id, id.to_string());
        let body: serde_json::Value = serde_json::from_str(&item.body).unwrap();
        assert_eq!(body["name"], name.as_str());
    }
    let cursor: serde_json::Value = serde_json::from_str(&page.next.unwrap()).unwrap();
    assert_eq!(cursor["id"], 100);
    assert_eq!(cursor["began"], "2026-11-21T09:57:00Z");
}

#[tokio::test]
async fn a_redirect_elsewhere_takes_no_secret_along() {
    let stage = Stage::js().await;
    let outside = stage.outside([
        answer(
            302,
            &[("location", "https://elsewhere.example.com/x?y=1")],
            b"",
        ),
        Err(http::Failure::Denied(
            "host `elsewhere.example.com` is not in the manifest".into(),
        )),
    ]);
    let refused = stage.caller(&outside).probe().await;
    let Err(CallError::Connector(Error::Internal(text))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(
        text,
        "https://elsewhere.example.com/x?y=1: HTTP-request-denied"
    );
    let asked = outside.asked.lock().unwrap();
    assert_eq!(asked[1].url, "https://elsewhere.example.com/x?y=1");
    assert_eq!(
        (&asked[0].secrets, &asked[1].secrets),
        (&vec![key()], &vec![])
    );
    let said = "a request by wasi:http failed: host `elsewhere.example.com` is not in the manifest";
    assert_eq!(*outside.lines.lock().unwrap(), [said]);
}

#[tokio::test]
async fn failures_are_codes_of_wasi_and_reasons_in_the_log() {
    use http::Failure::{Budget, Connection, Denied, Timeout, TooLarge};
    let stage = Stage::js().await;
    let cases = [
        (Denied("why".into()), "HTTP-request-denied", "why"),
        (
            Timeout,
            "HTTP-response-timeout",
            "the app did not answer in time",
        ),
        (
            Connection("cut off".into()),
            "connection-terminated",
            "cut off",
        ),
        (
            TooLarge(9),
            "HTTP-response-body-size",
            "the app's answer is larger than 9 bytes",
        ),
        (
            Budget(None),
            "connection-limit-reached",
            "the call's budget of requests is used up",
        ),
    ];
    for (failure, code, reason) in cases {
        let denied = matches!(failure, Denied(_));
        let outside = stage.outside([Err(failure)]);
        let refused = stage.caller(&outside).probe().await;
        let text = match refused {
            Err(CallError::Connector(Error::Internal(text))) if denied => text,
            Err(CallError::Connector(Error::Upstream(upstream))) if !denied => {
                assert!(upstream.retryable && upstream.status.is_none());
                upstream.message
            }
            other => panic!("{code}: {other:?}"),
        };
        assert_eq!(
            text,
            format!("https://api.followupboss.com/v1/identity: {code}")
        );
        let said = format!("a request by wasi:http failed: {reason}");
        assert_eq!(*outside.lines.lock().unwrap(), [said]);
    }
}

/// A guest whose `probe` calls the part of wasi:http that it imports, and traps unless
/// each of its steps is answered as it says.
fn text_guest(body: &str) -> Vec<u8> {
    let core = format!(
        r#"(module
          (import "wasi:http/types@0.2.0" "[static]fields.from-list" (func $fields (param i32 i32 i32)))
          (import "wasi:http/types@0.2.0" "[constructor]outgoing-request" (func $request (param i32) (result i32)))
          (import "wasi:http/types@0.2.0" "[method]outgoing-request.body" (func $body (param i32 i32)))
          (import "wasi:http/types@0.2.0" "[method]outgoing-body.write" (func $write (param i32 i32)))
          (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-method" (func $method (param i32 i32 i32 i32) (result i32)))
          (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-path-with-query" (func $path (param i32 i32 i32 i32) (result i32)))
          (import "wasi:http/types@0.2.0" "[method]outgoing-request.set-authority" (func $authority (param i32 i32 i32 i32) (result i32)))
          (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush" (func $flush (param i32 i32 i32 i32)))
          (import "wasi:http/outgoing-handler@0.2.0" "handle" (func $handle (param i32 i32 i32 i32)))
          (memory (export "memory") 4)
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 8192))
          (data (i32.const 512) "{{}}me")
          (data (i32.const 700) "a.example.com/")
          (data (i32.const 600) "\00\02\00\00\02\00\00\00")
          (data (i32.const 1024) "\00\00\00\00\00\00\00\00\02\02\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\02\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
          (func (export "rollout:connector/manifest@0.1.0#describe") (result i32) (i32.const 600))
          (func $must (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))
          ;; GET https://a.example.com/; 64 KiB of the letter `A` lie at 65536.
          (func $new (result i32) (local $new i32)
            (memory.fill (i32.const 65536) (i32.const 65) (i32.const 65536))
            (call $fields (i32.const 0) (i32.const 0) (i32.const 2048))
            (local.set $new (call $request (i32.load (i32.const 2052))))
            (call $must (i32.eqz (call $authority (local.get $new) (i32.const 1) (i32.const 700) (i32.const 13))))
            (call $must (i32.eqz (call $path (local.get $new) (i32.const 1) (i32.const 713) (i32.const 1))))
            (local.get $new))
          (func $send (param i32)
            (call $handle (local.get 0) (i32.const 0) (i32.const 0) (i32.const 4096))
            (call $must (i32.eqz (i32.load8_u (i32.const 4096)))))
          (func (export "rollout:connector/auth@0.1.0#probe") (result i32)
            (local $one i32) (local $two i32) (local $count i32)
            {body}
            (i32.const 1024)))"#
    );
    let world = r"
        package test:guest;
        world guest {
            import wasi:http/types@0.2.0;
            import wasi:http/outgoing-handler@0.2.0;
            export rollout:connector/manifest@0.1.0;
            export rollout:connector/auth@0.1.0;
        }";
    let mut resolve = Resolve::default();
    for package in ["wit/deps/io", "wit/deps/http", "../../wit/connector"] {
        resolve.push_dir(format!("{JS_HELLO}/{package}")).unwrap();
    }
    let package = resolve.push_str("guest.wit", world).unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

#[tokio::test]
async fn a_request_has_no_parts_of_any_length() {
    // What fits is taken (0), what is longer refused (1), whoever would implement it.
    let body = r"
        (local.set $one (call $new))
        (call $must (i32.eqz (call $method (local.get $one) (i32.const 9) (i32.const 65536) (i32.const 32))))
        (call $must (call $method (local.get $one) (i32.const 9) (i32.const 65536) (i32.const 33)))
        (call $must (i32.eqz (call $authority (local.get $one) (i32.const 1) (i32.const 65536) (i32.const 1024))))
        (call $must (call $authority (local.get $one) (i32.const 1) (i32.const 65536) (i32.const 1025)))
        (i32.store8 (i32.const 65536) (i32.const 47))
        (call $must (i32.eqz (call $path (local.get $one) (i32.const 1) (i32.const 65536) (i32.const 16384))))
        (call $must (call $path (local.get $one) (i32.const 1) (i32.const 65536) (i32.const 16385)))";
    let stage = Stage::of(text_guest(body)).await;
    let outside = stage.outside([]);
    let account = stage.caller(&outside).probe().await.unwrap();
    assert_eq!(account.label, "me");
}

#[tokio::test]
async fn requests_without_end_run_out_of_handles() {
    let stage = Stage::of(text_guest("(loop $on (drop (call $new)) (br $on))")).await;
    let outside = stage.outside([]);
    let ended = stage.caller(&outside).probe().await;
    assert!(matches!(&ended, Err(CallError::Trap(_))), "{ended:?}");
}

#[tokio::test]
async fn bodies_without_end_are_refused_before_they_fill_the_host() {
    // 4 KiB at a time, until the stream says that nobody reads any more; that comes
    // after what the host holds for a call at most.
    let body = r"
        (local.set $one (call $new))
        (call $body (local.get $one) (i32.const 2048))
        (call $write (i32.load (i32.const 2052)) (i32.const 2064))
        (local.set $two (i32.load (i32.const 2068)))
        (call $send (local.get $one))
        (loop $on
          (call $flush (local.get $two) (i32.const 65536) (i32.const 4096) (i32.const 2080))
          (local.set $count (i32.add (local.get $count) (i32.const 4096)))
          (call $must (i32.lt_u (local.get $count) (i32.const 18000000)))
          (br_if $on (i32.eqz (i32.load8_u (i32.const 2080)))))
        (call $must (i32.gt_u (local.get $count) (i32.const 16000000)))";
    let stage = Stage::of(text_guest(body)).await;
    let outside = stage.outside([]);
    let account = stage.caller(&outside).probe().await.unwrap();
    assert_eq!(account.label, "me");
    assert!(outside.asked.lock().unwrap().is_empty());
    let said = "a request by wasi:http failed: the bodies of its requests together are larger than 16777216 bytes";
    assert_eq!(*outside.lines.lock().unwrap(), [said]);
}

#[tokio::test]
async fn what_is_not_waited_for_ends_with_the_call() {
    // The answer's future is left alone.
    let stage = Stage::of(text_guest("(call $send (call $new))")).await;
    let outside = stage.outside([]);
    let account = stage.caller(&outside).probe().await.unwrap();
    assert_eq!(account.label, "me");
    // Nothing runs on: the outside is ours alone again.
    assert!(
        Arc::into_inner(outside)
            .unwrap()
            .asked
            .into_inner()
            .unwrap()
            .is_empty()
    );
}
