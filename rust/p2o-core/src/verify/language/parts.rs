//! Answers in lettered parts: "(a) 5; (b) 12".

/// The parts as values with names of their own, where a text is made of them and of nothing else.
pub(crate) fn named(text: &str) -> Option<String> {
    const MOST: usize = 8;
    if !text.starts_with(['(', 'a', '\\', '*']) || !text.contains("a)") || !text.contains("b)") {
        return None;
    }
    // `\text{(a) }5` sets its letters upright.
    let mut plain = text.to_string();
    for font in ["\\text{", "\\textbf{", "\\mathrm{", "**"] {
        for (before, after) in [("(", ") }"), ("(", ")}"), ("", ") }"), ("", ")}"), ("(", ")**")] {
            for letter in ('a'..).take(MOST) {
                plain = plain.replace(&format!("{font}{before}{letter}{after}"), &format!("({letter})"));
            }
        }
    }
    let inside = plain.strip_prefix("\\text{").and_then(|inside| inside.strip_suffix('}')).unwrap_or(&plain);
    let mut rest = inside.trim().trim_start_matches('(').strip_prefix("a)")?;
    let mut parts = Vec::new();
    for next in ('b'..).take(MOST) {
        let end = rest.find(&format!("{next})"));
        let (value, behind) = end.map_or((rest, ""), |end| (&rest[..end], &rest[end + 2..]));
        let value = value
            .trim_end_matches('(')
            .trim_end()
            .trim_end_matches("\\quad")
            .trim_end_matches(|sign: char| sign.is_whitespace() || ",;.\\&".contains(sign))
            .trim_end_matches("\\text{ and")
            .trim_end_matches(" and")
            .trim();
        let value = value.strip_prefix("\\ ").unwrap_or(value).trim_start();
        parts.push(format!("\\text{{part{}}} = {value}", char::from(next as u8 - 1)));
        if value.is_empty() || value.contains('=') {
            return None;
        }
        if end.is_none() {
            return (parts.len() > 1).then(|| parts.join(", "));
        }
        rest = behind;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn parts_have_names() {
        let both = Some("\\text{parta} = 5, \\text{partb} = 12".to_string());
        for text in [
            "(a) 5; (b) 12",
            "\\text{(a) }5,\\ \\text{(b) }12",
            "\\text{a) 5  b) 12}",
            "(a)\\ 5 \\quad (b)\\ 12",
        ] {
            assert_eq!(named(text), both, "{text}");
        }
        for text in ["(a) 5", "(b) 5; (a) 12", "f(a) + f(b)", "(a+b)(a-b)", "(a)(b)"] {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
