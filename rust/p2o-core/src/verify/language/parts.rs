//! Answers in numbered parts: "(a) 5; (b) 12", "(1) 5 (2) 12", "(i) 5, (ii) 12".

use super::lexicon::split;
use super::text::unwrapped;

/// How parts are numbered. Digits are a number's own unless they stand in brackets.
const NUMBERS: [[&str; 8]; 3] =
    [split("a b c d e f g h"), split("i ii iii iv v vi vii viii"), split("1 2 3 4 5 6 7 8")];

/// The parts as values with names of their own, where a text is made of them and of nothing else.
pub(crate) fn named(text: &str) -> Option<String> {
    if !text.starts_with(['(', 'a', 'i', '\\', '*']) {
        return None;
    }
    let has = |number: &str| text.match_indices(')').any(|(at, _)| text[..at].ends_with(number));
    NUMBERS
        .iter()
        .filter(|[first, second, ..]| has(first) && has(second))
        .find_map(|numbers| numbered(text, numbers))
}

fn numbered(text: &str, numbers: &[&str]) -> Option<String> {
    // `\text{(a) }5` sets its letters upright.
    let mut plain = text.to_string();
    for font in ["\\text{", "\\textbf{", "\\mathrm{", "**"].into_iter().filter(|font| text.contains(font)) {
        for (before, after) in [("(", ") }"), ("(", ")}"), ("", ") }"), ("", ")}"), ("(", ")**")] {
            for number in numbers {
                plain = plain.replace(&format!("{font}{before}{number}{after}"), &format!("({number})"));
            }
        }
    }
    let inside = plain.strip_prefix("\\text{").and_then(|inside| inside.strip_suffix('}')).unwrap_or(&plain);
    let open = if numbers[0] == "1" { "(" } else { "" };
    let mark = |number: &str| format!("{open}{number})");
    let inside = inside.trim();
    let inside = if open.is_empty() { inside.trim_start_matches('(') } else { inside };
    let mut rest = inside.strip_prefix(&mark(numbers[0]))?;
    let mut parts = Vec::new();
    for (place, name) in ('a'..).take(numbers.len()).enumerate() {
        let next = numbers.get(place + 1).map(|number| mark(number));
        let end = next.as_ref().and_then(|next| Some((rest.find(next)?, next.len())));
        let (value, behind) = end.map_or((rest, ""), |(end, length)| (&rest[..end], &rest[end + length..]));
        let value = value
            .trim_end_matches('(')
            .trim_end()
            .trim_end_matches("\\quad")
            .trim_end_matches(|sign: char| sign.is_whitespace() || ",;.\\&".contains(sign))
            .trim_end_matches("\\text{ and")
            .trim_end_matches(" and")
            .trim();
        let value = value.strip_prefix("\\ ").unwrap_or(value).trim_matches(['$', ' ']);
        parts.push(format!("\\text{{part{name}}} = {value}"));
        if !value.contains(char::is_alphanumeric) || value.contains(['=', '$']) {
            return None;
        }
        if end.is_none() {
            return (parts.len() > 1).then(|| parts.join(", "));
        }
        rest = behind;
    }
    None
}

/// A quotient with its remainder, "7 R 3", as two values with names.
pub(crate) fn remainder(text: &str) -> Option<String> {
    let divides = || text.contains('R') || text.contains('余') || text.contains("remainder");
    if !text.starts_with(|first: char| first.is_ascii_digit()) || !divides() {
        return None;
    }
    let plain = unwrapped(text);
    let (quotient, rest) = plain.split_once(['R', '余']).or_else(|| plain.split_once("remainder"))?;
    let quotient = quotient.trim_end_matches("with a ").trim_end_matches("with ").trim();
    let rest = rest.trim().trim_start_matches("of ").trim();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    (digits(quotient) && digits(rest))
        .then(|| format!("\\text{{quotient}} = {quotient}, \\text{{rest}} = {rest}"))
}

/// The statements that are right, "(1)(3)", as a list of their numbers and no product.
pub(crate) fn statements(text: &str) -> Option<String> {
    if !text.contains(')') || !text.contains(")(") && !text.contains("), (") {
        return None;
    }
    let plain = text.replace(['(', ',', ' '], "");
    let numbers: Vec<&str> = plain.strip_suffix(')')?.split(')').collect();
    let single = |number: &&str| number.len() == 1 && number.as_bytes()[0].is_ascii_digit();
    (numbers.len() > 1 && numbers.iter().all(single)).then(|| numbers.join(", "))
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
            "(1) $5$; (2) $12$",
            "(1)\\ 5,\\ (2)\\ 12",
            "(i) 5 (ii) 12",
            "i) 5, ii) 12",
        ] {
            assert_eq!(named(text), both, "{text}");
        }
        for text in [
            "(a) 5",
            "(b) 5; (a) 12",
            "f(a) + f(b)",
            "(a+b)(a-b)",
            "(a)(b)",
            "(1)(2)",
            "(1)+(2)",
            "(i)",
            "(1, 2)",
        ] {
            assert_eq!(named(text), None, "{text}");
        }
    }
}
