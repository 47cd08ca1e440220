//! What a text may mean: mathematics, words, a letter.

use super::chemistry;
use super::english;
use super::expr::Expr;
use super::fuel::Fuel;
use super::numerals;
use super::parse::{Parsed, parse};
use super::text;

/// Longest text that is parsed.
const LONGEST: usize = 1 << 16;

/// Everything a text may mean.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The "area" of "Area: 5", in lower case; everything else here is about what stands behind it.
    pub(crate) label: Option<String>,
    pub(crate) expr: Option<Expr>,
    /// The same text with commas always separating, where that differs.
    pub(crate) as_list: Option<Expr>,
    /// Lower-case words if the text is nothing else.
    pub(crate) words: Option<String>,
    /// The 5 of "5 million".
    pub(crate) unscaled: Option<Expr>,
    /// The value of a number spelled in words.
    pub(crate) spelled: Option<Expr>,
    pub(crate) choice: Option<char>,
    /// What stands behind the letter: the 42 of "(C) 42".
    pub(crate) behind_choice: Option<Expr>,
    pub(crate) letters: Option<String>,
    pub(crate) skeleton: String,
    /// As it was written: an identical text is always equal.
    pub(crate) written: String,
}

impl Reading {
    pub(crate) fn new(text: &str, fuel: &mut Fuel) -> Self {
        let text = text.trim();
        let text = if text.len() > LONGEST { "" } else { text };
        let once = text::with_single_escapes(text);
        let text = text::without_emphasis(once.trim());
        let text = text::interval_behind(text).unwrap_or(text);
        let (label, text) = english::label(text).map_or((None, text), |(label, rest)| (Some(label), rest));
        let prose = text::is_prose(text);
        let (mut expr, mut as_list) = (None, None);
        let without_points = text::reals_except(text);
        if !text.is_empty()
            && let Ok(Parsed { expr: parsed, grouped_by_comma }) =
                parse(without_points.as_deref().unwrap_or(text), true, fuel)
        {
            expr = Some(parsed);
            if grouped_by_comma {
                as_list = parse(text, false, fuel).ok().map(|parsed| parsed.expr);
            }
        } else if let Some(value) = text::value_of_operation(text) {
            expr = parse(value, true, fuel).ok().map(|parsed| parsed.expr);
        }
        // Where numbers stand among words there is a name or a sentence, and no value.
        let mut words = (prose || expr.is_none() && text::is_prose_with_numbers(text))
            .then(|| text::normalized_words(text))
            .or_else(|| chemistry::formula(text).filter(|_| expr.is_none()));
        if let Some(set) = words.as_deref().and_then(text::set_in_words) {
            (expr, words) = (Some(set), None);
        }
        let spelled = words.as_deref().and_then(numerals::spelled_value);
        let skeleton = if expr.is_none() { text::skeleton(text) } else { String::new() };
        let (choice, behind) = text::choice(text).unzip();
        let behind_choice = behind
            .filter(|behind| !behind.is_empty())
            .and_then(|behind| parse(&behind, true, fuel).ok().map(|parsed| parsed.expr));
        let unscaled = english::without_scale(text)
            .and_then(|text| parse(&text, true, fuel).ok().map(|parsed| parsed.expr));
        let label = label.map(text::normalized_words).filter(|label| !english::says_nothing(label));
        Self {
            label,
            expr,
            as_list,
            words,
            unscaled,
            spelled,
            choice,
            behind_choice,
            letters: text::letters_only(text),
            skeleton,
            written: text.to_string(),
        }
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.expr.is_some() || self.words.is_some() || self.choice.is_some()
    }
}
