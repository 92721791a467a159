//! A reader that goes through JSON text once, value by value.
//!
//! Strict about JSON, as the text of records is passed on as it is; lenient
//! about what a value turns out to be. It has no visitors and no generic core,
//! so that a connector which reads ten types stays small, and it hands out texts
//! borrowed.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Number, Value};

use super::{Scalar, block};
use crate::error::Error;

/// Lists and objects inside each other, at most.
const DEPTH: u32 = 128;

/// A type that picks what it knows from a JSON object, member by member.
///
/// ```
/// use std::borrow::Cow;
/// use rollout_connector::json::{Malformed, Object, Reader, Scalar};
///
/// #[derive(Default)]
/// struct Tag<'a> { name: Scalar<'a> }
///
/// impl<'a> Object<'a> for Tag<'a> {
///     fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed> {
///         if name == "name" {
///             self.name = value.scalar()?;
///         }
///         Ok(())
///     }
///
///     fn scalar(&mut self, value: Scalar<'a>) {
///         self.name = value; // old records hold the name alone
///     }
/// }
///
/// for text in [r#"{"id": 3, "name": "Buyer"}"#, r#""Buyer""#] {
///     let tag: Tag = Reader::new(text).object()?;
///     assert_eq!(tag.name.as_str(), Some("Buyer"));
/// }
/// # Ok::<(), rollout_connector::Error>(())
/// ```
pub trait Object<'a>: Default {
    /// Takes one member. A value that is not read is passed by.
    fn member(&mut self, name: Cow<'a, str>, value: &mut Reader<'a>) -> Result<(), Malformed>;

    /// Takes a scalar that stands in place of the object; ignored by default.
    fn scalar(&mut self, value: Scalar<'a>) {
        let _ = value;
    }
}

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// What is wrong.
    pub why: &'static str,
    /// Where, in bytes from the text's beginning.
    pub at: usize,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.why, self.at)
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for Error {
    fn from(malformed: Malformed) -> Self {
        Self::unexpected(format!(
            "the app's answer is not the JSON expected: {malformed}"
        ))
    }
}

