//! Where the answer stands in a completion.
//!
//! [`candidates`] yields the places to look, best first; the first that can be read is the answer. Only the tail of a
//! long completion is scanned, and only what follows the last `</think>`.

mod boxes;
mod compat;
mod environments;
mod gold;
mod loose;
mod turn;

use std::borrow::Cow;

use super::{Options, Profile};
use crate::verify::language::english;
use crate::verify::language::text::{choice, half_width};
use boxes::{ends_inside_box, last_box, opens_before};
use environments::{environments, last};
use loose::{concluded, is_denied, is_subject, letter, loose, numbers, without_afterthought};
use turn::turn;

pub(crate) use gold::formula_of_gold;

/// Bytes of the completion that are scanned, from its end.
const TAIL: usize = 1 << 16;
/// Longest sentence or line that is tried as an answer.
const LONGEST: usize = 1 << 12;

/// How a candidate is marked as the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// By a box: what stands in it is the answer even if it cannot be read.
    Boxed,
    /// By a phrase, and written as mathematics, which is not searched for a number if it cannot be read.
    Formula,
    /// By a phrase: words are an answer too.
    Stated,
    /// By nothing but its place.
    Loose,
    /// As [`Mark::Loose`], where words are expected.
    Prose,
    /// As [`Mark::Loose`], where several values are expected.
    Several,
    /// As [`Mark::Loose`], where a letter is expected.
    Letter,
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

/// A completion with the full-width forms in its end as plain characters, and not much before it.
pub(crate) fn plain_characters(completion: &str) -> Cow<'_, str> {
    let end = tail(completion);
    match half_width(end) {
        Cow::Borrowed(_) => Cow::Borrowed(completion),
        Cow::Owned(plain) => {
            let before = tail(&completion[..completion.len() - end.len()]);
            Cow::Owned(format!("{before}{plain}"))
        }
    }
}

/// The part of a completion that may hold the answer.
fn scanned(completion: &str) -> &str {
    let tail = tail(completion);
    let said = match tail.rfind("</think>") {
        Some(end) => &tail[end + "</think>".len()..],
        None => tail,
    };
    turn(said)
}

/// Places to look, best first. Those that nothing marks are looked up only when they are asked for.
pub(crate) fn candidates(completion: &str, options: &Options) -> impl Iterator<Item = Candidate> {
    let (found, rest) = if options.profile == Profile::MathVerify && !options.require_boxed {
        (compat::candidates(tail(completion), options.sources), None)
    } else {
        marked(completion, options)
    };
    found.into_iter().chain(rest.into_iter().flat_map(unmarked))
}

/// Answers in boxes, in tags and behind phrases, and the text to search if none of them can be read.
fn marked<'a>(completion: &'a str, options: &Options) -> (Vec<Candidate>, Option<&'a str>) {
    let text = scanned(completion);
    let mut found = Vec::new();
    let boxed = last_box(text);
    let boxed_end = boxed.as_ref().map_or(0, |(_, end)| *end);
    let mut phrase = (!options.require_boxed).then(|| phrase(text)).flatten();
    if let Some((_, content, _)) = phrase.take_if(|(kind, _, at)| *kind == Phrase::Final && *at >= boxed_end)
    {
        stated(content, &mut found);
        // "The final answer is in the box above, with 3 steps" says no number: a box yields to a bare value alone.
        if boxed.is_some() {
            found.retain(|candidate| stands_bare(line(content), &candidate.text));
        }
    }
    // "Answer: D" is the choice where the box holds another thing.
    if let (Some((content, _)), Some((_, said, _))) = (&boxed, &phrase)
        && choice(content).is_none()
        && let Some((letter, _)) = choice(sentence(line(said)))
    {
        found.push(Candidate::new(letter, Mark::Letter));
    }
    if let Some((content, _)) = boxed {
        found.push(Candidate::new(content, Mark::Boxed));
    }
    // A box that begins before the tail is too long to be read, and its inside is no answer.
    if found.is_empty() && opens_before(completion, text) {
        return (found, None);
    }
    if options.require_boxed
        || !found.is_empty() && boxed_end > 0
        || found.is_empty() && ends_inside_box(text)
    {
        return (found, None);
    }
    if let Some(tagged) = tagged(text) {
        stated(tagged, &mut found);
    }
    if let Some(at) = text.rfind("####") {
        found.push(Candidate::new(line(&text[at + 4..]), Mark::Boxed));
    }
    if let Some((_, content, _)) = phrase {
        stated(content, &mut found);
    }
    (found, Some(text))
}

/// Answers that only their place at the end makes answers.
fn unmarked(text: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    let text = without_afterthought(text);
    let mathematics = last(text);
    let is_choice = mathematics.alone.is_some_and(|last| choice(last).is_some());
    if let Some(letter) = letter(text).filter(|_| !is_choice) {
        found.push(Candidate::new(letter, Mark::Letter));
    }
    if let Some(joined) = mathematics.joined {
        // Of "$11$ or $12$" neither is the answer.
        found
            .push(Candidate::new(joined, if mathematics.alternatives { Mark::Loose } else { Mark::Several }));
    }
    let says = |last: &&str| !is_denied(text, last) && !is_subject(text, last);
    if let Some(number) = mathematics.alone.and_then(|last| concluded(text, last)) {
        found.push(Candidate::new(number, Mark::Loose));
    }
    if let Some(last) = mathematics.alone.filter(says) {
        found.push(Candidate::new(last, Mark::Loose));
    }
    loose(text, &mut found);
    found
}

