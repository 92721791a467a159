//! The ledger against the app: what was acknowledged is there, once, and nothing
//! that was refused.

use std::collections::BTreeMap;

use crate::found::{Difference, Sort};
use crate::ledger::{By, Operation, Outcome, Verb};
use crate::records::Entity;

/// A record of the app that the run made.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) original: u64,
    pub(super) value: String,
    /// It is not in the trash.
    pub(super) live: bool,
}

/// All that was done to a record.
struct History<'a> {
    marker: &'a str,
    operations: Vec<&'a Operation>,
}

/// Compares. The operations are those of one account, in the order of their
/// beginnings; `made` says how often the app made a record at a client's request.
pub(super) fn check(
    operations: &[&Operation],
    there: &BTreeMap<String, Vec<Found>>,
    made: impl Fn(&str) -> usize,
) -> Vec<Difference> {
    let mut histories: BTreeMap<&str, History<'_>> = BTreeMap::new();
    for operation in operations {
        let marker = operation.intent.marker.as_str();
        let history = histories.entry(marker).or_insert_with(|| History {
            marker,
            operations: Vec::new(),
        });
        history.operations.push(operation);
    }
    let mut differences = Vec::new();
    for marker in there.keys() {
        if !histories.contains_key(marker.as_str()) {
            let text = format!("{marker} is in the app, and in no ledger");
            differences.push(Difference::new(Sort::Wrong, text));
        }
    }
    for history in histories.values() {
        let found = there.get(history.marker).map_or(&[][..], Vec::as_slice);
        let times = found.len().max(made(history.marker));
        let said = match (times, found) {
            (2.., _) => Some((Sort::Double, format!("was made {times} times"))),
            (1, []) => history.erased(),
            (_, []) => history.absent(),
            (_, [found, ..]) => history.present(found),
        };
        if let Some((sort, text)) = said {
            differences.push(history.difference(sort, &text));
        }
        for refused in &history.operations {
            if let Outcome::Refused { status, code } = &refused.outcome
                && !is_explained(refused, operations)
            {
                let number = refused.intent.operation;
                let text = format!("operation {number} was refused, {status} {code}, for nothing");
                differences.push(history.difference(Sort::Wrong, &text));
            }
        }
    }
    differences
}

/// Our ids of the records that clients were told they had made.
pub(super) fn made(operations: &[Operation], account: usize, entity: Entity) -> Vec<String> {
    let made = operations.iter().filter(|operation| {
        let intent = &operation.intent;
        (intent.account, intent.entity, intent.verb) == (account, entity, Verb::Create)
    });
    made.filter_map(|operation| match &operation.outcome {
        Outcome::Done { id, .. } => id.clone(),
        _ => None,
    })
    .collect()
}

type Said = Option<(Sort, String)>;

impl History<'_> {
    fn of(&self, verb: Verb) -> impl Iterator<Item = &Operation> {
        let all = self.operations.iter().copied();
        all.filter(move |operation| operation.intent.verb == verb)
    }

    /// It was made, and is gone without a trace.
    fn erased(&self) -> Said {
        if self.of(Verb::Create).all(|one| !one.may_be()) {
            return Some((Sort::Wrong, "was made though that was refused".to_owned()));
        }
        self.gone()
    }

    /// It is not there, and no client's request made it.
    fn absent(&self) -> Said {
        match self.of(Verb::Create).any(Operation::is_done) {
            true => self.gone(),
            false => None,
        }
    }

    /// Only who was asked to erase something may do it. Even then people leave a trace.
    fn gone(&self) -> Said {
        let is_person = |one: &&Operation| one.intent.entity == Entity::People;
        let erased = self.of(Verb::Delete).any(Operation::may_be);
        if erased && !self.operations.iter().any(is_person) {
            return None;
        }
        Some((Sort::Lost, "is not in the app".to_owned()))
    }

    fn present(&self, found: &Found) -> Said {
        let Some(create) = self.of(Verb::Create).next() else {
            return Some((Sort::Wrong, "was made by nobody".to_owned()));
        };
        match &create.outcome {
            Outcome::Refused { .. } => {
                return Some((Sort::Wrong, "is there though it was refused".to_owned()));
            }
            Outcome::Done {
                original: Some(told),
                ..
            } if *told != found.original => {
                let text = format!("is {} in the app, and {told} to its maker", found.original);
                return Some((Sort::Wrong, text));
            }
            Outcome::Done { original: None, .. } if create.intent.by == By::Client => {
                let text = "was made, and its maker was not told the app's id";
                return Some((Sort::Wrong, text.to_owned()));
            }
            _ => {}
        }
        let is_deleted = self.of(Verb::Delete).any(Operation::is_done);
        let may_be_deleted = self.of(Verb::Delete).any(Operation::may_be);
        match (found.live, is_deleted, may_be_deleted) {
            (true, true, _) => Some((Sort::Wrong, "is there though it was deleted".to_owned())),
            (false, _, false) => Some((Sort::Lost, "is gone though nobody deleted it".to_owned())),
            (false, _, true) => None,
            (true, false, _) => self.holds(&found.value),
        }
    }

    /// A value is right if it was written, and no other was written after it for sure.
    fn holds(&self, value: &str) -> Said {
        let writes = || {
            self.operations
                .iter()
                .filter(|one| one.intent.verb != Verb::Delete)
        };
        let Some(writer) = writes().find(|one| one.intent.value == value) else {
            return Some((Sort::Wrong, format!("holds {value}, which nobody wrote")));
        };
        if !writer.may_be() {
            let text = format!("holds {value}, which was refused");
            return Some((Sort::Wrong, text));
        }
        let later = writes().find(|one| one.is_done() && one.begin > writer.end)?;
        let text = format!(
            "holds {value}, and {} was acknowledged after it",
            later.intent.value
        );
        Some((Sort::Lost, text))
    }

    fn difference(&self, sort: Sort, text: &str) -> Difference {
        let entity = self.operations.first().map(|one| one.intent.entity.name());
        let account = self.operations.first().map(|one| one.intent.account);
        let text = format!(
            "account {}: {} {} {text}",
            account.unwrap_or_default(),
            entity.unwrap_or_default(),
            self.marker
        );
        Difference::new(sort, text)
    }
}

