//! Lines for the operator's log. Secrets of the credential are blanked.

use std::fmt::Display;

use crate::backend;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For tracing a single call.
    Trace,
    /// For the connector's author.
    Debug,
    /// For the operator.
    Info,
    /// Something is odd but goes on.
    Warn,
    /// Something failed.
    Error,
}

/// Writes one line.
pub fn write(level: Level, message: impl Display) {
    backend::log(level, &message.to_string());
}

/// Writes one line for the connector's author.
pub fn debug(message: impl Display) {
    write(Level::Debug, message);
}

/// Writes one line for the operator.
pub fn info(message: impl Display) {
    write(Level::Info, message);
}

/// Says that something is odd but goes on.
pub fn warn(message: impl Display) {
    write(Level::Warn, message);
}
