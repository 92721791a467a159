//! A host of the manifest: exact, with fields for single labels, or a wildcard.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A host that a connector may call: `api.example.com`, `{shop}.example.com`, `*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    text: String,
    wildcard: bool,
    labels: Vec<Label>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Label {
    Literal(String),
    /// The value of a public field.
    Field(String),
}

/// A host that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the last two labels must be literal, so that the one who enters a field cannot choose whose host it is"
)]
pub struct BadHost;

impl FromStr for HostPattern {
    type Err = BadHost;

    /// The form has been checked by the schema; here it is only taken apart.
    fn from_str(text: &str) -> Result<Self, BadHost> {
        let (wildcard, rest) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let labels: Vec<Label> = rest
            .split('.')
            .map(|label| {
                match label
                    .strip_prefix('{')
                    .and_then(|label| label.strip_suffix('}'))
                {
                    Some(field) => Label::Field(field.to_owned()),
                    None => Label::Literal(label.to_owned()),
                }
            })
            .collect();
        let own = labels
            .iter()
            .rev()
            .take_while(|label| matches!(label, Label::Literal(_)))
            .count();
        if own < 2 {
            return Err(BadHost);
        }
        Ok(HostPattern {
            text: text.to_owned(),
            wildcard,
            labels,
        })
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|error| serde::de::Error::custom(format!("host `{text}`: {error}")))
    }
}

impl HostPattern {
    /// As the manifest has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it begins with `*.`. Such a host never receives a secret.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// The public fields that it needs.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().filter_map(|label| match label {
            Label::Field(name) => Some(name.as_str()),
            Label::Literal(_) => None,
        })
    }

    /// The host with the fields filled in, lower case, a wildcard still with its `*.`. None while a field has no
    /// value, or one that is not a single DNS label.
    pub fn resolve(&self, field: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut host = String::from(if self.wildcard { "*." } else { "" });
        for (at, label) in self.labels.iter().enumerate() {
            if at > 0 {
                host.push('.');
            }
            match label {
                Label::Literal(label) => host.push_str(label),
                Label::Field(name) => {
                    let value = field(name)?.to_ascii_lowercase();
                    if !is_dns_label(&value) {
                        return None;
                    }
                    host.push_str(&value);
                }
            }
        }
        Some(host)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{BadHost, HostPattern};

    fn host(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_field_stands_for_one_label() {
        let shop = host("{shop}.api.example.com");
        assert_eq!(shop.fields().collect::<Vec<_>>(), ["shop"]);
        let with = |value: &str| shop.resolve(|name| (name == "shop").then(|| value.to_owned()));
        assert_eq!(with("Acme-2").as_deref(), Some("acme-2.api.example.com"));
        for bad in [
            "",
            "a.b",
            "evil.com/",
            "-a",
            "a-",
            "a b",
            "ä",
            "a@b",
            "{x}",
            &"a".repeat(64),
        ] {
            assert_eq!(with(bad), None, "{bad}");
        }
        assert_eq!(shop.resolve(|_| None), None);
        assert_eq!(shop.to_string(), "{shop}.api.example.com");
    }

    #[test]
    fn nobody_chooses_whose_host_it_is() {
        for text in [
            "{a}.com",
            "api.{a}.com",
            "example.{a}",
            "*.com",
            "*.{a}.com",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(BadHost), "{text}");
        }
        assert!(host("*.example.com").is_wildcard());
        assert_eq!(
            host("*.example.com").resolve(|_| None).as_deref(),
            Some("*.example.com")
        );
    }
}
