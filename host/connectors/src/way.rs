//! The way of one call's requests to the app, with tokens that are good.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use rollout_egress::{Egress, Failure, Grant, Request, Response};

use crate::environment::Live;
use crate::oauth::{NotRenewed, Renewal, ends_soon};

/// What the app says when it does not accept a token.
const UNAUTHORIZED: u16 = 401;

/// Sends a call's requests.
pub(crate) struct Way {
    egress: Arc<Egress>,
    grant: Grant,
    renewal: Option<Renewal>,
    /// Which tokens the grant uses; 0: those that it was made with have no number.
    number: AtomicI64,
    /// Why the app gives out no more tokens.
    refused: OnceLock<String>,
}

impl Way {
    /// The way of a grant. With a renewal its tokens are replaced when they end; `live` is
    /// what the grant was made from.
    pub(crate) fn new(
        egress: Arc<Egress>,
        grant: Grant,
        renewal: Option<(Renewal, &Live)>,
    ) -> Self {
        let tokens = renewal.as_ref().and_then(|(_, live)| live.tokens.as_ref());
        let number = tokens.map_or(0, |tokens| tokens.number);
        Self {
            egress,
            grant,
            renewal: renewal.map(|(renewal, _)| renewal).filter(|_| number > 0),
            number: AtomicI64::new(number),
            refused: OnceLock::new(),
        }
    }

    /// What the call may do.
    pub(crate) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Why the app gives out no more tokens, if that came up.
    pub(crate) fn refused(&self) -> Option<&str> {
        self.refused.get().map(String::as_str)
    }

    /// Sends a request. One that carries an access token carries one that is good: it is
    /// replaced before it ends, and once after the app refused it. Then that one request
    /// is sent again, which the app did not accept before.
    pub(crate) async fn send(&self, request: Request) -> Result<Response, Failure> {
        let Some(renewal) = &self.renewal else {
            return self.egress.send(&self.grant, request).await;
        };
        let Some(live) = renewal.live() else {
            return self.egress.send(&self.grant, request).await;
        };
        if !self.carries(&request, &renewal.slots(&live)) {
            return self.egress.send(&self.grant, request).await;
        }
        let used = self.good(renewal, &live).await?;
        let again = request.clone();
        let response = self.egress.send(&self.grant, request).await?;
        if response.status != UNAUTHORIZED {
            return Ok(response);
        }
        // Others would be refused, too: it is not for their age.
        let useless = &live.renewing.useless;
        if useless.load(Ordering::Relaxed) == used {
            return Ok(response);
        }
        match renewal.beyond(used, true).await {
            Ok(live) => {
                let number = self.take_up(renewal, &live)?;
                let response = self.egress.send(&self.grant, again).await?;
                if response.status == UNAUTHORIZED {
                    useless.store(number, Ordering::Relaxed);
                }
                Ok(response)
            }
            Err(NotRenewed::Refused(reason)) => {
                let _ = self.refused.set(reason);
                Ok(response)
            }
            Err(NotRenewed::Later(failure)) => Err(failure),
        }
    }

    /// Has the grant use tokens that don't end now. Answers their number.
    async fn good(&self, renewal: &Renewal, live: &Arc<Live>) -> Result<i64, Failure> {
        let Some(tokens) = &live.tokens else {
            return Ok(0);
        };
        let live = if ends_soon(tokens) {
            match renewal.beyond(tokens.number, false).await {
                Ok(live) => live,
                Err(NotRenewed::Refused(reason)) => {
                    let text = reason.clone();
                    let _ = self.refused.set(reason);
                    return Err(Failure::Denied(text));
                }
                Err(NotRenewed::Later(failure)) => return Err(failure),
            }
        } else {
            live.clone()
        };
        self.take_up(renewal, &live)
    }

    fn take_up(&self, renewal: &Renewal, live: &Live) -> Result<i64, Failure> {
        let number = live.tokens.as_ref().map_or(0, |tokens| tokens.number);
        // Numbers grow: whoever looked earlier does not bring old ones back.
        if self.number.load(Ordering::Acquire) < number {
            let account = renewal.environment.account(&renewal.connector, live);
            let account = account.map_err(|error| Failure::Denied(error.to_string()))?;
            self.grant.renew(account.access);
            self.number.store(number, Ordering::Release);
        }
        Ok(number)
    }

    /// Whether a request places one of these slots.
    fn carries(&self, request: &Request, slots: &[&str]) -> bool {
        let own = &self.grant.access().policy().placements;
        let own = own.iter().filter(|_| request.authenticate);
        own.chain(&request.secrets)
            .any(|one| slots.contains(&one.slot.as_str()))
    }
}
