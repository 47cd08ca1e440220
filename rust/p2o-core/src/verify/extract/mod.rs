//! Where the answer stands in a completion.
//!
//! [`candidates`] yields the places to look, best first; the first that can be read is the answer. Only the tail of a
//! long completion is scanned, and only what follows the last `</think>`.

mod boxes;
mod compat;

use super::{Options, Profile};
use boxes::{ends_inside_box, last_box, opens_before};

/// Bytes of the completion that are scanned, from its end.
const TAIL: usize = 1 << 16;
/// Longest sentence or line that is tried as an answer.
const LONGEST: usize = 1 << 12;
/// How many math environments at the end are kept apart.
const ENVIRONMENTS: usize = 64;

/// How a candidate is marked as the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// By a box: what stands in it is the answer even if it cannot be read.
    Boxed,
    /// By a phrase: words are an answer too.
    Stated,
    /// By nothing but its place.
    Loose,
}

/// A place where the answer may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) text: String,
    pub(crate) mark: Mark,
}

impl Candidate {
    fn new(text: impl Into<String>, mark: Mark) -> Self {
        Self { text: text.into(), mark }
    }
}

fn tail(completion: &str) -> &str {
    let mut start = completion.len().saturating_sub(TAIL);
    while !completion.is_char_boundary(start) {
        start += 1;
    }
    &completion[start..]
}

/// The part of a completion that may hold the answer.
fn scanned(completion: &str) -> &str {
    let tail = tail(completion);
    match tail.rfind("</think>") {
        Some(end) => &tail[end + "</think>".len()..],
        None => tail,
    }
}

/// Places to look, best first.
pub(crate) fn candidates(completion: &str, options: &Options) -> Vec<Candidate> {
    if options.profile == Profile::MathVerify && !options.require_boxed {
        return compat::candidates(tail(completion), options.sources);
    }
    let text = scanned(completion);
    let mut found = Vec::new();
    let boxed = last_box(text);
    let boxed_end = boxed.as_ref().map_or(0, |(_, end)| *end);
    let phrase = (!options.require_boxed).then(|| phrase(text)).flatten();
    if let Some((kind, content, at)) = &phrase
        && *kind == Phrase::Final
        && *at >= boxed_end
    {
        stated(content, &mut found);
    }
    if let Some((content, _)) = boxed {
        found.push(Candidate::new(content, Mark::Boxed));
    }
    // A box that begins before the tail is too long to be read, and its inside is no answer.
    if found.is_empty() && opens_before(completion, text) {
        return Vec::new();
    }
    if options.require_boxed
        || !found.is_empty() && boxed_end > 0
        || found.is_empty() && ends_inside_box(text)
    {
        return found;
    }
    if let Some(at) = text.rfind("####") {
        found.push(Candidate::new(line(&text[at + 4..]), Mark::Boxed));
    }
    if let Some((_, content, _)) = phrase {
        stated(content, &mut found);
    }
    if let Some(last) = environments(text).pop() {
        found.push(Candidate::new(last, Mark::Loose));
    }
    loose(text, &mut found);
    found
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phrase {
    Final,
    Plain,
}

/// What follows the last "final answer is", or else the last "answer is" / "answer:".
fn phrase(text: &str) -> Option<(Phrase, &str, usize)> {
    let lower = text.to_ascii_lowercase();
    let mut best: Option<(Phrase, usize, usize)> = None;
    let mut limit = lower.len();
    // The last phrase wins; a final answer beats any other.
    for _ in 0..64 {
        let Some(at) = lower[..limit].rfind("answer") else { break };
        limit = at;
        let after = &lower[at + "answer".len()..];
        let Some(skip) = introduction(after) else { continue };
        let kind = if lower[..at].trim_end().ends_with("final") { Phrase::Final } else { Phrase::Plain };
        let start = at + "answer".len() + skip;
        if kind == Phrase::Final {
            best = Some((kind, start, at));
            break;
        }
        if best.is_none() {
            best = Some((kind, start, at));
        }
    }
    best.map(|(kind, start, at)| (kind, &text[start..], at))
}

/// The length of " is", ":", " is:" and the like behind "answer".
fn introduction(after: &str) -> Option<usize> {
    let trimmed = after.trim_start_matches(['*', '_', ' ', '#']);
    if trimmed.starts_with('\n') && trimmed.len() < after.len().max(1) || after.starts_with('\n') {
        // A heading: "**Final answer**" on a line of its own.
        return Some(after.len() - trimmed.trim_start().len());
    }
    for start in ["is:", "is", ":", "=", "s are:", "s are", "to the problem is", "to the question is"] {
        if let Some(rest) = trimmed.strip_prefix(start) {
            if matches!(start, "is" | "s are")
                && rest.starts_with(|character: char| character.is_alphabetic())
            {
                continue;
            }
            let rest = rest.trim_start_matches(['*', '_', ' ', ':']);
            return Some(after.len() - rest.len());
        }
    }
    // "the answer to part (a) is"
    let near: String =
        trimmed.chars().take(48).take_while(|&character| !matches!(character, '\n' | '.' | '$')).collect();
    let is = near.find(" is ")?;
    Some(after.len() - trimmed.len() + is + " is ".len())
}

/// Readings of what follows a phrase: the sentence, its mathematics, its first number.
fn stated(content: &str, found: &mut Vec<Candidate>) {
    let content = content.trim_start();
    let display = ["$$", "\\[", "$", "\\("].iter().any(|open| content.starts_with(open));
    let sentence = sentence(if display { content } else { line(content) });
    if !sentence.is_empty() {
        found.push(Candidate::new(sentence, Mark::Stated));
    }
    let mathematics = environments(if display { content } else { sentence });
    if let Some(first) = mathematics.into_iter().next() {
        found.push(Candidate::new(first, Mark::Stated));
    }
    if let Some(number) = numbers(sentence).into_iter().next() {
        found.push(Candidate::new(number, Mark::Stated));
    }
}

fn line(text: &str) -> &str {
    let text = text.trim_start();
    text[..text.find('\n').unwrap_or(text.len())].trim_end()
}

/// Up to the full stop that ends the sentence.
fn sentence(text: &str) -> &str {
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut in_math = false;
    for (index, &byte) in bytes.iter().enumerate().take(end) {
        match byte {
            b'$' => in_math = !in_math,
            b'.' if !in_math => {
                let next = bytes.get(index + 1);
                if next.is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b'*' | b'"')) {
                    end = index;
                    break;
                }
            }
            b'\n' if !in_math && bytes.get(index + 1) == Some(&b'\n') => {
                end = index;
                break;
            }
            _ => {}
        }
    }
    text[..end].trim().trim_matches(|character| matches!(character, '*' | '_' | '"')).trim()
}

