//! Connectors' HTML, reduced to what help texts need: links to https, bold,
//! italic, code, line breaks and paragraphs. Pages insert it as it is.

use std::collections::{HashMap, HashSet};

/// Takes out everything that is not harmless.
pub(crate) fn harmless(html: &str) -> String {
    ammonia::Builder::empty()
        .tags(HashSet::from(["a", "b", "i", "code", "br", "p"]))
        .tag_attributes(HashMap::from([("a", HashSet::from(["href"]))]))
        .url_schemes(HashSet::from(["https"]))
        .url_relative(ammonia::UrlRelative::Deny)
        .link_rel(Some("noopener noreferrer"))
        .set_tag_attribute_value("a", "target", "_blank")
        .clean_content_tags(HashSet::from(["script", "style"]))
        .clean(html)
        .to_string()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn only_the_harmless_part_stays() {
        for (given, kept) in [
            (
                "see <b>Admin</b> &amp; <i>API</i><br>",
                "see <b>Admin</b> &amp; <i>API</i><br>",
            ),
            ("<script>alert(1)</script>x", "x"),
            ("<img src=x onerror=alert(1)>x", "x"),
            (
                "<a href=\"javascript:alert(1)\">x</a>",
                "<a target=\"_blank\" rel=\"noopener noreferrer\">x</a>",
            ),
            ("<p onclick=\"x()\" style=\"y\">x</p>", "<p>x</p>"),
            ("<svg><script>1</script></svg>", ""),
        ] {
            assert_eq!(harmless(given), kept, "{given}");
        }
        let link = harmless("<a href=\"https://app.example.com/api\">x</a>");
        assert!(
            link.contains("href=\"https://app.example.com/api\""),
            "{link}"
        );
        assert!(link.contains("noopener"), "{link}");
    }
}
