//! Answers in words: prose, yes and no, multiple-choice letters.

use std::borrow::Cow;

use super::lexicon::{one_of, split};
use super::{denial, words};
use crate::verify::expr::Expr;

/// Font commands around words; their argument is the text.
const WRAPPERS: [&str; 14] = split(
    "\\text \\textbf \\textit \\textrm \\mathrm \\mathbf \\mathit \\mathsf \\mbox \\hbox \\operatorname \\emph \
     \\textsf \\texttt",
);

/// Short words that are answers by themselves.
const SHORT: &str = "yes no odd even true none all dne both red two one six ten";

/// What stands before a part of a text, and what stands behind it.
pub(crate) fn around<'a>(text: &'a str, part: &str) -> (&'a str, &'a str) {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    (&text[..start], &text[start + part.len()..])
}

/// A text behind a value without what closes the mathematics, the bracket or the emphasis that the value stands in.
pub(crate) fn behind_closing(text: &str) -> &str {
    text.trim_start_matches(['$', ' ', '\\', ')', ']', '*'])
}

/// Whether a text begins so, in whatever case.
pub(crate) fn has_prefix(text: &str, begin: &str) -> bool {
    text.get(..begin.len()).is_some_and(|first| first.eq_ignore_ascii_case(begin))
}

/// Whether a text ends so, in whatever case.
pub(crate) fn has_suffix(text: &str, end: &str) -> bool {
    text.len()
        .checked_sub(end.len())
        .and_then(|at| text.get(at..))
        .is_some_and(|last| last.eq_ignore_ascii_case(end))
}

/// Signs behind a value that say that it is wrong, or not known to be right.
pub(crate) const REFUSALS: [char; 4] = ['?', '✗', '✘', '❌'];

/// The first place from `at` on where a character begins.
pub(crate) fn boundary(text: &str, at: usize) -> usize {
    (at..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

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
            if words::command(&command[1..]) == Some(words::Command::Invisible) {
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
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    // All of them begin with one of two bytes, and circled digits with two of their own.
    let circled = || text.as_bytes().windows(2).any(|pair| pair == [0xE2, 0x91]);
    if !text.bytes().any(|byte| byte == 0xEF || byte == 0xE3) && !circled() {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '，' | '、' => plain.push_str(", "),
            '！'..='～' => plain.extend(char::from_u32(u32::from(character) - 0xFEE0)),
            // "①②④" lists the numbers of statements.
            '①'..='⑳' => {
                plain.push_str(&(u32::from(character) - 0x245F).to_string());
                plain.push_str(", ");
            }
            '\u{3000}' => plain.push(' '),
            '￥' => plain.push('¥'),
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
    let words = plain.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

/// The characters that matter of a text that cannot be parsed: no spacing, no font commands, no `\left`.
pub(crate) fn skeleton(text: &str) -> String {
    let mut plain = text.to_string();
    let commands = text.contains('\\');
    for font in WRAPPERS.into_iter().filter(|_| commands) {
        plain = plain.replace(&format!("{font}{{"), "{");
    }
    for (from, to) in [
        ("\\left", ""),
        ("\\right", ""),
        ("\\dfrac", "\\frac"),
        ("\\tfrac", "\\frac"),
        ("\\,", ""),
        ("\\quad", ""),
        ("\\displaystyle", ""),
    ] {
        if commands {
            plain = plain.replace(from, to);
        }
    }
    plain
        .trim_end_matches(['.', ' ', '\n'])
        .chars()
        .filter(|character| !character.is_whitespace() && !matches!(character, '$' | '{' | '}'))
        .collect()
}

/// The text without the signs that set all of it in bold.
pub(crate) fn without_emphasis(text: &str) -> &str {
    let inside =
        |bold: &&str| text.strip_prefix(*bold)?.strip_suffix(*bold).filter(|inside| !inside.contains(*bold));
    ["**", "__"].iter().find_map(inside).map_or(text, str::trim)
}

/// The interval behind an inequality that says the same: `-1 < x \\le 1 : (-1, 1]`.
pub(crate) fn interval_behind(text: &str) -> Option<&str> {
    let (inequality, interval) = text.split_once(':')?;
    let interval = interval.trim_start();
    let relates =
        ["<", ">", "\\le", "\\ge", "\\lt", "\\gt", "≤", "≥"].iter().any(|sign| inequality.contains(sign));
    let opens = interval.starts_with(['(', '[']) || interval.starts_with("\\left");
    (relates && opens && !inequality.contains(['{', '('])).then_some(interval)
}

/// Whether the text is words and nothing else.
pub(crate) fn is_prose(text: &str) -> bool {
    if has_digits(text) {
        return false;
    }
    // "No: the sum is odd"
    let mut plain = unwrapped(text);
    if plain.contains(": ") {
        plain = plain.replace(": ", " ");
    }
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
        let unspaced = length >= 2 && word.chars().all(|letter| letter >= '\u{2e80}');
        // `\text{AC}` may be two choices.
        let choices = word.bytes().all(|letter| (b'A'..=b'J').contains(&letter));
        // "Ben"
        let name = length == 3 && word.is_ascii() && lower[1..] == word[1..] && lower != word;
        !known
            && (unspaced
                || length >= 4
                || name
                || one_of!(&lower, SHORT)
                || length >= 2 && upright && !choices)
    })
}

/// Whether there is a digit: most answers have one, and need not be looked at as words.
fn has_digits(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
}

/// Whether the text is words with numbers between them: "January 5", "Plan 2".
pub(crate) fn is_prose_with_numbers(text: &str) -> bool {
    let bare: String =
        text.chars().map(|character| if character.is_ascii_digit() { ' ' } else { character }).collect();
    has_digits(text) && !text.contains('$') && is_prose(&bare)
}

/// A text whose backslashes were escaped once more than needed: `\\\\frac` for `\\frac`. Two backslashes in front of a name
/// break a line in environments alone.
pub(crate) fn with_single_escapes(text: &str) -> Cow<'_, str> {
    let doubled = |at: usize| text[at + 2..].starts_with(|next: char| next.is_ascii_alphabetic());
    let pairs = || text.as_bytes().windows(2);
    let escaped =
        pairs().any(|pair| pair == b"\\\\") && text.match_indices("\\\\").any(|(at, _)| doubled(at));
    if !escaped || text.contains("\\begin") {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace("\\\\", "\\"))
}

/// The letter of a multiple-choice answer, `C`, `(C)`, `C.`, `\textbf{(C)}\ 42`, and what stands behind it. Who names a
/// second letter has not chosen.
pub(crate) fn choice(text: &str) -> Option<(char, String)> {
    if !may_be_choice(text) {
        return None;
    }
    let plain = unwrapped(text);
    let plain = plain.trim();
    let plain = ["Option ", "option ", "Choice ", "choice ", "answer ", "Answer ", "选"]
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
    // "(B) is wrong"
    if denial::is_denied_by(rest) {
        return None;
    }
    let behind = match rest {
        "" if !parenthesised => "",
        _ if parenthesised => rest.trim_start().strip_prefix(')')?,
        _ => rest.strip_prefix([')', '.', ':']).filter(|behind| !behind.starts_with('.'))?,
    };
    (!names_choice(behind.trim(), letter)).then(|| (letter, behind.trim().to_string()))
}

/// Whether a text has one of the letters that name a choice.
pub(crate) fn may_be_choice(text: &str) -> bool {
    text.bytes().any(|byte| (b'A'..=b'J').contains(&byte))
}

/// Whether the text behind a letter names another one: "(B)", "B)", "or B".
fn names_choice(text: &str, chosen: char) -> bool {
    text.char_indices().any(|(at, letter)| {
        let (before, after) = (&text[..at], &text[at + letter.len_utf8()..]);
        let alone = !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric);
        if !('A'..='J').contains(&letter) || letter == chosen || !alone {
            return false;
        }
        let closed = after.starts_with(')');
        let bracketed = before.strip_suffix('(').is_some_and(|name| !name.ends_with(char::is_alphanumeric));
        let joined = matches!(before.trim(), "or" | "and" | "," | ", or" | "/" | ";" | "&");
        closed && (bracketed || before.ends_with(char::is_whitespace)) || joined
    })
}

