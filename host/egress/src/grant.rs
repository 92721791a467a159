//! What one call of a connector may do: the rules and secrets of its credential,
//! and the budgets of the call.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::mac;
use crate::placement::{Place, Placement};
use crate::{Allowance, MacAlgorithm, Policy, Redactor, Scope, Secret, Slot, SlotError, Trace};

/// Rules and secrets of one credential. Immutable, so that the calls of a
/// credential can share it (and the redactor that it makes at first use).
pub struct Access {
    policy: Policy,
    slots: BTreeMap<String, Slot>,
    redactor: OnceLock<Arc<Redactor>>,
}

impl Access {
    /// `slots` holds every slot that the manifest declares, those without a
    /// value too.
    #[must_use]
    pub fn new(policy: Policy, slots: BTreeMap<String, Slot>) -> Access {
        Access {
            policy,
            slots,
            redactor: OnceLock::new(),
        }
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Blanks the secrets of the credential. During a call prefer
    /// [`Grant::redactor`], which also knows what was captured.
    #[must_use]
    pub fn redactor(&self) -> Arc<Redactor> {
        self.redactor
            .get_or_init(|| Arc::new(Redactor::new(self.secrets())))
            .clone()
    }

    /// Makes a code with a `signing` slot of this scope. With several values,
    /// the first.
    pub fn mac(
        &self,
        scope: Scope,
        slot: &str,
        algorithm: MacAlgorithm,
        data: &[u8],
    ) -> Result<Vec<u8>, SlotError> {
        let values = self.signing(scope, slot)?;
        let key = values
            .first()
            .ok_or_else(|| SlotError::Empty(slot.to_owned()))?;
        Ok(mac::code(key, algorithm, data))
    }

    /// Compares a code in constant time with the one made from `data`. With
    /// several values, any may have made it.
    pub fn verify_mac(
        &self,
        scope: Scope,
        slot: &str,
        algorithm: MacAlgorithm,
        data: &[u8],
        code: &[u8],
    ) -> Result<bool, SlotError> {
        let values = self.signing(scope, slot)?;
        Ok(values.iter().fold(false, |right, key| {
            right | mac::matches(key, algorithm, data, code)
        }))
    }

    fn signing(&self, scope: Scope, name: &str) -> Result<&[Secret], SlotError> {
        let slot = self
            .slots
            .get(name)
            .filter(|slot| slot.scope == scope)
            .ok_or_else(|| SlotError::Unknown(name.to_owned()))?;
        if !slot.signing {
            return Err(SlotError::NotSigning(name.to_owned()));
        }
        if slot.values.is_empty() || slot.withheld {
            return Err(SlotError::Empty(name.to_owned()));
        }
        Ok(&slot.values)
    }

    fn slot(&self, name: &str) -> Option<&Slot> {
        self.slots.get(name)
    }

    /// Every value to blank: the slots', and the pair that the plan's own
    /// placements make of two of them for Basic authentication.
    fn secrets(&self) -> impl Iterator<Item = Secret> {
        self.slots
            .values()
            .flat_map(|slot| slot.values.iter().cloned())
            .chain(self.basic_pair())
    }

    fn basic_pair(&self) -> Option<Secret> {
        let half = |place: &Place| {
            let placement = self
                .policy
                .placements
                .iter()
                .find(|one| one.place == *place)?;
            let value = self.slot(&placement.slot)?.values.first()?;
            Some(Zeroizing::new(
                [placement.prefix.as_str(), value.expose()].concat(),
            ))
        };
        let (user, password) = (half(&Place::BasicUser), half(&Place::BasicPassword));
        if user.is_none() && password.is_none() {
            return None;
        }
        let (user, password) = (user.unwrap_or_default(), password.unwrap_or_default());
        Some(Secret::from(
            [user.as_str(), ":", password.as_str()].concat(),
        ))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("policy", &self.policy)
            .field("slots", &self.slots.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Budgets of one call.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Requests that the call may make.
    pub requests: u32,
    /// Requests that may be under way at once; the rest wait.
    pub at_once: usize,
    /// Bytes of all responses together, headers and decoded bodies.
    pub response_bytes: u64,
}

impl Default for CallLimits {
    /// 1,000 requests, 20 at once, 16 MiB (a quarter of a guest's memory).
    fn default() -> CallLimits {
        CallLimits {
            requests: 1000,
            at_once: 20,
            response_bytes: 16 * 1024 * 1024,
        }
    }
}

/// What one call may do. Made afresh for every call; [`crate::Egress::send`]
/// draws on its budgets.
pub struct Grant {
    access: Arc<Access>,
    capturable: BTreeSet<String>,
    requests_left: AtomicU32,
    bytes_left: AtomicU64,
    permits: Semaphore,
    learned: Mutex<Learned>,
    allowance: Option<Allowance>,
    trace: Option<Trace>,
    writes: AtomicU32,
    may_write: OnceLock<Box<dyn Fn() -> bool + Send + Sync>>,
    unlent: AtomicBool,
}

/// Secrets that came up during the call.
#[derive(Default)]
struct Learned {
    captured: BTreeMap<String, Secret>,
    /// What must be blanked beyond the slots' own values.
    further: Vec<Secret>,
    /// What the slots hold since they were renewed.
    renewed: Option<Arc<Access>>,
    /// Knows the slots' values and `further`; `None`: nothing further.
    redactor: Option<Arc<Redactor>>,
}

impl Grant {
    /// `capturable`: the slots that responses may fill in this call.
    #[must_use]
    pub fn new(access: Arc<Access>, capturable: BTreeSet<String>, limits: CallLimits) -> Grant {
        Grant {
            access,
            capturable,
            requests_left: AtomicU32::new(limits.requests),
            bytes_left: AtomicU64::new(limits.response_bytes),
            permits: Semaphore::new(limits.at_once.clamp(1, Semaphore::MAX_PERMITS)),
            learned: Mutex::default(),
            allowance: None,
            trace: None,
            writes: AtomicU32::new(0),
            may_write: OnceLock::new(),
            unlent: AtomicBool::new(false),
        }
    }

    /// The same under the app's rate limits. A grant without them knows none.
    #[must_use]
    pub fn within(self, allowance: Allowance) -> Grant {
        Grant {
            allowance: Some(allowance),
            ..self
        }
    }

    /// The same with a record of every request.
    #[must_use]
    pub fn traced(self, trace: Trace) -> Grant {
        Grant {
            trace: Some(trace),
            ..self
        }
    }

    /// Lets requests that change something leave only while `allowed` says so. The
    /// first word counts.
    pub fn write_while(&self, allowed: impl Fn() -> bool + Send + Sync + 'static) {
        let _ = self.may_write.set(Box::new(allowed));
    }

    /// Whether a request that changes something has left, or may have.
    #[must_use]
    pub fn wrote(&self) -> bool {
        self.writes.load(Ordering::Relaxed) > 0
    }

    /// Whether a request was refused because nobody could say what the app's rate
    /// limits leave.
    #[must_use]
    pub fn was_unlent(&self) -> bool {
        self.unlent.load(Ordering::Relaxed)
    }

    /// Rules and secrets of the credential.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Blanks the secrets of the credential and everything captured so far.
    #[must_use]
    pub fn redactor(&self) -> Arc<Redactor> {
        let learned = self.learned.lock();
        learned
            .redactor
            .clone()
            .unwrap_or_else(|| self.access.redactor())
    }

    /// Uses the slots of `access` from now on, under the rules that it had. The values
    /// before stay blanked.
    pub fn renew(&self, access: Arc<Access>) {
        let mut learned = self.learned.lock();
        learned.further.extend(access.secrets());
        learned.renewed = Some(access);
        self.rebuild(&mut learned);
    }

    /// The slots that responses filled, to be sealed by the caller. What was
    /// captured stays blanked in this grant's answers.
    pub fn take_captured(&self) -> BTreeMap<String, Secret> {
        std::mem::take(&mut self.learned.lock().captured)
    }

    pub(crate) fn may_capture(&self, slot: &str) -> bool {
        self.capturable.contains(slot)
    }

    /// Keeps captured values: the slot has them from now on, and they are blanked.
    pub(crate) fn keep(&self, taken: &[(String, Secret)]) {
        let mut learned = self.learned.lock();
        let kept: Vec<&(String, Secret)> = taken
            .iter()
            .filter(|(slot, value)| !self.is_anothers(&learned, slot, value))
            .collect();
        for (slot, value) in kept {
            learned.captured.insert(slot.clone(), value.clone());
        }
        learned
            .further
            .extend(taken.iter().map(|(_, value)| value.clone()));
        self.rebuild(&mut learned);
    }

    /// True if a value for this slot is another slot's secret, or holds it. An app that
    /// repeats a secret must not carry it on to the places of a slot that may go
    /// elsewhere.
    fn is_anothers(&self, learned: &Learned, slot: &str, value: &Secret) -> bool {
        let stored = self.access.slots.iter();
        let stored = stored
            .filter(|(name, _)| *name != slot)
            .flat_map(|(_, other)| other.values.iter().cloned());
        let captured = learned.captured.iter();
        let captured = captured
            .filter(|(name, _)| *name != slot)
            .map(|(_, other)| other.clone());
        let others: Vec<Secret> = stored.chain(captured).collect();
        let anothers = others.iter().any(|one| one.expose() == value.expose())
            || matches!(Redactor::new(others).redact(value.expose()), Cow::Owned(_));
        if anothers {
            let connector = &self.access.policy().connector;
            tracing::warn!(
                connector,
                slot,
                "not captured: the response repeats the secret of another slot there"
            );
        }
        anothers
    }

    /// Blanks the pair of Basic authentication that a request was sent with.
    pub(crate) fn remember_pair(&self, pair: &Secret) {
        if self.access.basic_pair().as_ref() == Some(pair) {
            return;
        }
        let mut learned = self.learned.lock();
        if !learned.further.contains(pair) {
            learned.further.push(pair.clone());
            self.rebuild(&mut learned);
        }
    }

    fn rebuild(&self, learned: &mut Learned) {
        let values = self.access.secrets().chain(learned.further.iter().cloned());
        learned.redactor = Some(Arc::new(Redactor::new(values)));
    }

    /// The plan's placements for a request to this URL that names none itself: those
    /// whose slots are bound to its host, without optional ones that have no value.
    #[must_use]
    pub fn placements(&self, url: &str) -> Vec<Placement> {
        let policy = self.access.policy();
        // A URL that is not admitted is refused when it is sent.
        let Ok(target) = policy.admit(url) else {
            return Vec::new();
        };
        let empty = |slot: &str| matches!(self.value(slot), SlotValue::Empty);
        let own = policy.placements.iter();
        own.filter(|one| policy.binds(&one.slot, &target))
            .filter(|one| !(one.optional && empty(&one.slot)))
            .cloned()
            .collect()
    }

    /// A slot's value in clear, for a connector that its operator allowed to read
    /// secrets; for nobody else.
    pub fn reveal(&self, slot: &str) -> Result<Secret, SlotError> {
        match self.value(slot) {
            SlotValue::Secret(secret) => Ok(secret),
            SlotValue::Empty | SlotValue::Withheld => Err(SlotError::Empty(slot.to_owned())),
            SlotValue::Undeclared => Err(SlotError::Unknown(slot.to_owned())),
        }
    }

    /// A slot's present value: what was captured in this call, else the stored one.
    pub(crate) fn value(&self, name: &str) -> SlotValue {
        let (captured, renewed) = {
            let learned = self.learned.lock();
            let captured = learned.captured.get(name).cloned();
            (captured, learned.renewed.clone())
        };
        let access = renewed.as_ref().unwrap_or(&self.access);
        let Some(slot) = access.slot(name) else {
            return SlotValue::Undeclared;
        };
        if slot.withheld {
            return SlotValue::Withheld;
        }
        captured
            .or_else(|| {
                slot.values
                    .iter()
                    .find(|value| !value.expose().is_empty())
                    .cloned()
            })
            .map_or(SlotValue::Empty, SlotValue::Secret)
    }

    /// How many requests the call may still make.
    #[must_use]
    pub fn requests_left(&self) -> u32 {
        self.requests_left.load(Ordering::Relaxed)
    }

    /// Draws one request. False: none is left.
    pub(crate) fn draw_request(&self) -> bool {
        self.requests_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
            .is_ok()
    }

    /// Draws bytes of a response. The error holds how many were left.
    pub(crate) fn draw_bytes(&self, bytes: u64) -> Result<(), u64> {
        self.bytes_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            })
            .map(drop)
    }

    pub(crate) fn allowance(&self) -> Option<&Allowance> {
        self.allowance.as_ref()
    }

    pub(crate) fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    pub(crate) fn may_write(&self) -> bool {
        self.may_write.get().is_none_or(|may| may())
    }

    /// Notes that a request leaves that changes something.
    pub(crate) fn note_write(&self) {
        self.writes.fetch_add(1, Ordering::Relaxed);
    }

    /// It did not leave after all.
    pub(crate) fn take_back_write(&self) {
        self.writes.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn note_unlent(&self) {
        self.unlent.store(true, Ordering::Relaxed);
    }

    pub(crate) fn permits(&self) -> &Semaphore {
        &self.permits
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("access", &self.access)
            .field("requests_left", &self.requests_left)
            .field("bytes_left", &self.bytes_left)
            .finish_non_exhaustive()
    }
}

/// What a slot holds for a placement.
pub(crate) enum SlotValue {
    Undeclared,
    /// It is for signing in only.
    Withheld,
    Empty,
    Secret(Secret),
}