/// What stands between the last `<answer>` and `</answer>`.
fn tagged(text: &str) -> Option<&str> {
    let inside = &text[..text.rfind("</answer>")?];
    Some(inside[inside.rfind("<answer>")? + "<answer>".len()..].trim())
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
        if english::doubts_next(&text[..at]) {
            continue;
        }
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
    let (kind, start, at) = best.or_else(|| {
        // "Ans. 42", "答案: 42"
        ["ans. ", "ans: ", "答案", "故选", "应选"].into_iter().find_map(|word| {
            let at = lower.rfind(word).filter(|at| !lower[..*at].ends_with(char::is_alphabetic))?;
            let after = lower[at + word.len()..].trim_start_matches(['是', '为', '选', '】', ':', ' ']);
            Some((Phrase::Plain, lower.len() - after.len(), at))
        })
    })?;
    Some((kind, &text[start..], at))
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
            if rest.starts_with("not ") {
                // "not 3 but 4"
                let but = line(rest).find(" but ")?;
                return Some(after.len() - rest.len() + but + " but ".len());
            }
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
    if let Some(letter) = reasoned_choice(sentence) {
        found.push(Candidate::new(letter, Mark::Letter));
    }
    let said = if display { content } else { sentence };
    if let Some(first) =
        environments(said).into_iter().find(|first| !is_subject(said, first) && !is_denied(said, first))
    {
        // What stands between two prices is no formula.
        found.push(Candidate::new(first, if first.contains('\\') { Mark::Formula } else { Mark::Stated }));
    }
    if let Some(number) = numbers(sentence).into_iter().find(|number| !is_denied(sentence, number)) {
        // Of "5, or maybe 6" neither is the answer, and nothing else is.
        let behind = &sentence[number.as_ptr() as usize - sentence.as_ptr() as usize + number.len()..];
        let offers = [" or ", "或"]
            .iter()
            .any(|or| behind.split_once(or).is_some_and(|(_, other)| !numbers(other).is_empty()));
        let (text, mark) = if offers { (sentence, Mark::Formula) } else { (number, Mark::Stated) };
        found.push(Candidate::new(text, mark));
    }
}

/// Whether nothing that matters stands before a part of a sentence.
fn stands_bare(sentence: &str, part: &str) -> bool {
    sentence.find(part).is_none_or(|at| {
        let before =
            sentence[..at].trim_matches(|sign: char| sign.is_whitespace() || "$*:\\([".contains(sign));
        before.is_empty() || english::introduces(before)
    })
}

/// The letter of "C, because D is too large".
fn reasoned_choice(sentence: &str) -> Option<&str> {
    let bare =
        sentence.strip_prefix('(').filter(|bare| bare.get(1..).is_some_and(|behind| behind.starts_with(')')));
    let letter =
        bare.unwrap_or(sentence).get(..1).filter(|letter| matches!(letter.as_bytes()[0], b'A'..=b'J'))?;
    let sentence = &sentence[if bare.is_some() { 2 } else { 0 }..];
    let reason = sentence[1..].trim_start_matches([',', ';', ' ']);
    let word = reason.split(|next: char| !next.is_alphabetic()).next()?;
    // "D, it cannot be A" chooses, "D, or A" and "D, A" do not.
    let clause =
        sentence[1..].starts_with([',', ';']) && word.len() > 1 && !matches!(word, "or" | "and" | "maybe");
    (clause
        || matches!(word, "because" | "since" | "as" | "so" | "for" | "which" | "where" | "not" | "rather"))
    .then_some(letter)
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
                // An ellipsis belongs to its number.
                let ellipsis = bytes[..index].ends_with(b"..");
                if !ellipsis
                    && next.is_none_or(|next| next.is_ascii_whitespace() || matches!(next, b'*' | b'"'))
                {
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
    let sentence = text[..end].trim().trim_matches(|character| matches!(character, '*' | '_' | '"')).trim();
    without_remark(sentence)
}

/// The sentence without the words in brackets that end it: "5 (since 2+3=5)", "$\\frac12$ (one half)".
fn without_remark(sentence: &str) -> &str {
    let Some(inside) = sentence.strip_suffix(')') else { return sentence };
    let mut depth = 1usize;
    let open = inside.bytes().enumerate().rev().find(|&(_, byte)| {
        match byte {
            b')' => depth += 1,
            b'(' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    match open {
        Some((open, _))
            if inside[..open].ends_with(' ')
                && (english::is_remark(&inside[open + 1..])
                    || inside[open + 1..].starts_with("not ")
                    || english::ends_with_noun(&inside[..open])
                        && !inside[open + 1..].contains(char::is_alphabetic)) =>
        {
            inside[..open].trim_end()
        }
        _ => sentence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<String> {
        candidates(text, &Options::default()).next().map(|candidate| candidate.text)
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
            let _ = candidates(&text, &Options::default()).count();
        }
    }
}
