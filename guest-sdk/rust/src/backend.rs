//! Where the host's imports come from: the host itself in the sandbox, the
//! installed fake app natively. Both offer the same functions.

#[cfg(target_arch = "wasm32")]
mod imports;
#[cfg(target_arch = "wasm32")]
pub(crate) use imports::*;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::backend::*;
