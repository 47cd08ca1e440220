//! Number literals: digits, thousands separators, decimal points, exponents, repeating decimals.

use std::borrow::Cow;

use dashu_int::{IBig, UBig};
use dashu_ratio::RBig;

use crate::verify::expr::Number;
use crate::verify::licence::{Licence, Licences};

/// Exponents beyond this are kept as powers of ten, so that `1e400000000` costs nothing.
const LARGEST_EXPONENT: i64 = 4096;
/// Digits that repeat once by chance less often than once in a million decimals.
const LONG_BLOCK: usize = 6;
/// Longest block that is looked for.
const LONGEST_BLOCK: usize = 64;

/// A literal and what the lexer needs to know about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Literal {
    /// The value without a power of ten too large to write out.
    pub(crate) number: Number,
    /// That power of ten, usually 0.
    pub(crate) exponent: i64,
    /// Bytes of the input it took.
    pub(crate) length: usize,
    /// Read with commas between groups of three digits, where a list was also possible.
    pub(crate) grouped_by_comma: bool,
    /// The conventions by which it is read so.
    pub(crate) notation: Licences,
}

/// Spellings of a separator between groups of three digits, longest first.
const SEPARATORS: [&str; 15] = [
    "{,}\\!", ",\\! ", ",\\!", "{,}", "{\\,}", "\\,", "\\ ", "\\;", "\\:", "\\!", "\u{202f}", "\u{2009}",
    "\u{a0}", "~", "'",
];

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// The length of a separator at the start of `text` that is followed by exactly three digits.
fn separator(text: &str, commas: bool) -> Option<(usize, bool)> {
    if text
        .starts_with(|first: char| first.is_ascii() && !matches!(first, '{' | ',' | '\\' | '~' | '\'' | ' '))
    {
        return None;
    }
    let mut choices = SEPARATORS.iter().map(|&spelling| (spelling, false)).chain([(" ", false), (",", true)]);
    let (spelling, comma) = choices.find(|(spelling, _)| text.starts_with(spelling))?;
    let grouped = digits(&text[spelling.len()..]) == 3;
    (grouped && (commas || !comma)).then_some((spelling.len(), comma))
}

/// Reads the literal at the start of `text`; `commas` allows `1,234` to be one number.
pub(crate) fn literal(text: &str, commas: bool) -> Option<Literal> {
    let first = digits(text);
    let mut whole = Cow::Borrowed(&text[..first]);
    let mut at = first;
    let mut grouped_by_comma = false;
    let mut notation = Licences::NONE;
    if (1..=3).contains(&first) && !text.starts_with('0') {
        let mut style = None;
        while let Some((length, comma)) = separator(&text[at..], commas) {
            // One number does not mix separators: "1,000 200" is two things.
            if *style.get_or_insert(comma) != comma {
                break;
            }
            grouped_by_comma |= comma;
            notation = Licence::DigitsGrouped.into();
            whole.to_mut().push_str(&text[at + length..at + length + 3]);
            at += length + 3;
        }
    }
    let mut fraction = "";
    let mut repeating = Cow::Borrowed("");
    let mut point = false;
    // `2{,}5` is 2.5 in half of the world.
    let comma = text[at..].strip_prefix("{,}").filter(|tail| !matches!(digits(tail), 0 | 3));
    let mark = if comma.is_some() && first > 0 { 3 } else { 1 };
    if text[at..].starts_with('.') || mark == 3 {
        let tail = &text[at + mark..];
        let count = digits(tail);
        let after = &tail[count..];
        if count > 0 || repeating_digits(after).is_some() {
            fraction = &tail[..count];
            point = true;
            at += mark + count;
            if let Some((repeated, length)) = repeating_digits(after) {
                repeating = repeated;
                at += length;
            } else if let Some((block, length)) = repeats(&tail[..count], after) {
                repeating = Cow::Borrowed(&tail[count - block..count]);
                at += length;
            }
        } else if first > 0 && !after.trim_start().is_empty() && !after.starts_with("..") {
            // "1./3" has a point; the full stop of "is 5." has not.
            let next = after.trim_start().as_bytes()[0];
            if matches!(next, b'/' | b'*' | b'+' | b'-' | b'^' | b')') {
                point = true;
                at += 1;
            }
        }
    }
    if whole.is_empty() && fraction.is_empty() && repeating.is_empty() {
        return None;
    }
    if !repeating.is_empty() && text[..at].ends_with([')', '.', '…', 's']) {
        notation = notation.union(Licence::DigitsRepeat.into());
    }
    let (exponent, length) = exponent(&text[at..]);
    at += length;
    let decimal = (point || length > 0) && repeating.is_empty();
    let shift = exponent.filter(|value| value.abs() <= LARGEST_EXPONENT).unwrap_or(0);
    let value = assemble(whole, fraction, &repeating, shift)?;
    let exponent = exponent.filter(|value| value.abs() > LARGEST_EXPONENT).unwrap_or(0);
    Some(Literal {
        number: Number { value, decimal, places: fraction.len() },
        exponent,
        length: at,
        grouped_by_comma,
        notation,
    })
}

