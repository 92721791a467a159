//! A host that answers every request at once with one prepared body.

use async_trait::async_trait;
use rollout_sandbox::{Host, http};

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
}
