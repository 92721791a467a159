//! The records of a list answer, one by one.

use std::borrow::Cow;
use std::marker::PhantomData;

use super::{Malformed, Object, Reader};
use crate::error::Error;

/// Walks the list in an answer such as `{"_metadata": {…}, "people": [ … ]}`
/// and gives every record read and as the text it was sent in.
///
/// ```
/// use std::borrow::Cow;
/// use rollout_connector::json::{Malformed, Object, Reader, Records, Scalar};
///
/// #[derive(Default)]
/// struct Contact<'a> { id: Scalar<'a>, name: Scalar<'a> }
///
/// impl<'a> Object<'a> for Contact<'a> {
///     fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
///         match name.as_ref() {
///             "id" => self.id = value.scalar()?,
///             "name" => self.name = value.scalar()?,
///             _ => {}
///         }
///         Ok(())
///     }
/// }
///
/// let answer = r#"{"total": 1, "Contacts": [{"id": 7, "name": "Ada", "vip": true}]}"#;
/// let mut records = Records::<Contact>::in_answer(answer, "contacts")?;
/// let (raw, contact) = records.next().unwrap()?;
/// assert_eq!(contact.name.as_str(), Some("Ada"));
/// assert_eq!(raw, r#"{"id": 7, "name": "Ada", "vip": true}"#);
///
/// // What stands beside the list is read without another pass over it.
/// assert_eq!(records.beside("total")?, Some("1"));
/// # Ok::<(), rollout_connector::Error>(())
/// ```
#[derive(Debug)]
pub struct Records<'a, T> {
    list: Walk<'a>,
    /// The answer's members up to the list, as raw text.
    before: Vec<(Cow<'a, str>, &'a str)>,
    record: PhantomData<T>,
}

/// A position in the list.
#[derive(Debug, Clone, Copy)]
struct Walk<'a> {
    reader: Reader<'a>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    First,
    Further,
    /// After the closing bracket.
    Done,
    Failed,
}

impl<'a> Walk<'a> {
    /// Passes to the next record; false at the end.
    fn go_on(&mut self) -> Result<bool, Malformed> {
        let more = self.reader.element(self.state == State::First)?;
        self.state = if more { State::Further } else { State::Done };
        Ok(more)
    }

    fn step<T: Object<'a>>(&mut self) -> Result<Option<(&'a str, T)>, Malformed> {
        if !self.go_on()? {
            return Ok(None);
        }
        self.reader.take(b' ');
        let from = self.reader.at();
        let record = self.reader.object()?;
        Ok(Some((self.reader.since(from).trim_start(), record)))
    }
}

impl<'a, T: Object<'a>> Records<'a, T> {
    /// The list under the key `collection` (whatever its case), else the first
    /// list of the answer; or the answer itself, if that is a list.
    pub fn in_answer(answer: &'a str, collection: &str) -> Result<Self, Error> {
        let mut before = Vec::new();
        let found = find(Reader::new(answer), collection, &mut before)?;
        let reader = found.ok_or_else(|| {
            Error::unexpected(format!("the app's answer holds no list of {collection}"))
        })?;
        Ok(Self {
            list: Walk {
                reader,
                state: State::First,
            },
            before,
            record: PhantomData,
        })
    }

    /// The text of another member of the answer, before the list or after it;
    /// `None` if there is none.
    pub fn beside(&self, key: &str) -> Result<Option<&'a str>, Error> {
        match self.before.iter().find(|(known, _)| known == key) {
            Some((_, raw)) => Ok(Some(raw)),
            None => Ok(after(self.list, key)?),
        }
    }

    /// Reads an answer that is one record: its text, and the record.
    pub fn single(answer: &'a str) -> Result<(&'a str, T), Error> {
        let mut reader = Reader::new(answer);
        let record = reader.object()?;
        Ok((reader.since(0).trim(), record))
    }
}

impl<'a, T: Object<'a>> Iterator for Records<'a, T> {
    type Item = Result<(&'a str, T), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if matches!(self.list.state, State::Done | State::Failed) {
            return None;
        }
        let step = self.list.step().transpose()?;
        if step.is_err() {
            self.list.state = State::Failed;
        }
        Some(step.map_err(Error::from))
    }
}

