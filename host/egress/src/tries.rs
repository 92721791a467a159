//! One request on its way: its turn, dialling, reading and blanking.

use std::borrow::Cow;
use std::error::Error as _;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use crate::budget::{Allowance, Refusal};
use crate::capture::{Capture, Source};
use crate::grant::Grant;
use crate::record::Entry;
use crate::redact::BLANK;
use crate::resolver::AddressRefused;
use crate::{Failure, Response, capture, headers};

/// Room made for a body before its first byte is there: what an app announces
/// is not yet what it sends.
const BODY_AT_FIRST: u64 = 256 * 1024;

/// A request that is ready to be sent, once or twice.
pub(crate) struct Tries<'a> {
    pub(crate) grant: &'a Grant,
    pub(crate) client: &'a reqwest::Client,
    pub(crate) host: String,
    /// Without the query; for budgets and records.
    pub(crate) path: String,
    pub(crate) outgoing: reqwest::Request,
    pub(crate) captures: Vec<Capture>,
    /// For both tries together.
    pub(crate) timeout: std::time::Duration,
    /// Most decoded bytes of body.
    pub(crate) cap: u64,
    /// The app's rate limits, if they count here.
    pub(crate) allowance: Option<&'a Allowance>,
}

/// A try that came to nothing.
pub(crate) struct Trouble {
    pub(crate) failure: Failure,
    /// It is safe to try once more: nothing left, or nothing that could change
    /// anything and no answer came.
    pub(crate) again: bool,
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble {
            failure,
            again: false,
        }
    }
}

impl Tries<'_> {
    /// One try, recorded if it is answered.
    pub(crate) async fn run(
        &self,
        entry: &mut Entry<'_>,
        deadline: Instant,
    ) -> Result<Response, Trouble> {
        let trying = tokio::time::timeout_at(deadline.into(), self.exchange(entry, deadline));
        let response = trying.await.map_err(|_| Failure::Timeout)??;
        entry.answered(&response);
        Ok(response)
    }

    async fn exchange(
        &self,
        entry: &mut Entry<'_>,
        deadline: Instant,
    ) -> Result<Response, Trouble> {
        self.take_turn(deadline).await?;
        let Some(outgoing) = self.outgoing.try_clone() else {
            return Err(Failure::Denied("the body can be sent only once".to_owned()).into());
        };
        let writes = !outgoing.method().is_safe();
        if writes {
            // At the last moment: what is sent can't be called back.
            if !self.grant.may_write() {
                let text = "another process finds out what became of this write";
                return Err(Failure::Denied(text.to_owned()).into());
            }
            self.grant.note_write();
        }
        entry.leaves();
        let response = match self.client.execute(outgoing).await {
            Ok(response) => response,
            Err(error) => {
                let never_left = error.is_connect() || error.is_builder();
                if writes && never_left {
                    self.grant.take_back_write();
                }
                let is_safe = never_left || (!writes && !error.is_timeout());
                let failure = broken(self.grant, &self.host, error);
                return Err(Trouble {
                    again: is_safe && !matches!(failure, Failure::Denied(_)),
                    failure,
                });
            }
        };
        if let Some(allowance) = self.allowance
            && let Some(wait) =
                crate::retry_after::patience(response.status().as_u16(), response.headers())
        {
            allowance.close(wait);
        }
        let received = receive(self.grant, &self.host, response, self.cap).await?;
        Ok(hand_over(self.grant, &self.captures, received))
    }

    /// Waits for its turn under the app's rate limits.
    async fn take_turn(&self, deadline: Instant) -> Result<(), Failure> {
        let Some(allowance) = self.allowance else {
            return Ok(());
        };
        let most = deadline.saturating_duration_since(Instant::now());
        let taken = allowance.take(self.outgoing.method().as_str(), &self.path, most);
        taken.await.map_err(|refusal| match refusal {
            Refusal::Wait(wait) => Failure::Budget(Some(wait)),
            Refusal::Unlent(unlent) => {
                self.grant.note_unlent();
                Failure::Unavailable(unlent.0)
            }
        })
    }
}

