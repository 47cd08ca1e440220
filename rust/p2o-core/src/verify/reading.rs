//! What a text may mean: mathematics, words, a letter.

use super::expr::Expr;
use super::fuel::Fuel;
use super::licence::{Licence, Licences};
use super::parse::{Parsed, parse};
use crate::verify::language::chemistry;
use crate::verify::language::english;
use crate::verify::language::numerals;
use crate::verify::language::text;

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
        let prose = text::is_prose(text);
        let read = |text: &str, commas: bool, fuel: &mut Fuel| {
            let Parsed { expr, notation, grouped_by_comma } = parse(text, commas, fuel).ok()?;
            Some((Meaning { expr, licences: Licences::NONE, notation }, grouped_by_comma))
        };
        let (mut literal, mut as_list) = (None, None);
        let without_points = text::reals_except(text);
        let whole = if text.is_empty() { None } else { without_points.as_deref().or(Some(text)) };
        if let Some((meaning, grouped_by_comma)) = whole.and_then(|whole| read(whole, true, fuel)) {
            literal = Some(meaning);
            if grouped_by_comma {
                as_list = read(text, false, fuel);
            }
        } else if let Some(value) = text::value_of_operation(text) {
            literal = read(value, true, fuel).map(|(meaning, _)| meaning);
        }
        // Where numbers stand among words there is a name or a sentence, and no value.
        let mut words = (prose || literal.is_none() && text::is_prose_with_numbers(text))
            .then(|| text::normalized_words(text))
            .or_else(|| if literal.is_none() { chemistry::formula(text) } else { None });
        if let Some(set) = words.as_deref().and_then(text::set_in_words) {
            literal = Some(Meaning { expr: set, licences: Licences::NONE, notation: Licences::NONE });
            words = None;
        }
        let spelled =
            words.as_deref().or((!text.is_ascii()).then_some(text)).and_then(numerals::spelled_value);
        let skeleton = if literal.is_none() { text::skeleton(text) } else { String::new() };
        let (choice, behind) = text::choice(text).unzip();
        let behind_choice =
            behind.filter(|behind| !behind.is_empty()).and_then(|behind| read(&behind, true, fuel));
        let unscaled = english::without_scale(text).and_then(|text| read(&text, true, fuel));
        let label = label.map(text::normalized_words).filter(|label| !english::says_nothing(label));
        let by = |licence: Licence, found: Option<(Meaning, bool)>| {
            found.map(|(meaning, _)| Meaning { licences: licence.into(), ..meaning })
        };
        let spelled = spelled.map(|expr| Meaning {
            expr,
            licences: Licence::NumberInWords.into(),
            notation: Licences::NONE,
        });
        let meanings = [
            literal,
            spelled,
            by(Licence::CommaList, as_list),
            by(Licence::ChoiceValue, behind_choice),
            by(Licence::ScaleDropped, unscaled),
        ];
        Self {
            label,
            meanings: meanings.into_iter().flatten().collect(),
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
        self.meanings.iter().any(|meaning| meaning.licences.contains(Licence::NumberInWords))
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.literal().is_some() || self.words.is_some() || self.choice.is_some()
    }
}