/// The letters of a text that has nothing else, in lower case: `Yes`, `\text{Yes}` and the product `yes` agree.
pub(crate) fn letters_only(text: &str) -> Option<String> {
    if has_digits(text) {
        return None;
    }
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

/// Phrases, in lower case, for the empty set.
const NONE: &str = "no solution|none|no solutions|no real solution|no real solutions|empty set|the empty set|\
    no such values|no such value|no solution exists|no solutions exist|no such solution exists|\
    无解|方程无解|无实数解|无实数根";

/// The set that some words stand for: none, or all real numbers.
pub(crate) fn set_in_words(normalized: &str) -> Option<Expr> {
    const REALS: &str = "all real numbers|all reals|the set of all real numbers|any real number";
    let among = |phrases: &str| phrases.split('|').any(|said| said == normalized);
    if among(NONE) || says_no_solution(normalized) {
        return Some(Expr::EmptySet);
    }
    if among(REALS) {
        return Some(Expr::Reals);
    }
    let (above, reached) = match normalized.strip_prefix("all ").unwrap_or(normalized) {
        "positive real numbers" | "positive reals" => (true, false),
        "nonnegative real numbers" | "non negative real numbers" | "nonnegative reals" => (true, true),
        "negative real numbers" | "negative reals" => (false, false),
        _ => return None,
    };
    Some(Expr::half_line(Expr::integer(0), above, reached))
}

/// "The equation has no real solutions", "there is no such value".
fn says_no_solution(normalized: &str) -> bool {
    let said = ["no solution", "no solutions", "no real solution", "no real solutions"];
    let before = said.iter().find_map(|end| normalized.strip_suffix(end));
    before.is_some_and(|before| ["has ", "have ", "is ", "are "].iter().any(|verb| before.ends_with(verb)))
}

/// "All real numbers except 1" as `\\mathbb{R} \\setminus \\{1\\}`, and the condition of "all real numbers $x$ such that $x \\le 4$".
pub(crate) fn reals_in_words(text: &str) -> Option<String> {
    const ALL: &str = "all real numbers x|all real x|all x|all real numbers";
    reals_except(text).or_else(|| {
        let says_all = || text.as_bytes().windows(2).any(|pair| pair.eq_ignore_ascii_case(b"ll"));
        if !text.contains(' ') || !says_all() {
            return None;
        }
        let joint = ["such that", "with", "satisfying"].into_iter().find(|joint| text.contains(joint))?;
        let (before, condition) = text.split_once(joint)?;
        let condition = condition.trim_start_matches(['}', ' ', '$']).trim_end_matches(['$', '.', ' ']);
        let all = condition.contains('x') && ALL.split('|').any(|all| all == normalized_words(before));
        all.then(|| condition.to_string())
    })
}

/// "All real numbers except 1" as a difference of sets.
fn reals_except(text: &str) -> Option<String> {
    const SHORTEST: usize = "all reals except 1".len();
    if text.len() < SHORTEST || !text.contains("except") {
        return None;
    }
    let (before, points) = text.split_once("except")?;
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
