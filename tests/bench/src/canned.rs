//! A host that answers every request at once with one prepared body.

use async_trait::async_trait;
use rollout_sandbox::{Host, LogLevel, MacAlgorithm, Scope, SlotError, http, state};

/// Answers with the body it holds.
pub(crate) struct Canned(pub(crate) Vec<u8>);

#[async_trait]
impl Host for Canned {
    async fn send(&self, _: http::Request) -> Result<http::Response, http::Failure> {
        Ok(http::Response {
            status: 200,
            headers: Vec::new(),
            body: self.0.clone(),
            extra: None,
        })
    }

    fn field(&self, _: Scope, _: &str) -> Option<String> {
        None
    }

    fn mac(&self, _: Scope, slot: &str, _: MacAlgorithm, _: &[u8]) -> Result<Vec<u8>, SlotError> {
        Err(SlotError::Empty(slot.to_owned()))
    }

    fn verify_mac(
        &self,
        _: Scope,
        slot: &str,
        _: MacAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Result<bool, SlotError> {
        Err(SlotError::Empty(slot.to_owned()))
    }

    async fn state_get(&self, _: String) -> Result<Option<state::Entry>, state::StateError> {
        Ok(None)
    }

    async fn state_set(
        &self,
        _: String,
        _: String,
        _: Option<u64>,
    ) -> Result<u64, state::StateError> {
        Err(unavailable())
    }

    async fn state_delete(&self, _: String, _: Option<u64>) -> Result<(), state::StateError> {
        Err(unavailable())
    }

    fn log(&self, _: LogLevel, _: &str) {}
}

fn unavailable() -> state::StateError {
    state::StateError::Unavailable("nothing is stored here".to_owned())
}
