//! Guests of a few lines of WebAssembly text, turned into components of the contract, and
//! what must happen to each. Those that misbehave are in `corpus`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;
use std::time::Duration;

use rollout_sandbox::{
    CallError, Caller, Component, Error, Exhausted, Host, Limits, LoadError, Sandbox, http,
};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// A world with the interfaces that every connector has.
const WORLD: &str = r"
package test:guest;
world guest {
    import rollout:connector/types@0.1.0;
    import rollout:connector/http@0.1.0;
    import rollout:connector/credential@0.1.0;
    import rollout:connector/state@0.1.0;
    import rollout:connector/log@0.1.0;
    export rollout:connector/manifest@0.1.0;
    export rollout:connector/auth@0.1.0;
}
world files {
    import rollout:connector/types@0.1.0;
    import secret-files;
    export rollout:connector/manifest@0.1.0;
    export rollout:connector/auth@0.1.0;
}
world half {
    export rollout:connector/manifest@0.1.0;
}
interface secret-files {
    open: func(path: string) -> u32;
}
";

fn component(world: &str, core: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    resolve.push_dir("../../wit/connector").unwrap();
    let package = resolve.push_str("guest.wit", WORLD).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    let mut module = wat::parse_str(core).unwrap();
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .encode()
        .unwrap()
}

/// A guest whose manifest is `{}` and whose `probe` runs `body`, which leaves the
/// address of its answer. At 1024 lies the answer "ok, label `me`".
fn probing(body: &str) -> Vec<u8> {
    let core = format!(
        r#"(module
          (memory (export "memory") 1)
          (global $top (mut i32) (i32.const 4096))
          (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
            (global.set $top (i32.add (local.get $at) (local.get 3)))
            (local.get $at))
          (data (i32.const 512) "{{}}me\ff\fe")
          (data (i32.const 600) "\00\02\00\00\02\00\00\00")
          (data (i32.const 1024) "\00\00\00\00\00\00\00\00\02\02\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00\02\02\00\00\02\00\00\00\00\00\00\00\00\00\00\00\00\00\00\00")
          (func (export "rollout:connector/manifest@0.1.0#describe") (result i32) (i32.const 600))
          (func (export "rollout:connector/auth@0.1.0#probe") (result i32)
            {body}))"#
    );
    component("guest", &core)
}

/// Nothing but the sandbox.
struct Outside;

#[async_trait::async_trait]
impl Host for Outside {
    async fn send(&self, _: http::Request) -> Result<http::Response, http::Failure> {
        Err(http::Failure::Denied("no network in this test".into()))
    }
}

fn small() -> Limits {
    Limits {
        calls: 8,
        memory: 8 << 20,
        // Far apart: on a busy machine a loop gets little CPU in much time.
        cpu: Duration::from_millis(100),
        wall: Duration::from_secs(4),
        ..Limits::default()
    }
}

async fn probe(bytes: Vec<u8>) -> Result<String, CallError> {
    let sandbox = Sandbox::new(small()).unwrap();
    let component = Component::load(&sandbox, bytes).await.expect("loads");
    let host = Arc::new(Outside);
    let account = Caller::new(&sandbox, &component, host).probe().await?;
    Ok(account.label)
}

#[tokio::test]
async fn a_good_guest_answers() {
    assert_eq!(probe(probing("(i32.const 1024)")).await.unwrap(), "me");
}

#[tokio::test]
async fn errors_of_the_contract_arrive_as_they_are() {
    // result: err(1), error case 1 (unauthorized), string at 512 of length 4.
    let body = r"
        (i32.store8 (i32.const 2048) (i32.const 1))
        (i32.store8 (i32.const 2056) (i32.const 1))
        (i32.store (i32.const 2064) (i32.const 512))
        (i32.store (i32.const 2068) (i32.const 4))
        (i32.const 2048)";
    match probe(probing(body)).await {
        Err(CallError::Connector(Error::Unauthorized(text))) => assert_eq!(text, "{}me"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nothing_survives_from_one_call_to_the_next() {
    let sandbox = Sandbox::new(small()).unwrap();
    // Crashes if the memory it writes to is not zero when it begins.
    let body = "(if (i32.load (i32.const 60000)) (then (unreachable)))
        (i32.store (i32.const 60000) (i32.const 1)) (i32.const 1024)";
    let component = Component::load(&sandbox, probing(body)).await.unwrap();
    for _ in 0..50 {
        let host = Arc::new(Outside);
        Caller::new(&sandbox, &component, host)
            .probe()
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_queue_for_slots_and_a_bad_neighbour_does_not_starve_a_good_one() {
    let sandbox = Arc::new(
        Sandbox::new(Limits {
            wall: Duration::from_secs(20),
            ..small()
        })
        .unwrap(),
    );
    let good = Component::load(&sandbox, probing("(i32.const 1024)")).await;
    let good = Arc::new(good.unwrap());
    let bad = Component::load(&sandbox, probing("(loop $on (br $on)) (unreachable)")).await;
    let bad = Arc::new(bad.unwrap());
    let call = |component: &Arc<Component>| {
        let (sandbox, component) = (sandbox.clone(), component.clone());
        tokio::spawn(async move {
            let host = Arc::new(Outside);
            Caller::new(&sandbox, &component, host)
                .probe()
                .await
                .map(drop)
        })
    };
    let loops: Vec<_> = (0..6).map(|_| call(&bad)).collect();
    let calls: Vec<_> = (0..300).map(|_| call(&good)).collect();
    for call in calls {
        call.await.unwrap().expect("a good call");
    }
    for call in loops {
        let result = call.await.unwrap();
        assert!(
            matches!(result, Err(CallError::Limit(Exhausted::Cpu(_)))),
            "{result:?}"
        );
    }
}

async fn refused(bytes: Vec<u8>) -> String {
    let sandbox = Sandbox::new(small()).unwrap();
    match Component::load(&sandbox, bytes).await {
        Ok(_) => panic!("loaded"),
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n'), "{line}");
            line
        }
    }
}

#[tokio::test]
async fn what_a_connector_lacks_or_may_not_import_is_named() {
    let half = component(
        "half",
        r#"(module (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
             (func (export "rollout:connector/manifest@0.1.0#describe") (result i32) (i32.const 600)))"#,
    );
    let files = component(
        "files",
        r#"(module
             (import "test:guest/secret-files" "open" (func $open (param i32 i32) (result i32)))
             (memory (export "memory") 1)
             (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
             (func (export "rollout:connector/manifest@0.1.0#describe") (result i32) (i32.const 600))
             (func (export "rollout:connector/auth@0.1.0#probe") (result i32)
               (drop (call $open (i32.const 0) (i32.const 0))) (i32.const 1024)))"#,
    );
    for (bytes, says) in [
        (half, "does not export `rollout:connector/auth@0.1.0`"),
        (files, "imports `test:guest/secret-files`"),
    ] {
        let line = refused(bytes).await;
        assert!(line.contains(says), "{line}");
    }
}

#[tokio::test]
async fn bit_flips_never_panic() {
    let good = probing("(i32.const 1024)");
    let sandbox = Sandbox::new(small()).unwrap();
    for position in (8..good.len()).step_by(37) {
        let mut bytes = good.clone();
        bytes[position] ^= 1 << (position % 8);
        if let Err(LoadError::Interrupted(reason)) = Component::load(&sandbox, bytes).await {
            panic!("at {position}: {reason}");
        }
    }
}
