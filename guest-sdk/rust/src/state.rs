//! Small values that the connector keeps per credential, at most 64 KiB each
//! and 64 of them. Not for records, and not for cursors, which the host keeps.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend;
use crate::error::Error;

/// A stored value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<T> {
    /// The value.
    pub value: T,
    /// Grows with every change of the key.
    pub version: u64,
}

/// Why a value was not stored or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateError {
    /// Somebody else changed it; the version that is there now (0: none).
    Changed(u64),
    /// The value or the number of keys is beyond the limit.
    TooLarge(String),
    /// The host's store did not answer; try again later.
    Unavailable(String),
    /// The value is not what the connector expected.
    Unreadable(String),
}

impl From<StateError> for Error {
    fn from(error: StateError) -> Self {
        match error {
            StateError::Changed(version) => {
                Self::Conflict(format!("the state changed meanwhile, to version {version}"))
            }
            StateError::TooLarge(why) => Self::Internal(format!("state: {why}")),
            StateError::Unavailable(why) => Self::unexpected(format!("state: {why}")),
            StateError::Unreadable(why) => Self::Internal(format!("state: {why}")),
        }
    }
}

/// Reads a value.
pub fn get<T: DeserializeOwned>(key: &str) -> Result<Option<Entry<T>>, StateError> {
    let Some(Entry { value, version }) = backend::state_get(key)? else {
        return Ok(None);
    };
    match serde_json::from_str(&value) {
        Ok(value) => Ok(Some(Entry { value, version })),
        Err(error) => Err(StateError::Unreadable(error.to_string())),
    }
}

/// Stores a value if the present version is `expected` (0: the key is absent;
/// none: whatever is there). Answers with the new version.
pub fn set(key: &str, value: &impl Serialize, expected: Option<u64>) -> Result<u64, StateError> {
    let value =
        serde_json::to_string(value).map_err(|error| StateError::Unreadable(error.to_string()))?;
    backend::state_set(key, &value, expected)
}

/// Deletes a value, under the same condition.
pub fn delete(key: &str, expected: Option<u64>) -> Result<(), StateError> {
    backend::state_delete(key, expected)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeApp;

    #[test]
    fn versions_guard_changes() {
        let _app = FakeApp::new().start();
        assert_eq!(get::<u8>("k"), Ok(None));
        assert_eq!(set("k", &1, Some(0)), Ok(1));
        assert_eq!(set("k", &2, Some(0)), Err(StateError::Changed(1)));
        assert_eq!(set("k", &2, None), Ok(2));
        assert_eq!(
            get("k"),
            Ok(Some(Entry {
                value: 2,
                version: 2
            }))
        );
        assert!(matches!(get::<String>("k"), Err(StateError::Unreadable(_))));
        assert_eq!(delete("k", Some(1)), Err(StateError::Changed(2)));
        assert_eq!(delete("k", Some(2)), Ok(()));
        assert_eq!(get::<u8>("k"), Ok(None));
    }
}