/// A response as the app sent it, decoded.
struct Received {
    status: u16,
    sent_headers: http::HeaderMap,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// Reads a response, counting what is kept against the caps.
async fn receive(
    grant: &Grant,
    host: &str,
    mut response: reqwest::Response,
    cap: u64,
) -> Result<Received, Failure> {
    let status = response.status().as_u16();
    let headers = headers::incoming(response.headers())?;
    let header_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    grant
        .draw_bytes(header_bytes as u64)
        .map_err(Failure::TooLarge)?;

    let announced = response.content_length().unwrap_or(0);
    if announced > cap {
        return Err(Failure::TooLarge(cap));
    }
    let mut body = Vec::with_capacity(announced.min(BODY_AT_FIRST) as usize);
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| broken(grant, host, error))?
    {
        let length = body.len() as u64 + chunk.len() as u64;
        if length > cap {
            return Err(Failure::TooLarge(cap));
        }
        grant
            .draw_bytes(chunk.len() as u64)
            .map_err(|left| Failure::TooLarge(body.len() as u64 + left))?;
        body.extend_from_slice(&chunk);
    }
    // The client takes the encoding away with the header. What is left was
    // never asked for, and nobody could look into it.
    let encoding = response
        .headers()
        .get(CONTENT_ENCODING)
        .filter(|one| *one != "identity");
    if let Some(encoding) = encoding.filter(|_| !body.is_empty()) {
        return Err(Failure::Connection(format!(
            "{host} answered in the encoding {encoding:?}, which was not asked for"
        )));
    }
    Ok(Received {
        status,
        sent_headers: std::mem::take(response.headers_mut()),
        headers,
        body,
    })
}

/// Captures what is asked for and blanks what the guest must not see.
fn hand_over(grant: &Grant, captures: &[Capture], received: Received) -> Response {
    let Received {
        status,
        sent_headers,
        mut headers,
        mut body,
    } = received;
    let taken = capture::take(captures, &sent_headers, &mut body);
    let fresh = !taken.is_empty();
    if fresh {
        grant.keep(&taken);
    }
    let redactor = grant.redactor();
    // A captured value is blanked throughout the response it came in, however
    // short it is.
    let clean = if fresh {
        redactor.redact_bytes_strict(&body)
    } else {
        redactor.redact_bytes(&body)
    };
    let changed = match clean {
        Cow::Borrowed(_) => false,
        Cow::Owned(clean) => {
            body = clean;
            true
        }
    };
    for source in captures.iter().map(|capture| &capture.source) {
        if let Source::Header(captured) = source {
            let named = headers
                .iter_mut()
                .filter(|(name, _)| captured.eq_ignore_ascii_case(name));
            named.for_each(|(_, value)| BLANK.clone_into(value));
        }
    }
    headers.retain_mut(|(name, value)| {
        let clean = if fresh {
            redactor.redact_strict(value)
        } else {
            redactor.redact(value)
        };
        if let Cow::Owned(clean) = clean {
            *value = clean;
        }
        // The length is no longer true, and a name is not a place for a secret.
        !((changed || fresh) && name == CONTENT_LENGTH.as_str())
            && matches!(redactor.redact(name), Cow::Borrowed(_))
    });
    Response {
        status,
        headers,
        body: Bytes::from(body),
    }
}

/// Why the connection failed, without URL and secrets.
fn broken(grant: &Grant, host: &str, error: reqwest::Error) -> Failure {
    let mut root: &(dyn std::error::Error + 'static) = &error;
    while let Some(source) = root.source() {
        root = source;
        if root.is::<AddressRefused>() {
            return Failure::Denied(format!(
                "host `{host}` has no public address: connectors reach public addresses only; for a simulator \
                 add \"https://{host}\" = \"http://127.0.0.1:PORT\" to [dev.upstreams] of the host's configuration"
            ));
        }
    }
    if error.is_timeout() {
        return Failure::Timeout;
    }
    let what = if error.is_connect() {
        "could not be connected to"
    } else if error.is_builder() {
        return Failure::Denied(
            "the URL has characters that cannot be sent: percent-encode them".into(),
        );
    } else {
        "broke the connection off"
    };
    let reason = if error.source().is_some() {
        root.to_string()
    } else {
        String::new()
    };
    let text = format!("{host} {what}: {reason}");
    Failure::Connection(grant.redactor().redact_strict(&text).into_owned())
}
