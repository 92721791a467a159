//! What is outside of a guest's sandbox here.

use std::sync::Mutex;

use rollout_sandbox::{Host, LogLevel, Scope, http, state};

/// A host that answers at once, but for `state.get`: that never does.
#[derive(Default)]
pub(crate) struct Outside {
    log: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    lines: usize,
    last: String,
}

impl Outside {
    /// How many lines were logged, and the last of them.
    pub(crate) fn logged(&self) -> (usize, String) {
        let log = self.log.lock().unwrap();
        (log.lines, log.last.clone())
    }
}

#[async_trait::async_trait]
impl Host for Outside {
    async fn send(&self, _: http::Request) -> Result<http::Response, http::Failure> {
        Err(http::Failure::Denied("there is no network here".into()))
    }

    fn field(&self, _: Scope, _: &str) -> Option<String> {
        Some("a value".to_owned())
    }

    async fn state_get(&self, _: String) -> Result<Option<state::Entry>, state::StateError> {
        std::future::pending().await
    }

    async fn state_set(
        &self,
        _: String,
        _: String,
        _: Option<u64>,
    ) -> Result<u64, state::StateError> {
        Ok(1)
    }

    async fn state_delete(&self, _: String, _: Option<u64>) -> Result<(), state::StateError> {
        Ok(())
    }

    fn log(&self, _: LogLevel, message: &str) {
        let mut log = self.log.lock().unwrap();
        log.lines += 1;
        message.clone_into(&mut log.last);
    }
}
