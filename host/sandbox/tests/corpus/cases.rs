//! All guests of the corpus, by what they attack.

mod advisories;
mod compiling;
mod handles;
mod http;
mod imports;
mod loops;
mod memory;
mod returns;

use crate::case::{Case, Kind};
use crate::guest::answering;

/// Every row, in the table's order.
pub(crate) fn all() -> Vec<Case> {
    // What the others' costs are compared with.
    let behaves = Case::new("a guest that behaves", answering(), Kind::Answers, "");
    [
        vec![behaves],
        loops::cases(),
        memory::cases(),
        returns::cases(),
        handles::cases(),
        imports::cases(),
        compiling::cases(),
        advisories::cases(),
        http::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
