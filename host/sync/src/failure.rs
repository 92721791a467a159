//! What a failed call of a pass means for the passes to come.

use std::time::Duration;

use rollout_sandbox::{CallError, Error};
use rollout_store::StoreError;
use rollout_vault::VaultError;

/// Why a pass ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PassError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error("the connector's page breaks the contract: {0}")]
    Contract(String),
    #[error("{0}")]
    Unclear(&'static str),
    #[error("the process is shutting down")]
    Stopped,
    #[error("the credential's syncs are paused")]
    Paused,
}

/// What follows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Consequence {
    /// Somebody wants nothing read.
    Paused,
    /// The app refuses the credential.
    Broken(String),
    /// The account may not read this entity.
    Unavailable(String),
    /// Go on after this long; no failure. The text says why.
    Park(Duration, String),
    /// A failure: try again later and later.
    Retry(String),
    /// Nothing to be done: the credential or the sync is gone, or paused.
    Gone,
    /// Leave everything as it is.
    Nothing,
}

impl PassError {
    pub(crate) fn consequence(&self) -> Consequence {
        match self {
            Self::Call(CallError::Connector(error)) => match error {
                Error::Unauthorized(said) => Consequence::Broken(said.clone()),
                Error::Forbidden(said) | Error::Unsupported(said) => {
                    Consequence::Unavailable(said.clone())
                }
                Error::RateLimited(limit) => {
                    let wait = limit.retry_after_ms.unwrap_or(10_000);
                    Consequence::Park(
                        Duration::from_millis(wait.clamp(100, 3_600_000)),
                        format!("the app asks for patience: {}", limit.message),
                    )
                }
                Error::Halted(said) => Consequence::Park(Duration::from_secs(60), said.clone()),
                _ => Consequence::Retry(self.to_string()),
            },
            Self::Call(CallError::Busy(_)) => {
                Consequence::Park(Duration::from_secs(1), self.to_string())
            }
            Self::Store(StoreError::NotFound(_)) => Consequence::Gone,
            Self::Paused => Consequence::Paused,
            Self::Stopped | Self::Store(StoreError::LeaseLost) => Consequence::Nothing,
            Self::Call(_)
            | Self::Store(_)
            | Self::Vault(_)
            | Self::Contract(_)
            | Self::Unclear(_) => Consequence::Retry(self.to_string()),
        }
    }
}
