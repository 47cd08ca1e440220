//! What a text may mean: mathematics, words, a letter.

use super::expr::Expr;
use super::fuel::Fuel;
use super::licence::{Licence, Licences};
use super::parse::{Parsed, parse};
use crate::verify::language::{chemistry, english, numerals, parts, text};

/// Longest text that is parsed.
const LONGEST: usize = 1 << 16;

/// A value that a text may have.
#[derive(Clone, Debug)]
pub(crate) struct Meaning {
    pub(crate) expr: Expr,
    /// The convention by which the text has it at all.
    pub(crate) licences: Licences,
    /// The conventions of the notation it is written in, which count only where the other side is written otherwise.
    pub(crate) notation: Licences,
}

impl Meaning {
    /// A value that a text has without conventions of notation.
    fn of(licences: impl Into<Licences>, expr: Expr) -> Self {
        Self { expr, licences: licences.into(), notation: Licences::NONE }
    }

    /// What was parsed.
    fn by(licences: impl Into<Licences>, parsed: Parsed) -> Self {
        Self { notation: parsed.notation, ..Self::of(licences, parsed.expr) }
    }

    /// The licences that two texts with these values need to be compared.
    pub(crate) fn needed(&self, other: &Self) -> Licences {
        self.licences.union(other.licences).union(self.notation.difference(other.notation))
    }
}

/// Everything a text may mean.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    /// The "area" of "Area: 5", in lower case; everything else here is about what stands behind it.
    pub(crate) label: Option<String>,
    /// The values it may have, the one it has as it is written first.
    pub(crate) meanings: Vec<Meaning>,
    /// Lower-case words if the text is nothing else.
    pub(crate) words: Option<String>,
    pub(crate) choice: Option<char>,
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
        let bare = english::without_brackets(text);
        let text = bare.as_deref().unwrap_or(text);
        let prose = text::is_prose(text);
        let (mut literal, mut as_list) = (None, None);
        let rewritten = text::reals_in_words(text)
            .or_else(|| parts::named(text))
            .or_else(|| parts::statements(text))
            .or_else(|| parts::remainder(text));
        let whole = if text.is_empty() { None } else { rewritten.as_deref().or(Some(text)) };
        if let Some(parsed) = whole.and_then(|whole| parse(whole, true, fuel).ok()) {
            if parsed.grouped_by_comma {
                as_list = parse(text, false, fuel).ok();
            }
            literal = Some(parsed);
        } else if let Some(value) = text::value_of_operation(text) {
            literal = parse(value, true, fuel).ok();
        }
        let mut literal = literal.map(|parsed| Meaning::by(Licences::NONE, parsed));
        // Where numbers stand among words there is a name or a sentence, and no value.
        let mut words = (prose || literal.is_none() && text::is_prose_with_numbers(text))
            .then(|| text::normalized_words(text))
            .or_else(|| if literal.is_none() { chemistry::formula(text) } else { None });
        if let Some(set) = words.as_deref().and_then(text::set_in_words) {
            literal = Some(Meaning::of(Licences::NONE, set));
            words = None;
        }
        let spelled =
            words.as_deref().or((!text.is_ascii()).then_some(text)).and_then(numerals::spelled_value);
        let skeleton = if literal.is_none() { text::skeleton(text) } else { String::new() };
        let (choice, behind) = text::choice(text).unzip();
        let mut read = |licence: Licence, text: Option<String>| {
            let parsed = parse(&text.filter(|text| !text.is_empty())?, true, fuel).ok()?;
            Some(Meaning::by(licence, parsed))
        };
        let mut meanings: Vec<Meaning> = literal.into_iter().collect();
        meanings.extend(spelled.map(|value| Meaning::of(Licence::NumberInWords, value)));
        meanings.extend(as_list.map(|parsed| Meaning::by(Licence::CommaList, parsed)));
        meanings.extend(read(Licence::ChoiceValue, behind));
        meanings.extend(read(Licence::ScaleDropped, english::without_scale(text)));
        let label = label.map(text::normalized_words).filter(|label| !english::says_nothing(label));
        Self {
            label,
            meanings,
            words,
            choice,
            letters: text::letters_only(text),
            skeleton,
            written: text.to_string(),
        }
    }

    /// The value as it is written.
    pub(crate) fn literal(&self) -> Option<&Expr> {
        self.meanings
            .first()
            .filter(|meaning| meaning.licences == Licences::NONE)
            .map(|meaning| &meaning.expr)
    }

    /// Whether the words of the text spell a number.
    pub(crate) fn spells_a_number(&self) -> bool {
        self.value_by(Licence::NumberInWords).is_some()
    }

    /// The value that the text has by a convention.
    pub(crate) fn value_by(&self, licence: Licence) -> Option<&Expr> {
        self.meanings.iter().find(|meaning| meaning.licences.contains(licence)).map(|meaning| &meaning.expr)
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.literal().is_some() || self.words.is_some() || self.choice.is_some()
    }
}
