//! The README shows these very files.

#![allow(clippy::unwrap_used, missing_docs)]

const README: &str = include_str!("../../../guest-sdk/rust/README.md");

fn shows(language: &str, file: &str) -> bool {
    README.contains(&format!("```{language}\n{}\n```\n", file.trim_end()))
}

#[test]
fn the_readme_shows_this_connector() {
    assert!(shows("rust", include_str!("../src/lib.rs")));
    assert!(shows("json", include_str!("../manifest.json")));
}
