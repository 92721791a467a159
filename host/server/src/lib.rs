//! The HTTP server. `edge` is what every request passes, `token` says who asks, `error` is how we refuse.

pub mod edge;
pub mod error;
pub mod token;
