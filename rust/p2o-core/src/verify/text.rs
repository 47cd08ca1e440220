//! Answers in words: prose, yes and no, multiple-choice letters.

use std::borrow::Cow;

use super::expr::Expr;
use super::words;

/// Font commands around words; their argument is the text.
const WRAPPERS: [&str; 14] = [
    "\\text",
    "\\textbf",
    "\\textit",
    "\\textrm",
    "\\mathrm",
    "\\mathbf",
    "\\mathit",
    "\\mathsf",
    "\\mbox",
    "\\hbox",
    "\\operatorname",
    "\\emph",
    "\\textsf",
    "\\texttt",
];

/// Short words that are answers by themselves.
const SHORT: [&str; 14] =
    ["yes", "no", "odd", "even", "true", "none", "all", "dne", "both", "red", "two", "one", "six", "ten"];

/// The text without font commands, dollar signs, braces of groups, emphasis and thin spaces.
pub(crate) fn unwrapped(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if character == '\\' {
            let letters = rest[1..].bytes().take_while(u8::is_ascii_alphabetic).count();
            let command = &rest[..=letters];
            if WRAPPERS.contains(&command) {
                rest = &rest[command.len()..];
                continue;
            }
            if letters == 0 {
                // `\ `, `\,`, `\!`, `\(`: spacing and delimiters; a brace of a set stays out of words as well.
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                result.push(' ');
                rest = &rest[length..];
                continue;
            }
            if words::is_invisible(&command[1..]) {
                result.push(' ');
            } else {
                result.push_str(command);
            }
            rest = &rest[command.len()..];
            continue;
        }
        match character {
            '$' | '{' | '}' | '*' | '"' | '`' => {}
            '~' => result.push(' '),
            _ => result.push(character),
        }
        rest = &rest[character.len_utf8()..];
    }
    result
}

/// The text with the full-width forms of East Asian typesetting as plain characters. Their commas separate, and group no
/// digits.
pub(crate) fn half_width(text: &str) -> Cow<'_, str> {
    // All of them begin with one of two bytes.
    if !text.bytes().any(|byte| byte == 0xEF || byte == 0xE3) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '，' | '、' => plain.push_str(", "),
            '！'..='～' => plain.extend(char::from_u32(u32::from(character) - 0xFEE0)),
            '\u{3000}' => plain.push(' '),
            '。' => plain.push_str(". "),
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

/// Whether the dollar signs of a gold stand around its separators and not around its mathematics: `69$,$84`.
pub(crate) fn is_split_by_dollars(gold: &str) -> bool {
    let mut parts = gold.split('$');
    let begins = parts.next().is_some_and(|first| !first.trim().is_empty());
    let separates =
        |part: &str| matches!(part.trim(), "," | ";" | "and" | "or" | ", and" | ", or") || part == ", where ";
    begins && (parts.clone().count() % 2 == 1 || parts.next().is_some_and(separates))
}

/// Lower-case words with single spaces and no punctuation.
pub(crate) fn normalized_words(text: &str) -> String {
    let plain = unwrapped(text).to_lowercase();
    let mut result = String::with_capacity(plain.len());
    for part in plain.split(|character: char| !character.is_alphanumeric()) {
        if !part.is_empty() {
            if !result.is_empty() {
                result.push(' ');
            }
            result.push_str(part);
        }
    }
    result
}

/// The characters that matter of a text that cannot be parsed: no spacing, no font commands, no `\left`.
pub(crate) fn skeleton(text: &str) -> String {
    let mut plain = text.to_string();
    for (from, to) in [
        ("\\left", ""),
        ("\\right", ""),
        ("\\dfrac", "\\frac"),
        ("\\tfrac", "\\frac"),
        ("\\,", ""),
        ("\\quad", ""),
        ("\\displaystyle", ""),
    ] {
        plain = plain.replace(from, to);
    }
    plain
        .trim_end_matches(['.', ' ', '\n'])
        .chars()
        .filter(|character| !character.is_whitespace() && !matches!(character, '$' | '{' | '}'))
        .collect()
}

/// Whether the text is words and nothing else.
pub(crate) fn is_prose(text: &str) -> bool {
    let plain = unwrapped(text);
    let allowed = |character: char| {
        character.is_alphabetic()
            || character.is_whitespace()
            || matches!(character, '-' | '\'' | '’' | ',' | '.' | '!')
    };
    if plain.is_empty() || !plain.chars().all(allowed) {
        return false;
    }
    let upright = WRAPPERS.iter().any(|wrapper| text.contains(wrapper));
    plain.split(|character: char| !character.is_alphabetic()).filter(|word| !word.is_empty()).any(|word| {
        let length = word.chars().count();
        let lower = word.to_lowercase();
        let known = words::plain_word(&lower).is_some() || words::spelled_letter(&lower).is_some();
        !known && (length >= 4 || SHORT.contains(&lower.as_str()) || length >= 2 && upright)
    })
}

