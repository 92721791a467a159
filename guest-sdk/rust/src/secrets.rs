//! Secrets in clear, for apps that want a computation on a secret which the host
//! does not offer. Behind the feature `secrets`.
//!
//! A host refuses a component that uses it unless its operator granted it, so
//! look first whether a placement ([`Request::secret`](crate::Request::secret))
//! or a code ([`credential::mac`](crate::credential::mac)) does.

use crate::backend;
use crate::error::Error;

/// The value of a slot of the credential or of the environment's settings.
///
/// # Errors
/// [`Error::Forbidden`] with the reason: no such slot, no value, or not granted.
pub fn reveal(slot: &str) -> Result<String, Error> {
    backend::reveal(slot).map_err(Error::Forbidden)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeApp;

    #[test]
    fn only_what_the_test_granted_is_revealed() {
        let _app = FakeApp::new().secret("password", "hunter2").start();
        assert_eq!(reveal("password"), Ok("hunter2".into()));
        assert!(matches!(reveal("token"), Err(Error::Forbidden(_))));
    }
}
