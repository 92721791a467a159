//! Where a database is.

use std::fmt;
use std::path::PathBuf;

/// Where a database is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    File(PathBuf),
    /// A Postgres database, `postgres://user:password@host:5432/name`.
    Postgres(String),
}

/// Why a text is no location.
#[derive(Debug, thiserror::Error)]
pub enum LocationError {
    /// It has no scheme that is known.
    #[error("`{0}` is no database URL: use postgres://USER:PASSWORD@HOST:5432/DATABASE")]
    Scheme(String),
    /// It has the right scheme and can't be read.
    #[error("the database URL can't be read: {0}")]
    Url(String),
}

impl Location {
    /// Reads a URL.
    pub fn parse(url: &str) -> Result<Self, LocationError> {
        if let Some(path) = url.strip_prefix("sqlite://") {
            return Ok(Self::File(PathBuf::from(path)));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            let shown = url.split(['@', '?']).next_back().unwrap_or_default();
            return Err(LocationError::Scheme(shown.to_owned()));
        }
        let options: Result<sqlx::postgres::PgConnectOptions, _> = url.parse();
        options
            .map(|_| Self::Postgres(url.to_owned()))
            .map_err(|error| LocationError::Url(error.to_string()))
    }

    /// The URL with its password, for whoever may have it.
    pub fn url(&self) -> String {
        match self {
            Self::File(path) => format!("sqlite://{}", path.display()),
            Self::Postgres(url) => url.clone(),
        }
    }
}

/// As people and logs may see it: without the password.
impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Postgres(url) => {
                let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
                let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
                let place = place.split('?').next().unwrap_or_default();
                let user = login.split(':').next().unwrap_or_default();
                let at = if user.is_empty() { "" } else { "@" };
                write!(formatter, "{scheme}://{user}{at}{place}")
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let location = Location::parse("postgres://ann:s3cret@db.example:5432/crm?password=s3cret");
        let location = location.unwrap();
        assert_eq!(location.to_string(), "postgres://ann@db.example:5432/crm");
        assert!(!format!("{location:?}").contains("s3cret"));
        let wrong = Location::parse("mysql://ann:s3cret@db.example/crm").unwrap_err();
        assert!(!wrong.to_string().contains("s3cret"), "{wrong}");
    }
}
