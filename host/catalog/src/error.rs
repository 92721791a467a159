//! What can be wrong with the entity files, and with a document that somebody sent.

use std::fmt;

use crate::table::Kind;

/// The entity files don't make a catalogue. Only somebody who edits them sees this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A file is not what `wit/entities/README.md` describes.
    #[error("wit/entities/{file}: {message}")]
    File {
        /// `CATEGORY/NAME.json`.
        file: String,
        /// What is wrong.
        message: String,
    },
    /// A field's schema is not what `wit/entities/README.md` describes.
    #[error("wit/entities/{file}: /properties/{field}: {message}")]
    Field {
        /// `CATEGORY/NAME.json`.
        file: String,
        /// The field's name.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// Two entities share a table and disagree about a column.
    #[error(
        "wit/entities/{file}: /properties/{column}: is {second}, but the table {table} has it as {first}"
    )]
    TwoKinds {
        /// The file that came second.
        file: String,
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// What the earlier file said.
        first: Kind,
        /// What this file says.
        second: Kind,
    },
}

/// One complaint about one place of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// RFC 6901 JSON pointer, for example `/emails/0/value`; empty for the whole document.
    pub pointer: String,
    /// What is wrong, for the person who sent the document.
    pub message: String,
}

impl Issue {
    /// A complaint about what stands at a pointer.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Issue {
        Issue {
            pointer: pointer.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            return f.write_str(&self.message);
        }
        write!(f, "{}: {}", self.pointer, self.message)
    }
}