/// The repeating part of `0.1\overline{6}` or `0.(3)`, with the bytes it takes.
fn repeating_digits(text: &str) -> Option<(Cow<'_, str>, usize)> {
    if let Some(found) = dotted_digits(text) {
        return Some(found);
    }
    for (open, close) in [("\\overline{", "}"), ("\\bar{", "}"), ("\\dot{", "}"), ("(", ")")] {
        if let Some(rest) = text.strip_prefix(open) {
            let count = digits(rest);
            if count > 0 && rest[count..].starts_with(close) {
                return Some((Cow::Borrowed(&rest[..count]), open.len() + count + close.len()));
            }
        }
    }
    // A macro without braces takes one digit.
    ["\\overline", "\\bar", "\\dot"].into_iter().find_map(|macro_name| {
        let rest = text.strip_prefix(macro_name)?;
        let digit = rest.trim_start();
        (digits(digit) > 0).then(|| (Cow::Borrowed(&digit[..1]), text.len() - digit.len() + 1))
    })
}

/// The `185` of `\dot{1}8\dot{5}`: dots over the first and the last digit that repeat.
fn dotted_digits(text: &str) -> Option<(Cow<'_, str>, usize)> {
    const DOT: &str = "\\dot{";
    let dotted = |text: &str| {
        text.strip_prefix(DOT).is_some_and(|rest| digits(rest) == 1 && rest[1..].starts_with('}'))
    };
    if !dotted(text) {
        return None;
    }
    let width = DOT.len() + 2;
    let between = digits(&text[width..]);
    let last = width + between;
    dotted(&text[last..]).then(|| {
        let digit = |at: usize| &text[at + DOT.len()..=at + DOT.len()];
        let block = [digit(0), &text[width..last], digit(last)].concat();
        (Cow::Owned(block), last + width)
    })
}

/// The length of the block that `digits` end with over and over, before an ellipsis, and the bytes of that ellipsis:
/// `0.1666...` is a sixth. Three repetitions, or two of a long block, are none by chance.
fn repeats(digits: &str, after: &str) -> Option<(usize, usize)> {
    let length =
        ["...", "…", "\\ldots", "\\dots", "\\cdots"].into_iter().find(|dots| after.starts_with(dots))?.len();
    if after[length..].trim_start().starts_with(|next: char| next.is_ascii_digit()) {
        return None;
    }
    (1..=LONGEST_BLOCK.min(digits.len() / 2))
        .find(|&block| {
            let times = if block < LONG_BLOCK { 3 } else { 2 };
            let Some(start) = digits.len().checked_sub(block * times) else { return false };
            digits.as_bytes()[start..].windows(block + 1).all(|window| window[0] == window[block])
        })
        .map(|block| (block, length))
}