/// A refusal needs a reason: somebody else deleted the record, or the person that it
/// belongs to, and began before the refusal.
fn is_explained(refused: &Operation, operations: &[&Operation]) -> bool {
    operations.iter().any(|delete| {
        let marker = &delete.intent.marker;
        delete.intent.verb == Verb::Delete
            && delete.may_be()
            && delete.begin < refused.end
            && delete.intent.operation != refused.intent.operation
            && (*marker == refused.intent.marker || Some(marker) == refused.intent.person.as_ref())
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::Intent;

    /// A history, written as it happened: `c1+` creates with value 1 and is
    /// acknowledged, `u2-` is an update that was refused, `u3?` is open.
    fn history(entity: Entity, text: &str) -> Vec<Operation> {
        let mut line = 0;
        text.split_whitespace()
            .map(|word| {
                let mut letters = word.chars();
                let verb = match letters.next().unwrap() {
                    'c' => Verb::Create,
                    'u' => Verb::Update,
                    _ => Verb::Delete,
                };
                let outcome = match letters.next_back().unwrap() {
                    '+' => Outcome::Done {
                        id: Some("ours".into()),
                        original: Some(5),
                    },
                    '-' => Outcome::Refused {
                        status: 404,
                        code: "not_found".into(),
                    },
                    _ => Outcome::Open,
                };
                line += 2;
                Operation {
                    intent: Intent {
                        operation: line as u64,
                        by: By::Client,
                        account: 0,
                        entity,
                        verb,
                        marker: "fault-1".into(),
                        value: letters.as_str().to_owned(),
                        person: None,
                        key: None,
                    },
                    end: match outcome {
                        Outcome::Open => usize::MAX,
                        _ => line + 1,
                    },
                    outcome,
                    begin: line,
                }
            })
            .collect()
    }

    fn judge(operations: &[Operation], found: &[(&str, bool)], made: usize) -> Vec<Sort> {
        let found: Vec<Found> = (found.iter())
            .map(|(value, live)| Found {
                original: 5,
                value: (*value).to_owned(),
                live: *live,
            })
            .collect();
        let there = BTreeMap::from([("fault-1".to_owned(), found)]);
        let operations: Vec<&Operation> = operations.iter().collect();
        let found = check(&operations, &there, |_| made);
        found.into_iter().map(|one| one.sort).collect()
    }

    #[track_caller]
    fn person(text: &str, found: &[(&str, bool)], expected: &[Sort]) {
        let made = found.len();
        assert_eq!(
            judge(&history(Entity::People, text), found, made),
            expected,
            "{text}"
        );
    }

    #[test]
    fn what_was_acknowledged_is_there_once() {
        person("c1+", &[("1", true)], &[]);
        person("c1+", &[], &[Sort::Lost]);
        person("c1+", &[("1", true), ("1", true)], &[Sort::Double]);
        person("c1?", &[], &[]);
        person("c1?", &[("1", true)], &[]);
        person("c1?", &[("1", true), ("1", false)], &[Sort::Double]);
        person("c1-", &[("1", true)], &[Sort::Wrong, Sort::Wrong]);
    }

    #[test]
    fn the_last_value_counts_or_a_later_one() {
        person("c1+ u2+ u3+", &[("3", true)], &[]);
        person("c1+ u2+ u3+", &[("2", true)], &[Sort::Lost]);
        person("c1+ u2? u3+", &[("2", true)], &[]);
        person("c1+ u2+ u3?", &[("2", true)], &[]);
        person("c1+ u2+", &[("9", true)], &[Sort::Wrong]);
    }

    #[test]
    fn updates_at_the_same_time_may_win_either_way() {
        let mut both = history(Entity::Tasks, "c1+ u2+ u3+");
        both.get_mut(1).unwrap().end = 100;
        for value in ["2", "3"] {
            assert_eq!(judge(&both, &[(value, true)], 1), []);
        }
        assert_eq!(judge(&both, &[("1", true)], 1), [Sort::Lost]);
    }

    #[test]
    fn who_deletes_is_believed() {
        person("c1+ d2+", &[("1", false)], &[]);
        person("c1+ d2+", &[("1", true)], &[Sort::Wrong]);
        person("c1+ d2?", &[("1", true)], &[]);
        person("c1+ u2+", &[("2", false)], &[Sort::Lost]);
        let note = history(Entity::Notes, "c1+ d2+");
        assert_eq!(judge(&note, &[], 1), []);
        assert_eq!(judge(&note, &[], 2), [Sort::Double]);
        let note = history(Entity::Notes, "c1+ u2+");
        assert_eq!(judge(&note, &[], 1), [Sort::Lost]);
    }

    #[test]
    fn a_refusal_needs_a_reason() {
        person("c1+ u2-", &[("1", true)], &[Sort::Wrong]);
        person("c1+ d2+ u3-", &[("1", false)], &[]);
        person("c1+ d2-", &[("1", true)], &[Sort::Wrong]);
    }
}
