//! Extraction with the priorities of Math-Verify 0.9.0.
//!
//! | priority | where |
//! | --- | --- |
//! | 0 | "final answer is X. I hope" |
//! | 50 | "final answer .. is X"; a box |
//! | 100 | "answer: .. X" |
//! | 200 | "answer .. X" |
//! | 300 | any mathematics, expression or number |
//!
//! Among equals the one that ends last wins. X is a math environment (several joined by "and", "or" or a comma are one
//! answer) if [`Sources::latex`], a plain number or expression if [`Sources::expressions`], one of the letters A to D
//! if [`Sources::letters`].

use super::boxes::box_before;
use super::environments::environments_at;
use super::loose::{fraction_length, number_length};
use super::{Candidate, Mark};
use crate::verify::options::Sources;

/// Farthest a match may stand from its anchor.
const NEAR: usize = 50;
/// Most anchors of one kind that are looked at, from the end.
const ANCHORS: usize = 64;

#[derive(Clone, Debug)]
struct Match {
    start: usize,
    end: usize,
    text: String,
}

/// Places to look, best first.
pub(super) fn candidates(text: &str, sources: Sources) -> Vec<Candidate<'_>> {
    let mut groups = if sources.latex { grouped(text) } else { Vec::new() };
    let mut plain = Vec::new();
    if sources.expressions {
        plain.extend(expressions(text));
    }
    if sources.letters {
        plain.extend(letters(text));
    }
    let lower = text.to_ascii_lowercase();
    let mut ranked: Vec<(u16, Match)> = Vec::new();
    for (at, kind) in anchors(&lower) {
        for found in near(&groups, at, text).into_iter().chain(near(&plain, at, text)) {
            let rank = match kind {
                Anchor::Final
                    if lower[found.end..].trim_start_matches(['.', ' ', '\n']).starts_with("i hope") =>
                {
                    0
                }
                Anchor::Final => 50,
                Anchor::Colon => 100,
                Anchor::Plain => 200,
            };
            ranked.push((rank, found));
        }
    }
    if sources.latex {
        ranked.extend(boxes(text, &groups).map(|found| (50, found)));
    }
    groups.append(&mut plain);
    ranked.extend(groups.into_iter().map(|found| (300, found)));
    ranked.sort_by(|(first, left), (second, right)| {
        first.cmp(second).then(right.end.cmp(&left.end)).then(left.start.cmp(&right.start))
    });
    ranked.truncate(2 * ANCHORS);
    ranked.into_iter().map(|(_, found)| Candidate::new(found.text, Mark::Stated)).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchor {
    Final,
    Colon,
    Plain,
}

/// Where something may follow an anchor, from the end of the text.
fn anchors(lower: &str) -> Vec<(usize, Anchor)> {
    let mut found = Vec::new();
    let mut limit = lower.len();
    while let Some(at) = lower[..limit].rfind("answer") {
        limit = at;
        let after = at + "answer".len();
        let rest = &lower[after..];
        if lower[..at].ends_with("final ")
            && let Some(is) = rest.find(" is")
            && is <= 100
        {
            let start = after + is + 3;
            found.push((start + usize::from(lower[start..].starts_with(':')), Anchor::Final));
        }
        found.push((after, if rest.starts_with(':') { Anchor::Colon } else { Anchor::Plain }));
        if found.len() >= ANCHORS {
            break;
        }
    }
    found
}

/// The first match that starts close behind an anchor.
fn near(matches: &[Match], at: usize, text: &str) -> Option<Match> {
    let found = matches.iter().find(|found| found.start >= at)?;
    (text[at..found.start].chars().count() <= NEAR).then(|| found.clone())
}

/// Math environments with their positions; those joined by "and", "or" or a comma are one match.
fn grouped(text: &str) -> Vec<Match> {
    let mut found: Vec<Match> = Vec::new();
    let mut members = 0;
    for (start, end, content) in with_fractions(text) {
        let (content, end) = match percent(&text[end..]) {
            Some(length) => (format!("{content}\\%"), end + length),
            None => (content.to_string(), end),
        };
        let content = boxed_parts(&content).unwrap_or(content);
        if let Some(last) = found.last_mut()
            && text.get(last.end..start).is_some_and(joins)
            && members < 6
        {
            last.text = format!("{}, {content}", last.text);
            last.end = end;
            members += 1;
            continue;
        }
        members = 1;
        found.push(Match { start, end, text: content });
    }
    found
}

/// The math environments and, outside them, bare fractions of two numbers.
fn with_fractions(text: &str) -> Vec<(usize, usize, &str)> {
    let mut found = environments_at(text);
    let mut bare = Vec::new();
    let starts: Vec<usize> = text.match_indices("\\frac{").map(|(start, _)| start).collect();
    for &start in starts.iter().rev().take(ANCHORS) {
        let inside = found.partition_point(|(_, end, _)| *end <= start);
        if found.get(inside).is_some_and(|(open, _, _)| *open <= start) {
            continue;
        }
        let Some(length) = fraction_length(&text[start..]) else { continue };
        let signed = start - usize::from(text[..start].ends_with('-'));
        let end = start + length;
        bare.push((signed, end, &text[signed..end]));
    }
    found.extend(bare);
    found.sort_unstable_by_key(|(start, _, _)| *start);
    found
}

fn percent(rest: &str) -> Option<usize> {
    let trimmed = rest.trim_start();
    let gap = rest.len() - trimmed.len();
    ["\\%", "%", "percentage", "percent", "Percentage", "Percent", "pct", "Pct"]
        .into_iter()
        .find(|sign| trimmed.starts_with(sign))
        .map(|sign| gap + sign.len())
}