/// The letter of a multiple-choice answer, `C`, `(C)`, `C.`, `\textbf{(C)}\ 42`, and what stands behind it.
pub(crate) fn choice(text: &str) -> Option<(char, String)> {
    let plain = unwrapped(text);
    let plain = plain.trim();
    let plain = ["Option ", "option ", "Choice ", "choice "]
        .into_iter()
        .find_map(|name| plain.strip_prefix(name))
        .unwrap_or(plain)
        .trim_start();
    let (parenthesised, inner) = match plain.strip_prefix('(') {
        Some(inner) => (true, inner.trim_start()),
        None => (false, plain),
    };
    let letter = inner.chars().next().filter(|letter| ('A'..='J').contains(letter))?;
    let rest = &inner[1..];
    if parenthesised {
        let behind = rest.trim_start().strip_prefix(')')?;
        return Some((letter, behind.trim().to_string()));
    }
    if rest.is_empty() {
        return Some((letter, String::new()));
    }
    let behind = rest.strip_prefix([')', '.', ':'])?;
    Some((letter, behind.trim().to_string()))
}

/// The letters of a text that has nothing else, in lower case: `Yes`, `\text{Yes}` and the product `yes` agree.
pub(crate) fn letters_only(text: &str) -> Option<String> {
    let plain = unwrapped(text);
    let mut letters = String::new();
    for character in plain.chars() {
        if character.is_alphabetic() {
            letters.extend(character.to_lowercase());
        } else if !(character.is_whitespace() || matches!(character, '(' | ')' | '.')) {
            return None;
        }
    }
    (!letters.is_empty()).then_some(letters)
}

/// The set that some words stand for: none, or all real numbers.
pub(crate) fn set_in_words(normalized: &str) -> Option<Expr> {
    if matches!(
        normalized,
        "all real numbers" | "all reals" | "the set of all real numbers" | "any real number"
    ) {
        return Some(Expr::Reals);
    }
    let none = matches!(
        normalized,
        "no solution"
            | "no solutions"
            | "no real solution"
            | "no real solutions"
            | "empty set"
            | "the empty set"
            | "no such values"
            | "no such value"
            | "there is no solution"
            | "there are no solutions"
            | "there is no real solution"
            | "there are no real solutions"
    );
    none.then_some(Expr::EmptySet)
}

/// "All real numbers except 1" as `\\mathbb{R} \\setminus \\{1\\}`.
pub(crate) fn reals_except(text: &str) -> Option<String> {
    const SHORTEST: usize = "all reals except 1".len();
    let (before, points) = if text.len() < SHORTEST { None } else { text.split_once("except") }?;
    let all = matches!(
        normalized_words(before).as_str(),
        "all real numbers" | "all reals" | "all real x" | "all real numbers x" | "x is any real number"
    );
    // The brace of `\\text{..}` closes before the points or behind them.
    let points = points.trim_start_matches(['}', ' ', '$', ',']).trim_start_matches("for ");
    let points = points.trim_start_matches("x =").trim_start_matches("x=");
    let unclosed = points.matches('}').count() > points.matches('{').count();
    let points = if unclosed { points.strip_suffix('}')? } else { points };
    (all && !points.is_empty()).then(|| format!("\\mathbb{{R}} \\setminus \\{{{points}\\}}"))
}

/// What a limit, an integral or a determinant is said to be: the 3 of `\lim_{x \to 0} f(x) = 3`. The operation itself is
/// not read.
pub(crate) fn value_of_operation(text: &str) -> Option<&str> {
    let (operation, value) = text.rsplit_once('=')?;
    let starts = ["\\lim", "\\int", "\\iint", "\\oint", "\\det", "\\max_", "\\min_", "\\sup", "\\inf_"];
    let operation =
        operation.trim_start_matches([' ', '$']).trim_start_matches("\\displaystyle").trim_start();
    let relation = operation.ends_with(['<', '>', '!', '\\']);
    (!relation && starts.iter().any(|start| operation.starts_with(start))).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_told_from_mathematics() {
        for text in ["No Solution", "\\text{even}", "diverges.", "Yes", "\\mathrm{Yes}", "Evelyn"] {
            assert!(is_prose(text), "{text}");
        }
        for text in ["ab", "x and y", "\\pi", "theta", "\\mathrm{T}", "x", "2 cm", "sin x", "MR=SRMC"] {
            assert!(!is_prose(text), "{text}");
        }
    }

    #[test]
    fn words_are_compared_without_case_and_punctuation() {
        assert_eq!(normalized_words("\\text{No Solution.}"), "no solution");
        assert_eq!(normalized_words("$\\mathrm{~Yes}$"), "yes");
    }

    #[test]
    fn choices() {
        for text in ["C", "(C)", "\\text{(C)}", "\\textbf{C}", "C.", "(C) 42", "\\textbf{(C)}\\ 42", "C) 42"]
        {
            assert_eq!(choice(text).map(|(letter, _)| letter), Some('C'), "{text}");
        }
        for text in ["c", "C = 5", "CD", "X", "", "C 5", "(C, D)"] {
            assert_eq!(choice(text), None, "{text}");
        }
        assert_eq!(choice("(C) 42"), Some(('C', "42".to_string())));
    }
}