/// The contents of the math environments, in order.
fn environments(text: &str) -> Vec<&str> {
    environments_at(text).into_iter().map(|(_, _, content)| content).collect()
}

/// Start, end and content of each `$..$`, `$$..$$`, `\(..\)`, `\[..\]`, in order; the last ones of a long text.
fn environments_at(text: &str) -> Vec<(usize, usize, &str)> {
    let mut found = Vec::new();
    let mut unclosed: Vec<&str> = Vec::new();
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let rest = &text[index..];
        let (open, close) = if rest.starts_with("$$") {
            ("$$", "$$")
        } else if rest.starts_with('$') {
            ("$", "$")
        } else if rest.starts_with("\\(") {
            ("\\(", "\\)")
        } else if rest.starts_with("\\[") {
            ("\\[", "\\]")
        } else {
            index += if bytes[index] == b'\\' { 2 } else { 1 };
            while index < bytes.len() && !text.is_char_boundary(index) {
                index += 1;
            }
            continue;
        };
        let inside = index + open.len();
        let length = if unclosed.contains(&close) { None } else { closing(&text[inside..], close) };
        let Some(length) = length else {
            // Nothing closes this kind from here on; other kinds may still occur.
            unclosed.push(close);
            index = inside;
            continue;
        };
        let content = &text[inside..inside + length];
        if open == "$" && content.contains('\n') {
            index = inside;
            continue;
        }
        let end = inside + length + close.len();
        if !content.trim().is_empty() {
            found.push((index, end, content.trim()));
            if found.len() > 2 * ENVIRONMENTS {
                found.drain(..ENVIRONMENTS);
            }
        }
        index = end;
    }
    found
}