/// The inside of the list that is wanted, or else of the first one.
fn find<'a>(
    mut reader: Reader<'a>,
    collection: &str,
    before: &mut Vec<(Cow<'a, str>, &'a str)>,
) -> Result<Option<Reader<'a>>, Malformed> {
    if reader.take(b'[') {
        return Ok(Some(reader));
    }
    if !reader.take(b'{') {
        reader.skip()?;
        return Ok(None);
    }
    let mut first = None;
    while let Some(name) = reader.name(before.is_empty())? {
        let mut list = reader;
        if list.take(b'[') {
            if name.eq_ignore_ascii_case(collection) {
                return Ok(Some(list));
            }
            first = first.or(Some(list));
        }
        before.push((name, reader.raw()?));
    }
    Ok(first)
}

/// A member that stands after the list.
fn after<'a>(mut list: Walk<'a>, key: &str) -> Result<Option<&'a str>, Malformed> {
    while matches!(list.state, State::First | State::Further) && list.go_on()? {
        list.reader.skip()?;
    }
    let mut reader = list.reader;
    // After an answer that is the list itself there is nothing.
    let mut end = reader;
    if list.state == State::Failed || !(end.take(b',') || end.take(b'}')) {
        return Ok(None);
    }
    while let Some(name) = reader.name(false)? {
        let raw = reader.raw()?;
        if name == key {
            return Ok(Some(raw));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use super::super::Scalar;
    use super::*;

    #[derive(Default)]
    struct Anything;

    impl<'a> Object<'a> for Anything {
        fn member(&mut self, _: Cow<'a, str>, _: &mut Reader<'a>) -> Result<(), Malformed> {
            Ok(())
        }

        fn scalar(&mut self, _: Scalar<'a>) {}
    }

    fn walk<'a>(answer: &'a str, collection: &str) -> Result<Vec<&'a str>, Error> {
        Records::<Anything>::in_answer(answer, collection)?
            .map(|record| record.map(|(raw, _)| raw))
            .collect()
    }

    #[test]
    fn finds_the_list_by_name_whatever_its_case_and_order() {
        let answer = r#" {"other":[1],"m":{"a":[2,"]"]}, "TextMessages" : [ {"id":1} ,   {"id": 2}], "z": 1}"#;
        assert_eq!(
            walk(answer, "textmessages").unwrap(),
            [r#"{"id":1}"#, r#"{"id": 2}"#]
        );
    }

    #[test]
    fn falls_back_to_the_first_list_or_the_answer_itself() {
        assert_eq!(
            walk(r#"{"n":null,"things":[3],"more":[4]}"#, "people").unwrap(),
            ["3"]
        );
        assert_eq!(walk("[5]", "people").unwrap(), ["5"]);
        assert!(walk(r#"{"people":[]}"#, "people").unwrap().is_empty());
    }

    #[test]
    fn keeps_a_records_text_byte_for_byte() {
        let record = r#"{"a" :  "Zo\u00eb {[\"]}" , "b":[1.50,{}]}"#;
        let answer = format!(r#"{{"l":[{record}]}}"#);
        assert_eq!(walk(&answer, "l").unwrap(), [record]);
        assert_eq!(
            Records::<Anything>::single(&format!(" {record}\n"))
                .unwrap()
                .0,
            record
        );
    }

    #[test]
    fn reads_what_stands_beside_the_list() {
        for answer in [
            r#"{"_metadata":{"n":1},"l":[{"_metadata":2}],"z":3}"#,
            r#"{"z":3,"l":[{"_metadata":2}],"y":[],"_metadata":{"n":1}}"#,
        ] {
            let mut records = Records::<Anything>::in_answer(answer, "l").unwrap();
            for _ in 0..2 {
                assert_eq!(records.beside("_metadata").unwrap(), Some(r#"{"n":1}"#));
                assert_eq!(records.beside("z").unwrap(), Some("3"));
                assert_eq!(records.beside("none").unwrap(), None);
                assert!(records.by_ref().all(|record| record.is_ok()));
            }
        }
        assert_eq!(
            Records::<Anything>::in_answer("[1]", "l")
                .unwrap()
                .beside("z")
                .unwrap(),
            None
        );
    }

    #[test]
    fn malformed_answers_are_errors_that_end_the_walk() {
        for answer in [
            "",
            "<html>",
            "{",
            r#"{"l":1}"#,
            r#"{"l" [1]}"#,
            r#"{"l":[1 2]}"#,
            r#"{"l":[1,]}"#,
            r#"{"l":[1"#,
            r#"{"l":[{"a":]}"#,
            "null",
            "7",
        ] {
            assert!(
                matches!(walk(answer, "l"), Err(Error::Upstream(_))),
                "{answer}"
            );
        }
        let mut records = Records::<Anything>::in_answer("[1,}", "l").unwrap();
        assert!(records.next().unwrap().is_ok());
        assert!(records.next().unwrap().is_err());
        assert!(records.next().is_none());
    }
}
