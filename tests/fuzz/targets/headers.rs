//! A guest's headers: what is let through is well formed, and none of the host's own.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rollout_egress::{MAX_HEADERS, fuzzing, may_be_set};

fuzz_target!(|headers: Vec<(String, String)>| {
    if let Some(passed) = fuzzing::outgoing(&headers) {
        assert!(passed.len() <= MAX_HEADERS);
        for (name, value) in &passed {
            assert!(may_be_set(name.as_str()), "{name}");
            assert!(
                !value
                    .as_bytes()
                    .iter()
                    .any(|byte| matches!(byte, b'\r' | b'\n' | 0))
            );
        }
    }
});
