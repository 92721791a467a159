//! Files that are offered as connectors: each is refused in words, within the limits.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use rollout_sandbox::{Component, Limits, Sandbox};
use tokio::runtime::Runtime;

static HERE: LazyLock<(Runtime, Sandbox)> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let limits = Limits {
        calls: 4,
        cpu: Duration::from_millis(200),
        wall: Duration::from_millis(500),
        memory: 8 * 1024 * 1024,
        component_bytes: 64 * 1024,
        ..Limits::default()
    };
    (runtime.unwrap(), Sandbox::new(limits).unwrap())
});

fuzz_target!(|bytes: &[u8]| {
    let (runtime, sandbox) = &*HERE;
    if let Err(error) = runtime.block_on(Component::load(sandbox, bytes.to_vec())) {
        assert!(!error.to_string().is_empty());
    }
});
