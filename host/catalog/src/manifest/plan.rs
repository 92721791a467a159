//! The ways to connect an account, and what the person enters.

use regex::Regex;
use serde::Deserialize;

use super::{ANSWER, OAuth2, Place};

/// A way to connect an account.
#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    /// Its key: `api-key`. Unique in the manifest.
    pub key: String,
    /// Its name for people; may be empty.
    #[serde(default)]
    pub name: String,
    /// How the account is proven.
    pub auth: Auth,
}

impl Plan {
    /// Whether the connector signs in with what a person enters.
    pub fn has_login(&self) -> bool {
        self.auth.method == AuthMethod::SignIn
    }

    /// Whether a secret is for signing in only: no other call of the connector may use it.
    pub fn withholds(&self, slot: &str) -> bool {
        let mut inputs = self.auth.inputs.iter();
        let entered = inputs.any(|input| input.kind.is_secret() && input.key == slot);
        self.has_login() && (entered || slot == ANSWER)
    }
}

/// How an account is proven.
#[derive(Clone, Debug, Deserialize)]
pub struct Auth {
    /// The method.
    pub method: AuthMethod,
    /// What the person enters.
    #[serde(default)]
    pub inputs: Vec<Input>,
    /// What `authenticate: true` adds to a request.
    #[serde(default)]
    pub placements: Vec<Placement>,
    /// With the methods `oauth2` and `client-credentials`, and only with them.
    pub oauth2: Option<OAuth2>,
}

/// The method of authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AuthMethod {
    /// Nothing to enter.
    None,
    /// The person enters keys.
    Fields,
    /// The person signs in at the app.
    #[serde(rename = "oauth2")]
    OAuth2,
    /// The person enters what `login` signs in with.
    SignIn,
    /// A client that was entered gets access tokens (RFC 6749, 4.4).
    ClientCredentials,
    /// The product's tokens bring what a person would enter.
    ConsumerToken,
}

/// A secret's place in every authenticated request.
#[derive(Clone, Debug, Deserialize)]
pub struct Placement {
    /// The slot.
    pub slot: String,
    /// Text put before the secret; may be empty.
    #[serde(default)]
    pub prefix: String,
    /// The place.
    pub place: Place,
    /// Left out, without an error, while the slot has no value.
    #[serde(default)]
    pub optional: bool,
}

/// Something a person enters.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// The name of the public field or of the slot that it fills.
    pub key: String,
    /// What kind of input it is.
    #[serde(rename = "type")]
    pub kind: InputKind,
    /// What is written beside it.
    pub label: Option<String>,
    /// What is written in it while it is empty.
    pub placeholder: Option<String>,
    /// Help under it. Not yet reduced to harmless HTML.
    #[serde(rename = "infoHTML")]
    pub info_html: Option<String>,
    /// A regular expression that the whole value must match.
    pub pattern: Option<String>,
    /// Whether it may be left empty.
    #[serde(default)]
    pub optional: bool,
    /// What the button says that adds another value to a list.
    pub add_button_label: Option<String>,
    /// The choices of a dropdown.
    #[serde(default)]
    pub options: Vec<Choice>,
}

impl Input {
    /// Whether a single value may be entered: it matches the pattern and is one of the options, where there are such.
    pub fn accepts(&self, value: &str) -> bool {
        let offered = self.kind != InputKind::Dropdown
            || self.options.iter().any(|choice| choice.value() == value);
        // A pattern that does not compile has not passed `Manifest::parse`.
        let matches = self
            .pattern
            .as_deref()
            .is_none_or(|it| pattern_of(it).is_ok_and(|pattern| pattern.is_match(value)));
        offered && matches
    }
}

/// A pattern that must match a whole value.
pub(super) fn pattern_of(text: &str) -> Result<Regex, regex::Error> {
    // On its own first: `a)|(b` would be one only between the parentheses.
    Regex::new(text)?;
    Regex::new(&format!("^(?:{text})$"))
}

/// What kind of input it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum InputKind {
    /// A line of text, public.
    #[serde(rename = "textfield")]
    TextField,
    /// A secret.
    #[serde(rename = "secret")]
    Secret,
    /// Several lines of text, public.
    #[serde(rename = "textfield[]")]
    TextFields,
    /// Several secrets.
    #[serde(rename = "secret[]")]
    Secrets,
    /// One of the options, public.
    #[serde(rename = "dropdown")]
    Dropdown,
}

impl InputKind {
    /// Whether what is entered goes to a slot, and not to a public field.
    pub fn is_secret(self) -> bool {
        matches!(self, InputKind::Secret | InputKind::Secrets)
    }

    /// Whether several values may be entered.
    pub fn is_list(self) -> bool {
        matches!(self, InputKind::TextFields | InputKind::Secrets)
    }
}

/// A choice of a dropdown.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Choice {
    /// The value is shown as it is.
    Plain(String),
    /// The value has a label.
    Labelled {
        /// What is stored.
        value: String,
        /// What is shown.
        label: String,
    },
}

impl Choice {
    /// What is stored.
    pub fn value(&self) -> &str {
        match self {
            Choice::Plain(value) | Choice::Labelled { value, .. } => value,
        }
    }

    /// What is shown.
    pub fn label(&self) -> &str {
        match self {
            Choice::Plain(value) => value,
            Choice::Labelled { label, .. } => label,
        }
    }
}
