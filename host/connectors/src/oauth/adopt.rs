//! New tokens for those of an account that is taken over and not stored yet.

use rollout_catalog::manifest::OAuth2;
use rollout_store::now;

use super::endpoint::TokenError;
use crate::ConnectError;
use crate::attempt::Attempt;
use crate::inputs::Inputs;

impl Attempt<'_> {
    /// Replaces the tokens among the inputs with those that the app gives for the refresh
    /// token. Answers until when the access token is good, in milliseconds since 1970.
    pub(crate) async fn renew_entered(
        &self,
        oauth: &OAuth2,
        inputs: &mut Inputs,
    ) -> Result<Option<i64>, ConnectError> {
        let refresh = oauth.captures.refresh_token.as_ref();
        let token = refresh.and_then(|token| inputs.secrets.get(&token.slot));
        let ended = || ConnectError::Refused("the access token has ended".to_owned());
        let token = token.cloned().ok_or_else(ended)?;
        let endpoint = self.token_endpoint(oauth, inputs);
        let granted = endpoint.refresh(token.into()).await.map_err(in_words)?;
        inputs.fields.extend(granted.fields);
        inputs.secrets.extend(granted.secrets);
        let life = granted.life.map(rollout_store::millis);
        Ok(life.map(|life| now().saturating_add(life)))
    }
}

/// A refusal is said to the person who entered what is refused.
pub(crate) fn in_words(error: TokenError) -> ConnectError {
    match error {
        TokenError::Refused { .. } => ConnectError::Refused(error.to_string()),
        error => ConnectError::Token(error),
    }
}