/// `e33`, `E-7`: the exponent and the bytes it takes. An `e` that is followed by no digits is Euler's number.
fn exponent(text: &str) -> (Option<i64>, usize) {
    let bytes = text.as_bytes();
    if !matches!(bytes.first(), Some(b'e' | b'E')) {
        return (None, 0);
    }
    let signed = usize::from(matches!(bytes.get(1), Some(b'+' | b'-')));
    let count = digits(&text[1 + signed..]);
    let length = 1 + signed + count;
    if count == 0 || bytes.get(length).is_some_and(u8::is_ascii_alphabetic) {
        return (None, 0);
    }
    // A longer exponent than i64 holds is as good as the largest one: nothing written down comes near it.
    let magnitude = text[1 + signed..length].parse::<i64>().unwrap_or(i64::MAX / 4).min(i64::MAX / 4);
    (Some(if bytes.get(1) == Some(&b'-') { -magnitude } else { magnitude }), length)
}

fn assemble(whole: Cow<'_, str>, fraction: &str, repeating: &str, shift: i64) -> Option<RBig> {
    let places = shift - i64::try_from(fraction.len()).ok()?;
    let all = whole + fraction;
    let mut numerator = parse(&all)?;
    if places == 0 && repeating.is_empty() {
        return Some(RBig::from(numerator));
    }
    let mut denominator = UBig::ONE;
    if !repeating.is_empty() {
        // 0.ab(cd) = (abcd - ab) / 9900
        numerator = parse(&(all + repeating))? - numerator;
        denominator = UBig::from(10u8).pow(repeating.len()) - UBig::ONE;
    }
    let power = UBig::from(10u8).pow(usize::try_from(places.unsigned_abs()).ok()?);
    if places >= 0 {
        numerator *= power;
    } else {
        denominator *= power;
    }
    if denominator.is_one() {
        return Some(RBig::from(numerator));
    }
    Some(RBig::from_parts(numerator, denominator))
}

fn parse(digits: &str) -> Option<IBig> {
    if digits.is_empty() {
        return Some(IBig::ZERO);
    }
    // 18 digits fit a machine word: the common case needs no big-number parser.
    if digits.len() <= 18 {
        return digits.parse::<i64>().ok().map(IBig::from);
    }
    IBig::from_str_radix(digits, 10).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> String {
        let literal = literal(text, true).unwrap();
        assert_eq!(literal.length, text.len(), "{text} was not read to its end");
        literal.number.value.to_string()
    }

    #[test]
    fn separators_join_groups_of_three() {
        for text in ["1234567", "1,234,567", "1 234 567", "1\\,234\\,567", "1{,}234{,}567", "1,\\!234,\\!567"]
        {
            assert_eq!(value(text), "1234567");
        }
        assert_eq!(value("1,234.5"), "2469/2");
    }

    #[test]
    fn groups_of_other_sizes_end_the_number() {
        for text in ["12,34", "1,2345", "1234,567", "0,123", "1 23"] {
            assert!(literal(text, true).unwrap().length < text.len(), "{text}");
        }
        assert_eq!(literal("1,234", false).unwrap().length, 1);
    }

    #[test]
    fn points_and_exponents() {
        assert_eq!(value(".4"), "2/5");
        assert_eq!(value("4.5e3"), "4500");
        assert_eq!(value("1E-3"), "1/1000");
        assert_eq!(literal("5.", true).unwrap().length, 1);
        assert_eq!(literal("1./3", true).unwrap().length, 2);
        assert_eq!(literal("2e^x", true).unwrap().length, 1);
        assert_eq!(literal("1e400000000", true).unwrap().exponent, 400_000_000);
    }

    #[test]
    fn repeating_decimals_are_exact() {
        assert_eq!(value("0.\\overline{3}"), "1/3");
        assert_eq!(value("0.1\\overline{6}"), "1/6");
        assert_eq!(value("0.(142857)"), "1/7");
        assert_eq!(value("1.\\overline{09}"), "12/11");
        for (text, expected) in [
            ("0.333...", "1/3"),
            ("0.1666\\ldots", "1/6"),
            ("0.142857142857…", "1/7"),
            ("0.121212...", "4/33"),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        // Euler's number does not go on like this.
        for text in ["2.718281828...", "0.33...", "3.14...", "0.333...4"] {
            let literal = literal(text, true).unwrap();
            assert!(literal.number.decimal && literal.length < text.len(), "{text}");
        }
    }
}
