//! Where the answer stands in a completion.
//!
//! [`candidates`] yields the places to look, best first; the first that can be read is the answer. Only the tail of a
//! long completion is scanned, and only what follows the last `</think>`.

mod boxes;
mod compat;
mod environments;
mod gold;
mod loose;
mod phrase;
mod sentence;
mod turn;

use std::borrow::Cow;

use super::{Options, Profile};
use crate::verify::language::lexicon;
use crate::verify::language::retraction::{gives_up, retraction};
use crate::verify::language::text::{boundary, choice, half_width, may_be_choice};
use boxes::{Boxed, behind_boxes, ends_inside_box, in_parts, last_box, opens_before};
use environments::last;
use loose::{
    concluded, is_denied, is_subject, last_line, letter, line_of_choice, loose, without_afterthought,
};
use phrase::{Phrase, phrase, stated};
use sentence::{counted, line, sentence, yes_or_no};
use turn::turn;

pub(crate) use gold::formula_of_gold;

/// Bytes of the completion that are scanned, from its end.
const TAIL: usize = 1 << 16;
/// What a problem that is quoted at the end asks with.
const QUESTIONS: &str = "How What Which Who When Where Find";
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
    /// As [`Mark::Loose`], where yes or no is expected.
    YesNo,
    /// As [`Mark::Loose`], where several values are expected.
    Several,
    /// As [`Mark::Loose`], where a letter is expected.
    Letter,
}

/// A place where the answer may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) mark: Mark,
}

impl<'a> Candidate<'a> {
    fn new(text: impl Into<Cow<'a, str>>, mark: Mark) -> Self {
        Self { text: text.into(), mark }
    }
}

fn tail(completion: &str) -> &str {
    &completion[boundary(completion, completion.len().saturating_sub(TAIL))..]
}

/// A completion with the full-width forms in its end as plain characters, and not much before it.
pub(crate) fn plain_characters(completion: &str) -> Cow<'_, str> {
    let end = tail(completion);
    match half_width(end) {
        Cow::Borrowed(_) if !end.contains('~') || !end.contains(" ~~") => Cow::Borrowed(completion),
        plain => {
            let plain = without_struck(&plain);
            let before = tail(&completion[..completion.len() - end.len()]);
            Cow::Owned(format!("{before}{plain}"))
        }
    }
}

/// A text without what is struck out in Markdown: the 7 of "~~7~~ 8".
fn without_struck(text: &str) -> String {
    let mut kept = text.to_string();
    while let Some(at) = kept.find(" ~~")
        && let Some(end) =
            kept[at + 3..].find(['~', '\n']).filter(|end| kept[at + 3 + end..].starts_with("~~"))
    {
        kept.replace_range(at..at + 5 + end, "");
    }
    kept
}

/// The part of a completion that may hold the answer.
fn scanned(completion: &str) -> &str {
    let tail = tail(completion);
    let may_end = tail.contains('<') || tail.contains('[') && tail.contains("[/INST]");
    if !may_end {
        return tail;
    }
    let said = match tail.rfind("</think>") {
        Some(end) => &tail[end + "</think>".len()..],
        None => tail,
    };
    // A thought that was cut off says nothing yet.
    turn(&said[..said.rfind("<think>").unwrap_or(said.len())])
}

/// Places to look, best first. Those that nothing marks are looked up only when they are asked for.
pub(crate) fn candidates<'a>(
    completion: &'a str,
    options: &Options,
) -> impl Iterator<Item = Candidate<'a>> + use<'a> {
    let (found, rest) = if options.profile == Profile::MathVerify && !options.require_boxed {
        (compat::candidates(tail(completion), options.sources), None)
    } else {
        marked(completion, options)
    };
    found.into_iter().chain(rest.into_iter().flat_map(unmarked))
}