/// A position in JSON text.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader before the first value of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Reads any value as a scalar; lists and objects are [`Scalar::None`].
    #[inline]
    pub fn scalar(&mut self) -> Result<Scalar<'a>, Malformed> {
        match self.plain_string() {
            Some(text) => Ok(Scalar::Text(Cow::Borrowed(text))),
            None => self.other_scalar(),
        }
    }

    #[inline(never)]
    fn other_scalar(&mut self) -> Result<Scalar<'a>, Malformed> {
        match self.peek() {
            Some(b'"') => self.string().map(Scalar::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Scalar::Flag(true)),
            Some(b'f') => self.literal("false", Scalar::Flag(false)),
            Some(b'n') => self.literal("null", Scalar::None),
            _ => self.skip().map(|()| Scalar::None),
        }
    }

    /// Reads an object; what stands in place of one is given to
    /// [`Object::scalar`], or is the default.
    pub fn object<T: Object<'a>>(&mut self) -> Result<T, Malformed> {
        let mut object = T::default();
        if self.peek() != Some(b'{') {
            object.scalar(self.scalar()?);
            return Ok(object);
        }
        self.at += 1;
        let mut first = true;
        while let Some(name) = self.name(first)? {
            first = false;
            let before = self.at;
            object.member(name, self)?;
            if self.at == before {
                self.skip()?;
            }
        }
        Ok(object)
    }

    /// Reads a list of objects; empty where something else stands.
    pub fn list<T: Object<'a>>(&mut self) -> Result<Vec<T>, Malformed> {
        let mut list = Vec::new();
        if self.peek() != Some(b'[') {
            self.skip()?;
            return Ok(list);
        }
        self.at += 1;
        while self.element(list.is_empty())? {
            list.push(self.object()?);
        }
        Ok(list)
    }

    /// Reads any value as a tree. Of members of one name the last stays.
    pub fn value(&mut self) -> Result<Value, Malformed> {
        // Checks depth and numbers; what follows can rely on it.
        let mut inside = Reader::new(self.raw()?);
        inside.tree()
    }

    fn tree(&mut self) -> Result<Value, Malformed> {
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let mut members = Map::new();
                let mut first = true;
                while let Some(name) = self.name(first)? {
                    first = false;
                    members.insert(name.into_owned(), self.tree()?);
                }
                Ok(Value::Object(members))
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                while self.element(items.is_empty())? {
                    items.push(self.tree()?);
                }
                Ok(Value::Array(items))
            }
            Some(b'-' | b'0'..=b'9') => {
                let number = self.raw()?.parse::<Number>();
                number
                    .map(Value::Number)
                    .or_else(|_| self.fail("not a number"))
            }
            _ => Ok(match self.scalar()? {
                Scalar::Flag(flag) => Value::Bool(flag),
                Scalar::Text(text) => Value::String(text.into_owned()),
                _ => Value::Null,
            }),
        }
    }

    /// Passes a value and gives its text.
    pub fn raw(&mut self) -> Result<&'a str, Malformed> {
        self.peek();
        let from = self.at;
        self.skip()?;
        Ok(self.since(from))
    }

    /// Passes a value.
    pub fn skip(&mut self) -> Result<(), Malformed> {
        // One bit per open bracket: 1 for an object.
        let (mut open, mut depth) = (0_u128, 0_u32);
        loop {
            match self.peek() {
                Some(bracket @ (b'{' | b'[')) => {
                    if depth == DEPTH {
                        return self.fail("too deep");
                    }
                    self.at += 1;
                    depth += 1;
                    open = open << 1 | u128::from(bracket == b'{');
                    let more = match bracket {
                        b'{' => self.pass_name(true)?,
                        _ => self.element(true)?,
                    };
                    if more {
                        continue;
                    }
                    depth -= 1;
                    open >>= 1;
                }
                Some(b'"') => self.pass_string().map(|_| ())?,
                Some(b'-' | b'0'..=b'9') => self.pass_number().map(|_| ())?,
                Some(b't') => self.literal("true", ())?,
                Some(b'f') => self.literal("false", ())?,
                Some(b'n') => self.literal("null", ())?,
                _ => return self.fail("a value is missing"),
            }
            while depth > 0 {
                let more = match open & 1 {
                    1 => self.pass_name(false)?,
                    _ => self.element(false)?,
                };
                if more {
                    break;
                }
                depth -= 1;
                open >>= 1;
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    /// Where the reader is, in bytes from the text's beginning.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text from a place up to here.
    pub(super) fn since(&self, from: usize) -> &'a str {
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// Passes white space and then this byte, if it is there.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// After `{` or a member: passes to the next member's value and gives its
    /// name; none after `}`, which is passed.
    #[inline(always)]
    pub(super) fn name(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Malformed> {
        match self.plain_name(first) {
            Some(name) => Ok(Some(Cow::Borrowed(name))),
            None => self.any_name(first),
        }
    }

    /// A name as programs write it: without white space around it or escapes in
    /// it. Nothing is passed otherwise.
    #[inline(always)]
    fn plain_name(&mut self, first: bool) -> Option<&'a str> {
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        if !first {
            if bytes.get(at) != Some(&b',') {
                return None;
            }
            at += 1;
        }
        let (name, end) = self.quoted(at)?;
        if bytes.get(end) != Some(&b':') {
            return None;
        }
        self.at = end + 1;
        Some(name)
    }

    #[inline(never)]
    fn any_name(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Malformed> {
        if !self.goes_on(first, b'}')? {
            return Ok(None);
        }
        if self.peek() != Some(b'"') {
            return self.fail("a member's name is missing");
        }
        let name = self.string()?;
        self.colon()?;
        Ok(Some(name))
    }

    fn pass_name(&mut self, first: bool) -> Result<bool, Malformed> {
        if !self.goes_on(first, b'}')? {
            return Ok(false);
        }
        if self.peek() != Some(b'"') {
            return self.fail("a member's name is missing");
        }
        self.pass_string()?;
        self.colon()?;
        Ok(true)
    }

    #[inline(always)]
    fn colon(&mut self) -> Result<(), Malformed> {
        match self.take(b':') {
            true => Ok(()),
            false => self.fail("`:` is missing"),
        }
    }

    /// After `[` or an element: passes to the next element; false after `]`,
    /// which is passed.
    pub(super) fn element(&mut self, first: bool) -> Result<bool, Malformed> {
        self.goes_on(first, b']')
    }

    #[inline(always)]
    fn goes_on(&mut self, first: bool, end: u8) -> Result<bool, Malformed> {
        match self.peek() {
            Some(byte) if byte == end => {
                self.at += 1;
                Ok(false)
            }
            _ if first => Ok(true),
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            _ => self.fail("a comma or bracket is missing"),
        }
    }

    /// The next byte that is no white space.
    #[inline(always)]
    fn peek(&mut self) -> Option<u8> {
        // Mostly there is none; a loop costs a check of the host's clock.
        match self.text.as_bytes().get(self.at) {
            Some(b'\0'..=b' ') => self.pass_white_space(),
            byte => byte.copied(),
        }
    }

    fn pass_white_space(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    fn fail<T>(&self, why: &'static str) -> Result<T, Malformed> {
        Err(Malformed { why, at: self.at })
    }

    fn literal<T>(&mut self, literal: &str, value: T) -> Result<T, Malformed> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(literal.as_bytes()) {
            return self.fail("a value is missing");
        }
        self.at += literal.len();
        Ok(value)
    }

    /// The inside of the string that begins at a place, and where it is over;
    /// none where there is no string, or one with escapes.
    #[inline(always)]
    fn quoted(&self, at: usize) -> Option<(&'a str, usize)> {
        let bytes = self.text.as_bytes();
        if bytes.get(at) != Some(&b'"') {
            return None;
        }
        let from = at + 1;
        let end = from + plain(bytes.get(from..)?);
        match bytes.get(end) {
            Some(b'"') => Some((self.text.get(from..end)?, end + 1)),
            _ => None,
        }
    }

    /// Passes a string without escapes. Nothing is passed otherwise.
    #[inline(always)]
    fn plain_string(&mut self) -> Option<&'a str> {
        let (text, end) = self.quoted(self.at)?;
        self.at = end;
        Some(text)
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Malformed> {
        let from = self.at + 1;
        let escaped = self.pass_string()?;
        let inner = self.text.get(from..self.at - 1).unwrap_or_default();
        Ok(match escaped {
            true => Cow::Owned(unescape(inner)),
            false => Cow::Borrowed(inner),
        })
    }

    /// Passes a string, checking it; true if it holds escapes. At its quote.
    #[inline(always)]
    fn pass_string(&mut self) -> Result<bool, Malformed> {
        self.at += 1;
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += plain(rest);
        match self.text.as_bytes().get(self.at) {
            Some(b'"') => {
                self.at += 1;
                Ok(false)
            }
            _ => self.pass_escapes(),
        }
    }

    /// Passes the rest of a string that holds more than plain characters.
    fn pass_escapes(&mut self) -> Result<bool, Malformed> {
        loop {
            match self.text.as_bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b'\\') => self.pass_escape()?,
                Some(_) => return self.fail("a control character in a text"),
                None => return self.fail("a text without an end"),
            }
            self.at += plain(self.text.as_bytes().get(self.at..).unwrap_or_default());
        }
    }

    fn pass_escape(&mut self) -> Result<(), Malformed> {
        match self.text.as_bytes().get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match (
                code_unit(self.text, self.at),
                code_unit(self.text, self.at + 6),
            ) {
                (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => self.at += 12,
                (Some(0xD800..=0xDFFF), _) => return self.fail("half a surrogate pair"),
                (Some(_), _) => self.at += 6,
                (None, _) => return self.fail("not an escape"),
            },
            _ => return self.fail("not an escape"),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Scalar<'a>, Malformed> {
        let from = self.at;
        if let Some(whole) = self.pass_number()? {
            return Ok(Scalar::Whole(whole));
        }
        // Beyond what a number can be: odd, but no reason to lose the page.
        let number = self.since(from).parse::<Number>().ok();
        let number = number.and_then(|number| number.as_f64());
        Ok(number.map_or(Scalar::None, Scalar::Number))
    }

    /// Passes a number; gives it if it is whole, not negative and fits.
    fn pass_number(&mut self) -> Result<Option<u64>, Malformed> {
        let bytes = self.text.as_bytes();
        let negative = bytes.get(self.at) == Some(&b'-');
        self.at += usize::from(negative);
        let (from, mut whole) = (self.at, 0_u64);
        while let Some(digit @ b'0'..=b'9') = bytes.get(self.at) {
            whole = whole.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        // Beyond 19 digits it may not fit.
        let mut whole = match self.at - from {
            0..=19 => Some(whole),
            _ => self.since(from).parse().ok(),
        };
        if self.at == from || (bytes.get(from) == Some(&b'0') && self.at > from + 1) {
            return self.fail("not a number");
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.pass_digits()?;
            whole = None;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = bytes.get(self.at) {
                self.at += 1;
            }
            self.pass_digits()?;
            whole = None;
        }
        Ok(whole.filter(|_| !negative))
    }

    fn pass_digits(&mut self) -> Result<(), Malformed> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.text.as_bytes().get(self.at) {
            self.at += 1;
        }
        match self.at > from {
            true => Ok(()),
            false => self.fail("not a number"),
        }
    }
}

/// How many bytes go by until a quote, a backslash or a control character.
#[inline(always)]
pub(super) fn plain(bytes: &[u8]) -> usize {
    // Names and most texts end in the first block, which is looked at without a
    // loop.
    match bytes.first_chunk().and_then(block::special) {
        Some(at) => at,
        None => long_plain(bytes),
    }
}

#[inline(never)]
fn long_plain(bytes: &[u8]) -> usize {
    let mut passed = 0;
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk() {
        if let Some(at) = block::special(chunk) {
            return passed + at;
        }
        passed += chunk.len();
        rest = tail;
    }
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1F);
    passed + rest.iter().position(ends).unwrap_or(rest.len())
}

/// The code unit of an escape `\uXXXX` at this place.
pub(super) fn code_unit(text: &str, at: usize) -> Option<u16> {
    let hex = text.get(at..at.checked_add(6)?)?.strip_prefix("\\u")?;
    hex.bytes().try_fold(0, |unit, digit| {
        let digit = char::from(digit).to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

/// The text that a checked string's inside stands for.
fn unescape(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((plain, escape)) = rest.split_once('\\') {
        text.push_str(plain);
        let mut after = escape.chars();
        let character = match after.next() {
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                let place = inner.len() - escape.len() - 1;
                let units = [code_unit(inner, place), code_unit(inner, place + 6)];
                let character = char::decode_utf16(units.into_iter().flatten())
                    .next()
                    .and_then(Result::ok)
                    .unwrap_or(char::REPLACEMENT_CHARACTER);
                let digits = if character.len_utf16() == 2 { 10 } else { 4 };
                after = escape.get(1 + digits..).unwrap_or_default().chars();
                character
            }
            Some(itself) => itself,
            None => break,
        };
        text.push(character);
        rest = after.as_str();
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests;
