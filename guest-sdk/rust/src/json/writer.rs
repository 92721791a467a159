//! Writing records: straight into the text that is handed over.
//!
//! The counterpart of [`Reader`](super::Reader), small and without generics. It
//! writes into a `String`, so nothing is checked for being UTF-8 again.

use serde_json::{Map, Value};

use super::reader::plain;

/// A value that is written as JSON.
///
/// Implemented by the types of [`entities`](crate::entities) and by values of
/// `serde_json`; [`Item::body`](crate::Item::body) takes it.
pub trait Write {
    /// Writes the value.
    fn write(&self, out: &mut Writer);
}

/// JSON text in the making.
#[derive(Debug, Default)]
pub struct Writer {
    text: String,
}

impl Writer {
    /// A writer with room for so many bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            text: String::with_capacity(capacity),
        }
    }

    /// The text written.
    pub fn finish(self) -> String {
        self.text
    }

    /// Writes a value's text.
    pub fn text(&mut self, text: &str) {
        self.text.push('"');
        let mut rest = text;
        loop {
            let (clean, special) = rest
                .split_at_checked(plain(rest.as_bytes()))
                .unwrap_or((rest, ""));
            self.text.push_str(clean);
            let mut after = special.chars();
            match after.next() {
                Some(character) => self.escape(character),
                None => break,
            }
            rest = after.as_str();
        }
        self.text.push('"');
    }

    fn escape(&mut self, character: char) {
        let short = match character {
            '"' => '"',
            '\\' => '\\',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            control => {
                let code = u32::from(control);
                let digit = |value| char::from_digit(value & 15, 16).unwrap_or('0');
                self.text.push_str("\\u00");
                self.text.extend([digit(code >> 4), digit(code)]);
                return;
            }
        };
        self.text.extend(['\\', short]);
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
        self.text.extend(written.iter().copied().map(char::from));
    }

    /// Writes any number, without a fraction where it has none. JSON has no
    /// infinities; they are written as null.
    pub fn number(&mut self, number: f64) {
        /// Whole numbers up to here are exact in a `f64`.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if number.fract() == 0.0 && number.abs() < EXACT {
            if number < 0.0 {
                self.text.push('-');
            }
            self.whole(number.abs() as u64);
        } else {
            self.raw(&Value::from(number).to_string());
        }
    }

    /// Writes `true` or `false`.
    pub fn flag(&mut self, flag: bool) {
        self.text.push_str(if flag { "true" } else { "false" });
    }

    /// Writes text that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.text.push_str(json);
    }

    /// Begins an object.
    pub fn begin(&mut self) {
        self.text.push('{');
    }

    /// Writes a member's name, and what separates it from the one before.
    pub fn name(&mut self, name: &str) {
        self.comma('{');
        self.text(name);
        self.text.push(':');
    }

    /// Writes a member's name that needs no escapes.
    pub(crate) fn plain_name(&mut self, quoted_with_colon: &str) {
        self.comma('{');
        self.text.push_str(quoted_with_colon);
    }

    /// Ends an object.
    pub fn end(&mut self) {
        self.text.push('}');
    }

    /// Writes a list.
    pub fn list<T: Write>(&mut self, items: &[T]) {
        self.text.push('[');
        for item in items {
            self.comma('[');
            item.write(self);
        }
        self.text.push(']');
    }

    fn comma(&mut self, bracket: char) {
        if !self.text.ends_with(bracket) {
            self.text.push(',');
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
