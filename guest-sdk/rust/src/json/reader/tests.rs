//! The reader agrees with serde_json.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use serde_json::Value;

use super::*;

fn whole(text: &str) -> Result<&str, Malformed> {
    let mut reader = Reader::new(text);
    let raw = reader.raw()?;
    match reader.peek() {
        None => Ok(raw),
        Some(_) => reader.fail("more follows"),
    }
}

const SAMPLES: [&str; 12] = [
    r#"{"a":[1,-2.5e+3,0,0.1,1E9,-0],"b":{"c":{},"d":[]},"e":"x\"\\\/\b\f\n\r\tA😀z"}"#,
    r#" [ "plain text of some length" , true,false , null ,"é\u00e9日本語", [[[]]] ] "#,
    r#""" "#,
    r#"18446744073709551615"#,
    r#"18446744073709551616"#,
    r#"[{"k":"v","k":"w"},{"":""}]"#,
    "\"seven b\"",
    "\"eight by\"",
    "\"sixteen bytes ok\"",
    "{\"a\" :\t1 ,\r\n \"b\":2}",
    r#"{"nested":"{\"json\":[1,2]}"}"#,
    r#"[1e400]"#,
];

#[test]
fn agrees_with_serde_json_on_what_is_json() {
    // Every sample, every sample cut anywhere, and every sample with one
    // byte replaced.
    let mut compared = 0;
    for sample in SAMPLES {
        let cut = (0..=sample.len()).filter_map(|end| sample.get(..end).map(str::to_owned));
        let replaced = (0..sample.len()).flat_map(|at| {
            [
                "\"", "\\", "{", "}", "[", "]", ",", ":", "0", "-", ".", "e", "u", "\n", "x",
                "\u{1}",
            ]
            .into_iter()
            .filter_map(move |byte| {
                Some(format!(
                    "{}{byte}{}",
                    sample.get(..at)?,
                    sample.get(at + 1..)?
                ))
            })
        });
        for text in cut.chain(replaced) {
            let theirs: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&text);
            match (whole(&text), &theirs) {
                (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs.get()),
                (Err(_), Err(_)) => {}
                // serde_json passes half pairs by in what it ignores.
                (
                    Err(Malformed {
                        why: "half a surrogate pair",
                        ..
                    }),
                    Ok(_),
                ) => {}
                (ours, theirs) => panic!("{text}: {ours:?} {theirs:?}"),
            }
            compared += 1;
        }
    }
    assert!(compared > 3000);
}

#[test]
fn reads_the_same_texts_and_numbers_as_serde_json() {
    fn check(reader: &mut Reader<'_>, value: &Value) {
        match value {
            Value::Array(items) => {
                assert!(reader.take(b'['));
                for (index, item) in items.iter().enumerate() {
                    assert!(reader.element(index == 0).unwrap());
                    check(reader, item);
                }
                assert!(!reader.element(items.is_empty()).unwrap());
            }
            Value::Object(members) => {
                assert!(reader.take(b'{'));
                for (index, (name, value)) in members.iter().enumerate() {
                    assert_eq!(reader.name(index == 0).unwrap().unwrap(), name.as_str());
                    check(reader, value);
                }
                assert!(reader.name(members.is_empty()).unwrap().is_none());
            }
            Value::Null => assert_eq!(reader.scalar().unwrap(), Scalar::None),
            Value::Bool(flag) => assert_eq!(reader.scalar().unwrap(), Scalar::Flag(*flag)),
            Value::String(text) => {
                assert_eq!(reader.scalar().unwrap(), Scalar::Text(text.into()));
            }
            Value::Number(number) => {
                let scalar = reader.scalar().unwrap();
                match number.as_u64() {
                    Some(whole) => assert_eq!(scalar, Scalar::Whole(whole)),
                    None => assert_eq!(scalar.number(), number.as_f64()),
                }
            }
        }
    }
    let unique = SAMPLES
        .iter()
        .filter(|sample| !sample.contains("\"k\"") && !sample.contains("e400"));
    for sample in unique {
        check(
            &mut Reader::new(sample),
            &serde_json::from_str(sample).unwrap(),
        );
    }
    assert_eq!(Reader::new("1e400").scalar().unwrap(), Scalar::None);
    assert_eq!(
        Reader::new("[1e400]").value().unwrap_err().why,
        "not a number"
    );
    for sample in SAMPLES.iter().filter(|sample| !sample.contains("e400")) {
        let theirs: Value = serde_json::from_str(sample).unwrap();
        assert_eq!(Reader::new(sample).value().unwrap(), theirs);
    }
}

#[test]
fn refuses_half_pairs_and_abysses() {
    assert_eq!(
        Reader::new(r#""\ud83d""#).scalar().unwrap_err().why,
        "half a surrogate pair"
    );
    assert_eq!(
        whole(r#"["\ude00"]"#).unwrap_err().why,
        "half a surrogate pair"
    );
    assert!(whole(&("[".repeat(128) + &"]".repeat(128))).is_ok());
    assert_eq!(whole(&"[".repeat(129)).unwrap_err().why, "too deep");
}