/// Where an environment closes; `\$` is a dollar sign in it.
fn closing(inside: &str, close: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + inside[from..].find(close)?;
        if !(close.starts_with('$') && inside[..at].ends_with('\\')) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Plain answers: bold text, the last line, the last number.
fn loose(text: &str, found: &mut Vec<Candidate>) {
    if let Some(end) = text.rfind("**")
        && let Some(start) = text[..end].rfind("**")
    {
        found.push(Candidate::new(text[start + 2..end].trim(), Mark::Loose));
    }
    let last = text.trim_end();
    let last = last[last.rfind('\n').map_or(0, |at| at + 1)..].trim();
    let last = last.trim_end_matches('.');
    if !last.is_empty() && last.len() <= LONGEST {
        found.push(Candidate::new(last, Mark::Loose));
        for behind in [" is ", ": ", "="] {
            if let Some(at) = last.rfind(behind) {
                found.push(Candidate::new(last[at + behind.len()..].trim(), Mark::Loose));
            }
        }
    }
    if let Some(number) = numbers(text).pop() {
        found.push(Candidate::new(number, Mark::Loose));
    }
}

/// Plain numbers with sign, fraction and percent sign; the last ones of a long text.
fn numbers(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let bytes = text.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        let starts = bytes[index].is_ascii_digit()
            || bytes[index] == b'.' && bytes.get(index + 1).is_some_and(u8::is_ascii_digit);
        let inside_word = index > 0 && (bytes[index - 1].is_ascii_alphanumeric() || bytes[index - 1] == b'_');
        if !starts || inside_word {
            index += 1;
            continue;
        }
        let Some(length) = number_length(&text[index..]) else {
            index += 1;
            continue;
        };
        let signed = index > 0
            && bytes[index - 1] == b'-'
            && (index < 2 || !(bytes[index - 2].is_ascii_alphanumeric() || bytes[index - 2] == b')'));
        let mut end = index + length;
        if bytes.get(end) == Some(&b'/')
            && let Some(more) = number_length(&text[end + 1..])
        {
            end += 1 + more;
        }
        if text[end..].starts_with('%') || text[end..].starts_with('°') {
            end += text[end..].chars().next().map_or(0, char::len_utf8);
        } else if text[end..].starts_with("\\%") {
            end += 2;
        }
        found.push(&text[index - usize::from(signed)..end]);
        if found.len() > 2 * ENVIRONMENTS {
            found.drain(..ENVIRONMENTS);
        }
        index = end;
    }
    found
}

fn number_length(text: &str) -> Option<usize> {
    if !text.starts_with(|character: char| character.is_ascii_digit() || character == '.') {
        return None;
    }
    super::number::literal(text, true).map(|literal| literal.length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<String> {
        candidates(text, &Options::default()).into_iter().next().map(|candidate| candidate.text)
    }

    #[test]
    fn the_last_box_wins() {
        assert_eq!(first("\\boxed{1} then we check, so \\boxed{2}.").as_deref(), Some("2"));
        assert_eq!(first("$\\boxed{1}$, $\\boxed{2}$").as_deref(), Some("1, 2"));
        assert_eq!(first("\\fbox{7}").as_deref(), Some("7"));
        assert_eq!(first("\\boxed 7 is it").as_deref(), Some("7"));
        assert_eq!(first("\\boxed{\\frac{1}{2}}").as_deref(), Some("\\frac{1}{2}"));
    }

    #[test]
    fn a_box_cut_off_by_the_end_is_no_answer() {
        assert_ne!(first("so \\boxed{12").as_deref(), Some("12"));
        assert_eq!(first("so $\\boxed{12$ is it").as_deref(), Some("12"));
    }

    #[test]
    fn thinking_is_not_scanned() {
        assert_eq!(first("<think>\\boxed{9}</think> The answer is 8").as_deref(), Some("8"));
    }

    #[test]
    fn phrases() {
        assert_eq!(first("\\boxed{5}, so the final answer is 7.").as_deref(), Some("7"));
        assert_eq!(first("\\boxed{5}, the answer is 7.").as_deref(), Some("5"));
        assert_eq!(first("The answer is $x=3$. Good.").as_deref(), Some("$x=3$"));
        assert_eq!(first("**Answer:** 4.5").as_deref(), Some("4.5"));
        assert_eq!(first("work\n#### 42").as_deref(), Some("42"));
    }

    #[test]
    fn long_and_odd_inputs_are_scanned_in_linear_time() {
        for text in ["$".repeat(100_000), "answer ".repeat(20_000), "\\boxed{".repeat(20_000)] {
            let _ = candidates(&text, &Options::default());
        }
    }
}