/// Answers in boxes, in tags and behind phrases, and the text to search if none of them can be read.
fn marked<'a>(completion: &'a str, options: &Options) -> (Vec<Candidate<'a>>, Option<&'a str>) {
    let mut text = scanned(completion);
    let mut found = Vec::new();
    let mut boxed = last_box(text);
    // "\\boxed{7}. Wait, that is wrong."
    if let Some(Boxed { end, .. }) = boxed
        && let Some(at) = retraction(&text[end..], false)
    {
        (text, boxed) = (&text[end + at..], None);
    }
    let boxed_end = boxed.as_ref().map_or(0, |boxed| boxed.end);
    let mut phrase = (!options.require_boxed).then(|| phrase(text, boxed_end)).flatten();
    if let Some((_, content, _)) = phrase.filter(|_| boxed.is_none())
        && let Some(at) = retraction(content, true)
    {
        (text, phrase) = (&content[at..], None);
    }
    // "Answer: D" is the choice where the box holds another thing.
    let other = boxed.as_ref().is_some_and(|boxed| choice(&boxed.content).is_none());
    let chosen = |said: &str| {
        let line = Some(line(said)).filter(|line| other && may_be_choice(line))?;
        choice(sentence(line))
    };
    if let Some((_, content, _)) = phrase
        .take_if(|(kind, said, at)| *kind == Phrase::Final && *at >= boxed_end && chosen(said).is_none())
    {
        stated(content, &mut found);
        // "The final answer is in the box above, with 3 steps" says no number: a box yields to a bare value alone.
        if boxed.is_some() {
            found.retain(|candidate| candidate.mark != Mark::Formula);
        }
    }
    if let Some((letter, _)) = phrase.and_then(|(_, said, _)| chosen(said)) {
        found.push(Candidate::new(letter.to_string(), Mark::Letter));
    }
    if let Some(boxed) = boxed {
        found.extend(in_parts(text, &boxed).map(|parts| Candidate::new(parts, Mark::Several)));
        let content = match boxed.content {
            Cow::Borrowed(content) => counted(content).into(),
            Cow::Owned(content) => counted(&content).to_string().into(),
        };
        found.push(Candidate { text: content, mark: Mark::Boxed });
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
    match phrase {
        Some((Phrase::Field, value, _)) => found.push(Candidate::new(value, Mark::Boxed)),
        Some((_, content, _)) => stated(content, &mut found),
        None => {}
    }
    (found, Some(text))
}

/// Answers that only their place at the end makes answers.
fn unmarked(text: &str) -> Vec<Candidate<'_>> {
    let mut found = Vec::new();
    let asks = text.trim_end().strip_suffix('?').and_then(|text| text.rsplit(['.', '\n', '?']).next());
    let asks = asks
        .is_some_and(|question| lexicon::one_of!(lexicon::words(question).next().unwrap_or(""), QUESTIONS));
    if asks || breaks_off(text) || gives_up(&text[text.rfind("\n\n").unwrap_or(0)..]) {
        return found;
    }
    // A box that is still here has been denied.
    let text = without_afterthought(behind_boxes(text));
    let mathematics = last(text);
    found.extend(yes_or_no(last_line(text)).map(|said| Candidate::new(said, Mark::YesNo)));
    let is_choice = mathematics.alone.is_some_and(|last| choice(last).is_some());
    if let Some(letter) = letter(text).filter(|_| !is_choice) {
        found.push(Candidate::new(letter, Mark::Letter));
    }
    found.extend(line_of_choice(text).map(|letter| Candidate::new(letter.to_string(), Mark::Letter)));
    if let Some(at) = ["(a)", "(1)", "(i)"].iter().filter_map(|first| text.rfind(first)).max()
        && text[at..].contains('\n')
    {
        found.push(Candidate::new(&text[text[..at].trim_end_matches('*').len()..], Mark::Several));
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

/// Whether a text ends in the middle of a sentence: "so the difference is", "which is the".
fn breaks_off(text: &str) -> bool {
    let last = text.split_whitespace().next_back().unwrap_or("");
    lexicon::one_of!(last, "is are equals gives the an of and or because so our its")
}

/// What stands between the last `<answer>` and `</answer>`.
fn tagged(text: &str) -> Option<&str> {
    let inside = &text[..text.rfind("</answer>")?];
    Some(inside[inside.rfind("<answer>")? + "<answer>".len()..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(text: &str) -> Option<String> {
        candidates(text, &Options::default()).next().map(|candidate| candidate.text.into_owned())
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
        assert_eq!(first("Two ways. THE ANSWER IS NOT 3 BUT 4. Now WOW").as_deref(), Some("4"));
    }

    #[test]
    fn long_and_odd_inputs_are_scanned_in_linear_time() {
        for text in ["$".repeat(100_000), "answer ".repeat(20_000), "\\boxed{".repeat(20_000)] {
            let _ = candidates(&text, &Options::default()).count();
        }
    }
}