fn joins(gap: &str) -> bool {
    let word = gap.trim();
    matches!(word.trim_start_matches(',').trim(), "and" | "or") || word == ","
}

/// The contents of all boxes in one environment, joined.
fn boxed_parts(content: &str) -> Option<String> {
    let mut parts = Vec::new();
    let mut limit = content.len();
    while let Some((start, inside, _)) = box_before(content, limit) {
        parts.insert(0, inside.trim());
        limit = start;
        if parts.len() >= 64 {
            break;
        }
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Boxes: the environment that holds the last one, else the last one with its close neighbours.
fn boxes(text: &str, groups: &[Match]) -> std::vec::IntoIter<Match> {
    let mut found = Vec::new();
    if let Some((start, inside, end)) = box_before(text, text.len()) {
        if let Some(group) = groups.iter().rev().find(|group| group.start <= start && end <= group.end) {
            found.push(group.clone());
        }
        let mut contents = vec![inside.trim()];
        let mut first = start;
        while let Some((earlier, inside, earlier_end)) = box_before(text, first) {
            let Some(gap) = text.get(earlier_end..first) else { break };
            let connected = gap.contains("and") || gap.contains("or") || gap.contains([',', ';']);
            let joined = gap.len() < 10 || gap.len() < 70 && connected && inside.trim() != contents[0];
            if !joined || contents.len() >= 64 {
                break;
            }
            contents.insert(0, inside.trim());
            first = earlier;
        }
        found.push(Match { start: first, end, text: contents.join(", ") });
    }
    found.into_iter()
}

/// Plain numbers and expressions that stand behind white space, "=" or the start of the text.
fn expressions(text: &str) -> Vec<Match> {
    let bytes = text.as_bytes();
    let mut found: Vec<Match> = Vec::new();
    let mut index = 0;
    while index < bytes.len() {
        let anchored =
            index == 0 || bytes[index - 1].is_ascii_whitespace() || matches!(bytes[index - 1], b'=' | b'*');
        if !anchored {
            index += 1;
            continue;
        }
        let currency =
            text[index..].chars().next().filter(|&sign| matches!(sign, '$' | '€' | '£' | '¥' | '₹'));
        let start = index + currency.map_or(0, char::len_utf8);
        if let Some(end) = expression_end(text, index) {
            found.push(Match { start: index, end, text: text[index..end].trim().to_string() });
            index = end.max(index + 1);
        } else if let Some(end) = number_end(text, start) {
            let number = decimal_comma(&text[start..end]);
            let length = percent(&text[end..]).filter(|_| !text[end..].starts_with('\n'));
            let (number, end) = match length {
                Some(length) => (format!("{number}%"), end + length),
                None => (number, end),
            };
            found.push(Match { start, end, text: number });
            index = end.max(index + 1);
        } else {
            index += 1;
        }
    }
    found
}

fn number_end(text: &str, start: usize) -> Option<usize> {
    let sign = usize::from(text[start..].starts_with('-'));
    let rest = &text[start + sign..];
    let mut length = number_length(rest).filter(|_| !rest.starts_with(".."))?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if length == digits && rest[digits..].starts_with(',') {
        // "1000,99"
        let decimals = rest[digits + 1..].bytes().take_while(u8::is_ascii_digit).count();
        if decimals > 0 {
            length = digits + 1 + decimals;
        }
    }
    Some(start + sign + length)
}

/// `1000,99` with a point; `1,000` stays.
fn decimal_comma(number: &str) -> String {
    let whole = number.trim_start_matches('-');
    if number.matches(',').count() == 1 && number_length(whole) != Some(whole.len()) {
        return number.replace(',', ".");
    }
    number.to_string()
}

/// The end of `12*(3+4)`: digits, operators and spaces, at least one operator.
fn expression_end(text: &str, start: usize) -> Option<usize> {
    let rest = &text[start..];
    let first = rest.trim_start_matches(['-', '(']);
    if !first.starts_with(|character: char| character.is_ascii_digit()) {
        return None;
    }
    let allowed = |character: char| {
        character.is_ascii_digit()
            || matches!(character, '.' | ' ' | '+' | '-' | '*' | '×' | '/' | '^' | '(' | ')' | '÷')
    };
    let length = rest.find(|character| !allowed(character)).unwrap_or(rest.len());
    let body = rest[..length].trim_end_matches(['.', ' ', '*']);
    let after_sign = body.trim_start_matches(['-', '(']);
    let bracketed = body.ends_with(')') && body.starts_with(['(', '-']) && rest.len() > body.len();
    let has_operator = bracketed || after_sign.chars().any(|character| "+-*×/^÷".contains(character));
    let boundary = rest[body.len()..].chars().next();
    let ends =
        boundary.is_none_or(|next| next.is_whitespace() || matches!(next, '.' | ',' | ':' | '*' | ')' | '$'));
    (has_operator && ends && body.ends_with(|c: char| c.is_ascii_digit() || c == ')'))
        .then(|| start + body.len())
}

/// The letters A to D standing alone.
fn letters(text: &str) -> Vec<Match> {
    let bytes = text.as_bytes();
    (0..bytes.len())
        .filter(|&index| {
            let before = index == 0 || bytes[index - 1].is_ascii_whitespace() || bytes[index - 1] == b'*';
            let after = bytes.get(index + 1);
            let ends = after
                .is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b'.' | b',' | b':' | b'*'));
            matches!(bytes[index], b'A'..=b'D') && before && ends
        })
        .map(|index| Match { start: index, end: index + 1, text: text[index..=index].to_string() })
        .collect()
}
