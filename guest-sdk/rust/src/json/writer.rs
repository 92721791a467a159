//! Writing records: straight into the text that is handed over.
//!
//! The counterpart of [`Reader`](super::Reader), small and without generics.

use serde_json::{Map, Number, Value};

use super::reader::plain;

/// A value that is written as JSON.
///
/// Implemented by the types of [`entities`](crate::entities) and by values of
/// `serde_json`; [`Item::body`](crate::Item::body) takes it.
pub trait Write {
    /// Writes the value.
    fn write(&self, out: &mut Writer);
}

/// The JSON text of a value.
pub fn text_of(value: &impl Write) -> String {
    let mut out = Writer::default();
    value.write(&mut out);
    out.finish()
}

/// JSON text in the making.
#[derive(Debug, Default)]
pub struct Writer {
    text: Vec<u8>,
}

impl Writer {
    /// A writer with room for so many bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            text: Vec::with_capacity(capacity),
        }
    }

    /// The text written.
    pub fn finish(self) -> String {
        // What was written came from texts, cut where a character is ASCII.
        String::from_utf8(self.text).unwrap_or_default()
    }

    /// Writes a value's text.
    pub fn text(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.text.reserve(bytes.len() + 2);
        self.text.push(b'"');
        if plain(bytes) == bytes.len() {
            self.copy(bytes);
        } else {
            bytes.iter().for_each(|byte| self.byte(*byte));
        }
        self.text.push(b'"');
    }

    /// Copies bytes. A copy of a length that isn't known beforehand is a call
    /// out of the sandbox, so short ones go word by word.
    #[inline]
    fn copy(&mut self, bytes: &[u8]) {
        const LONG: usize = 64;
        if bytes.len() > LONG {
            self.text.extend_from_slice(bytes);
            return;
        }
        let (mut rest, mut words) = (bytes, false);
        while let Some((word, tail)) = rest.split_first_chunk::<8>() {
            self.text.extend_from_slice(word);
            (rest, words) = (tail, true);
        }
        match (bytes.last_chunk::<8>(), rest.len()) {
            (_, 0) => {}
            // Once more the last word, over what is there of it already.
            (Some(word), missing) if words => {
                self.text
                    .truncate((self.text.len() + missing).saturating_sub(8));
                self.text.extend_from_slice(word);
            }
            _ => {
                if let Some((half, tail)) = rest.split_first_chunk::<4>() {
                    self.text.extend_from_slice(half);
                    rest = tail;
                }
                rest.iter().for_each(|byte| self.text.push(*byte));
            }
        }
    }

    /// Writes one byte of a text, escaped if need be.
    fn byte(&mut self, byte: u8) {
        match byte {
            b'"' | b'\\' | 0..=0x1F => self.escape(byte),
            byte => self.text.push(byte),
        }
    }

    fn escape(&mut self, byte: u8) {
        let short = match byte {
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1F => {
                let digit = |value: u8| match value & 15 {
                    low @ 0..=9 => b'0' + low,
                    high => b'a' - 10 + high,
                };
                self.text.extend_from_slice(b"\\u00");
                self.text
                    .extend_from_slice(&[digit(byte >> 4), digit(byte)]);
                return;
            }
            itself => itself,
        };
        self.text.extend_from_slice(&[b'\\', short]);
    }

    /// Writes a whole number.
    pub fn whole(&mut self, number: u64) {
        let mut digits = [b'0'; 20];
        let (mut rest, mut used) = (number, 0);
        for digit in digits.iter_mut().rev() {
            // A remainder of ten fits.
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
            used += 1;
            if rest == 0 {
                break;
            }
        }
        let written = digits.get(digits.len() - used..).unwrap_or_default();
        self.text.extend_from_slice(written);
    }

    /// Writes any number, without a fraction where it has none. JSON has no
    /// infinities; they are written as null.
    pub fn number(&mut self, number: f64) {
        /// Whole numbers up to here are exact in a `f64`.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() < EXACT {
            if number < 0.0 {
                self.text.push(b'-');
            }
            self.whole(number.abs() as u64);
        } else {
            let number = Number::from_f64(number).map(|number| number.to_string());
            self.raw(number.as_deref().unwrap_or("null"));
        }
    }

    /// Writes `true` or `false`.
    pub fn flag(&mut self, flag: bool) {
        self.raw(if flag { "true" } else { "false" });
    }

    /// Writes text that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.text.extend_from_slice(json.as_bytes());
    }

    /// Begins an object.
    pub fn begin(&mut self) {
        self.text.push(b'{');
    }

    /// Writes a member's name, and what separates it from the one before.
    pub fn name(&mut self, name: &str) {
        self.comma(b'{');
        self.text(name);
        self.text.push(b':');
    }

    /// Writes a member's name that needs no escapes.
    #[inline(always)]
    pub(crate) fn plain_name<const N: usize>(&mut self, quoted_with_colon: &[u8; N]) {
        self.comma(b'{');
        self.text.extend_from_slice(quoted_with_colon);
    }

    /// Ends an object.
    pub fn end(&mut self) {
        self.text.push(b'}');
    }

    /// Writes a list.
    pub fn list<T: Write>(&mut self, items: &[T]) {
        self.text.push(b'[');
        for item in items {
            self.comma(b'[');
            item.write(self);
        }
        self.text.push(b']');
    }

    #[inline]
    fn comma(&mut self, bracket: u8) {
        if self.text.last() != Some(&bracket) {
            self.text.push(b',');
        }
    }
}

impl Write for Value {
    fn write(&self, out: &mut Writer) {
        match self {
            Self::Null => out.raw("null"),
            Self::Bool(flag) => out.flag(*flag),
            Self::Number(number) => out.raw(&number.to_string()),
            Self::String(text) => out.text(text),
            Self::Array(items) => out.list(items),
            Self::Object(members) => members.write(out),
        }
    }
}

impl Write for Map<String, Value> {
    fn write(&self, out: &mut Writer) {
        out.begin();
        for (name, value) in self {
            out.name(name);
            value.write(out);
        }
        out.end();
    }
}

impl Write for std::borrow::Cow<'_, str> {
    fn write(&self, out: &mut Writer) {
        out.text(self);
    }
}

impl Write for f64 {
    fn write(&self, out: &mut Writer) {
        out.number(*self);
    }
}

impl Write for i64 {
    fn write(&self, out: &mut Writer) {
        if *self < 0 {
            out.raw("-");
        }
        out.whole(self.unsigned_abs());
    }
}

impl Write for bool {
    fn write(&self, out: &mut Writer) {
        out.flag(*self);
    }
}

impl<T: Write> Write for Vec<T> {
    fn write(&self, out: &mut Writer) {
        out.list(self);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn written(value: &impl Write) -> String {
        let mut out = Writer::default();
        value.write(&mut out);
        out.finish()
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let value = json!({
            "": [[], {}, [[1, -2, 0, 18446744073709551615_u64, 2.5, -1e300]], null, true, false],
            "tricky \"\\\n\r\t\u{0}\u{1f}\u{7f} é日本😀": "{\"[,}]\": \"\\\"}",
            "ends with a bracket {": "[", "after": {"a{": {"b": ["["]}},
        });
        let text = written(&value);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(text, value.to_string());
    }

    #[test]
    fn numbers_stay_short() {
        for (number, text) in [
            (449_000.0, "449000"),
            (-0.5, "-0.5"),
            (0.0, "0"),
            (-7.0, "-7"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(written(&number), text);
        }
        assert_eq!(written(&i64::MIN), "-9223372036854775808");
        assert_eq!(written(&1e17), "1e+17");
    }
}
