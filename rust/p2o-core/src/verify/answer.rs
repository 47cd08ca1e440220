//! The public functions: read the gold once, find and read the answer, compare.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use rustc_hash::FxHashMap;

use super::compare::Comparer;
use super::expr::Expr;
use super::extract::{Candidate, Mark, candidates, formula_of_gold, plain_characters};
use super::fuel::Fuel;
use super::licence::{Licence, Licences};
use super::reading::Reading;
use super::scalar::Outcome;
use super::{Options, Profile, Status, Tier, Verdict};
use crate::verify::language::{chemistry, dates, lexicon, sayings, text};

/// A gold answer, parsed once for all the completions it is compared with.
#[derive(Clone, Debug, Default)]
pub struct Gold {
    reading: Reading,
}

/// A gold answer that cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the gold answer {gold:?} cannot be parsed: write it as a number, an expression, a set or words")]
pub struct GoldError {
    /// The gold as given.
    pub gold: String,
}

impl Gold {
    /// Reads a gold answer: bare, between dollar signs, or boxed.
    ///
    /// # Errors
    /// [`GoldError`] if it is empty or means nothing to the parser.
    pub fn parse(gold: &str, options: &Options) -> Result<Self, GoldError> {
        let gold_value = Self::read(gold, options);
        if gold_value.reading.is_readable() {
            Ok(gold_value)
        } else {
            Err(GoldError { gold: gold.to_string() })
        }
    }

    /// Reads a gold answer that may turn out to be unparsable; every verdict then says so.
    pub fn read(gold: &str, options: &Options) -> Self {
        catch_unwind(AssertUnwindSafe(|| Self::first_reading(gold, options))).unwrap_or_default()
    }

    fn first_reading(gold: &str, options: &Options) -> Self {
        let mut fuel = Fuel::new(options.deadline);
        let gold = &*text::half_width(gold);
        let in_environment = options.profile == Profile::MathVerify
            && (gold.contains('$') && !text::is_split_by_dollars(gold) || gold.contains("\\("));
        let marked = gold.contains("\\boxed") || gold.contains("\\fbox") || in_environment;
        if !marked {
            let reading = Reading::new(gold, &mut fuel);
            let in_prose =
                options.profile == Profile::MathVerify && gold.contains(' ') && !gold.contains('\\');
            let wrapped =
                in_prose || gold.contains(['$', '\n']) || gold.contains("**") || gold.contains("####");
            let states = reading.literal().is_none() && gold.contains("nswer");
            if !states && (reading.is_readable() || !wrapped) {
                return Self { reading };
            }
        }
        // A gold with its sentence around it.
        let unboxed = Options { require_boxed: false, ..options.clone() };
        // A letter that stands alone in a gold's sentence is a name in it, and what nothing marks is no answer.
        let marks = |candidate: &Candidate| match candidate.mark {
            Mark::Boxed | Mark::Formula | Mark::Stated => true,
            Mark::Letter | Mark::YesNo => false,
            Mark::Loose | Mark::Prose | Mark::Several => options.profile == Profile::MathVerify,
        };
        let found = candidates(gold, &unboxed).filter(marks).map(|candidate| candidate.text);
        let formula = formula_of_gold(gold).map(Cow::Owned);
        let mut first = None;
        for text in found.chain(formula) {
            let reading = Reading::new(&text, &mut fuel);
            if reading.is_readable() {
                // The same sentence is an answer too.
                return Self { reading: Reading { skeleton: text::skeleton(gold), ..reading } };
            }
            first.get_or_insert(reading);
        }
        Self { reading: first.unwrap_or_else(|| Reading::new(gold, &mut fuel)) }
    }

    /// Verifies a completion against this gold.
    pub fn verify(&self, completion: &str, options: &Options) -> Verdict {
        // One bad input must not end a batch or a run: a panic below is a fault of ours, reported as undecided.
        let undecided = Verdict::without_answer(Status::Timeout);
        catch_unwind(AssertUnwindSafe(|| self.verdict(completion, options))).unwrap_or(undecided)
    }

    fn verdict(&self, completion: &str, options: &Options) -> Verdict {
        let mut fuel = Fuel::new(options.deadline);
        let completion = &plain_characters(completion);
        let found = candidates(completion, options);
        let Some((candidate, answer)) = self.first_readable(found, options, &mut fuel) else {
            let status = if self.reading.is_readable() { Status::NoAnswer } else { Status::GoldUnparsable };
            return Verdict::without_answer(status);
        };
        let (outcome, licences) = self.compare(&answer, options, &mut fuel);
        let (status, tier) = match outcome {
            Outcome::Equal(tier) => (Status::Correct, Some(tier)),
            Outcome::Different(_) if !self.reading.is_readable() => (Status::GoldUnparsable, None),
            Outcome::Different(_) if fuel.exhausted() => (Status::Timeout, None),
            Outcome::Different(tier) => (Status::Wrong, Some(tier)),
        };
        Verdict { status, extracted: Some(candidate.text.into_owned()), tier, licences }
    }

    /// The first place that holds something this gold can be compared with.
    fn first_readable<'a>(
        &self,
        found: impl Iterator<Item = Candidate<'a>>,
        options: &Options,
        fuel: &mut Fuel,
    ) -> Option<(Candidate<'a>, Reading)> {
        let textual = self.reading.words.is_some()
            || self.reading.choice.is_some()
            || self.reading.literal().is_none_or(|expr| matches!(expr, Expr::EmptySet | Expr::Reals));
        let several = || self.reading.literal().is_some_and(Expr::is_several);
        let licences = options.licences();
        let mut fallback = None;
        for candidate in found {
            let unexpected = match candidate.mark {
                Mark::Several => !several(),
                Mark::Letter => self.reading.choice.is_none(),
                Mark::Prose => !textual,
                Mark::YesNo => {
                    let words = self.reading.words.as_deref();
                    !words.is_some_and(|words| lexicon::one_of!(words, "yes no true false"))
                }
                Mark::Boxed | Mark::Formula | Mark::Stated | Mark::Loose => false,
            };
            if unexpected || candidate.text.trim().is_empty() {
                continue;
            }
            let answer = Reading::new(&candidate.text, fuel);
            let mathematical =
                answer.literal().is_some() && answer.words.is_none() || self.in_number(&answer, licences);
            // A sentence is no choice where a letter is expected.
            let choice = self.reading.choice.is_none() || answer.choice.is_some() || answer.words.is_none();
            let textual = textual && choice;
            // Math-Verify reads words in front of a number as names of factors: they are an answer, if a wrong one.
            let named = options.profile == Profile::MathVerify
                && answer.words.is_some()
                && candidate.text.starts_with('\\');
            if matches!(candidate.mark, Mark::Boxed | Mark::Formula)
                || mathematical
                || named
                || textual && answer.is_readable()
            {
                return Some((candidate, answer));
            }
            // Words where a value is expected are only an answer if nothing else is.
            if candidate.mark == Mark::Stated && answer.words.is_some() && fallback.is_none() {
                fallback = Some((candidate, answer));
            }
        }
        fallback
    }

    /// Whether both have a value and one of the two spells it in words.
    fn in_number(&self, answer: &Reading, licences: Licences) -> bool {
        let valued = |reading: &Reading| reading.spells_a_number() || reading.literal().is_some();
        licences.contains(Licence::NumberInWords)
            && (self.reading.spells_a_number() || answer.spells_a_number())
            && valued(&self.reading)
            && valued(answer)
    }

    /// Whether the answer equals the gold, and by which conventions.
    fn compare(&self, answer: &Reading, options: &Options, fuel: &mut Fuel) -> (Outcome, Licences) {
        let gold = &self.reading;
        let mut comparer = Comparer::new(options, fuel);
        let outcome = if gold.label.is_some() && answer.label.is_some() && gold.label != answer.label {
            Outcome::Different(Tier::Text)
        } else if !gold.skeleton.is_empty() && gold.skeleton == answer.skeleton {
            Outcome::Equal(Tier::Text)
        } else {
            let number = self.in_number(answer, options.licences());
            let value = if number { Some(in_some_meaning(gold, answer, &mut comparer)) } else { None };
            value.filter(|outcome| outcome.is_equal()).unwrap_or_else(|| {
                let decided = in_words(gold, answer, &mut comparer).or(value);
                decided.unwrap_or_else(|| in_some_meaning(gold, answer, &mut comparer))
            })
        };
        let is_word = |word: &str| word.len() > 2 && word.bytes().all(|letter| letter.is_ascii_alphabetic());
        let worded = |reading: &Reading| {
            let written = &reading.written;
            reading.literal().is_some() && (written.contains("\\text") || written.split(' ').any(is_word))
        };
        let equal = outcome.is_equal() && options.profile != Profile::MathVerify;
        let differ = || sayings::count_differently(&gold.written, &answer.written);
        let outcome = if equal && worded(gold) && worded(answer) && differ() {
            Outcome::Different(Tier::Text)
        } else {
            outcome
        };
        let identical =
            gold.written == answer.written && !answer.written.is_empty() && gold.label == answer.label;
        let same = || identical || chemistry::same(&gold.written, &answer.written);
        let outcome = if !outcome.is_equal() && same() { Outcome::Equal(Tier::Text) } else { outcome };
        (outcome, comparer.used())
    }
}

/// Compares each value that the gold may have with each that the answer may have.
fn in_some_meaning(gold: &Reading, answer: &Reading, comparer: &mut Comparer<'_>) -> Outcome {
    let mut result = Outcome::Different(Tier::Text);
    for (index, (left, right)) in gold
        .meanings
        .iter()
        .flat_map(|left| answer.meanings.iter().map(move |right| (left, right)))
        .enumerate()
    {
        let outcome = comparer.by(left.needed(right), |comparer| comparer.equal(&left.expr, &right.expr));
        if outcome.is_equal() {
            return outcome;
        }
        if index == 0 {
            result = outcome;
        }
    }
    result
}

/// Decides golds and answers in words and letters; none if it takes mathematics.
fn in_words(gold: &Reading, answer: &Reading, comparer: &mut Comparer<'_>) -> Option<Outcome> {
    let decided =
        |equal| Some(if equal { Outcome::Equal(Tier::Text) } else { Outcome::Different(Tier::Text) });
    if let Some(letter) = gold.choice {
        if let Some(given) = answer.choice {
            // "(D) 35" has not chosen "(D) 36".
            let values = (gold.value_by(Licence::ChoiceValue), answer.value_by(Licence::ChoiceValue));
            let agree = match values {
                (Some(left), Some(right)) => comparer.equal(left, right).is_equal(),
                _ => true,
            };
            return decided(given == letter && agree);
        }
        if answer.words.is_some() {
            return decided(false);
        }
    }
    let initial = matches!(
        (gold.words.as_deref(), answer.letters.as_deref()),
        (Some("true"), Some("t"))
            | (Some("false"), Some("f"))
            | (Some("yes"), Some("y"))
            | (Some("no"), Some("n"))
    );
    let same_letters = gold.letters.is_some() && gold.letters == answer.letters || initial;
    if same_letters && gold.written != answer.written && comparer.may(Licence::CaseIgnored) {
        return Some(comparer.by(Licence::CaseIgnored, |_| Outcome::Equal(Tier::Text)));
    }
    let licence = match (&gold.words, &answer.words) {
        (None, None) => return None,
        (Some(left), Some(right)) if left == right => return decided(true),
        (Some(left), Some(right)) if sayings::same_words(left, right) => Licence::ArticleDropped,
        (Some(left), Some(right)) if sayings::says(right, left) || sayings::says(left, right) => {
            Licence::WordsInSentence
        }
        (Some(_), Some(_)) => return decided(false),
        (Some(_), None) | (None, Some(_)) if same_letters => return decided(true),
        (Some(_), None) | (None, Some(_)) => {
            let plain = |reading: &Reading| text::normalized_words(&reading.written);
            if !dates::same_date(&plain(gold), &plain(answer)) {
                return decided(false);
            }
            Licence::DateReordered
        }
    };
    Some(comparer.by(licence, |_| Outcome::Equal(Tier::Text)))
}

/// Verifies one completion against one gold.
pub fn verify(completion: &str, gold: &str, options: &Options) -> Verdict {
    Gold::read(gold, options).verify(completion, options)
}

/// Whether two bare answers are equal; the first is the gold where the rules are not symmetric.
pub fn equivalent(gold: &str, answer: &str, options: &Options) -> bool {
    let gold = Gold::read(gold, options);
    let compare = || {
        let mut fuel = Fuel::new(options.deadline);
        let answer = Reading::new(&text::half_width(answer), &mut fuel);
        gold.compare(&answer, options, &mut fuel).0.is_equal()
    };
    catch_unwind(AssertUnwindSafe(compare)).unwrap_or(false)
}

/// Verifies each completion against the gold at the same place; equal golds are parsed once.
///
/// With the feature `rayon` the work is spread over the current rayon pool; the verdicts do not depend on it.
///
/// # Panics
/// If the two slices differ in length.
pub fn verify_batch<C, G>(completions: &[C], golds: &[G], options: &Options) -> Vec<Verdict>
where
    C: AsRef<str> + Sync,
    G: AsRef<str> + Sync,
{
    verify_batch_until(completions, golds, options, &AtomicBool::new(false)).unwrap_or_default()
}

/// [`verify_batch`] that another thread can stop: none once `stop` has been set.
///
/// # Panics
/// If the two slices differ in length.
pub fn verify_batch_until<C, G>(
    completions: &[C],
    golds: &[G],
    options: &Options,
    stop: &AtomicBool,
) -> Option<Vec<Verdict>>
where
    C: AsRef<str> + Sync,
    G: AsRef<str> + Sync,
{
    assert_eq!(completions.len(), golds.len(), "one gold per completion");
    let going = || (!stop.load(Ordering::Relaxed)).then_some(());
    let (distinct, which) = distinct(golds);
    let parsed = map(&distinct, |gold| going().map(|()| Gold::read(gold, options)))?;
    let pairs: Vec<(&C, usize)> = completions.iter().zip(which).collect();
    let verdicts = map(&pairs, |(completion, gold)| {
        going().map(|()| parsed[*gold].verify(completion.as_ref(), options))
    });
    drop_all(parsed);
    verdicts
}

/// [`verify_batch`] on the calling thread.
///
/// # Panics
/// If the two slices differ in length.
pub fn verify_each<C, G>(completions: &[C], golds: &[G], options: &Options) -> Vec<Verdict>
where
    C: AsRef<str>,
    G: AsRef<str>,
{
    assert_eq!(completions.len(), golds.len(), "one gold per completion");
    let (distinct, which) = distinct(golds);
    let parsed: Vec<Gold> = distinct.iter().map(|gold| Gold::read(gold, options)).collect();
    completions
        .iter()
        .zip(which)
        .map(|(completion, gold)| parsed[gold].verify(completion.as_ref(), options))
        .collect()
}

/// The different golds, and for each gold which of them it is.
fn distinct<G: AsRef<str>>(golds: &[G]) -> (Vec<&str>, Vec<usize>) {
    let mut index_of: FxHashMap<&str, usize> = FxHashMap::default();
    let mut distinct: Vec<&str> = Vec::new();
    let which = golds
        .iter()
        .map(|gold| {
            *index_of.entry(gold.as_ref()).or_insert_with(|| {
                distinct.push(gold.as_ref());
                distinct.len() - 1
            })
        })
        .collect();
    (distinct, which)
}

/// The function of every item, in order; none if it is none for one of them.
#[cfg(feature = "rayon")]
fn map<T: Sync, U: Send>(items: &[T], function: impl Fn(&T) -> Option<U> + Sync + Send) -> Option<Vec<U>> {
    use rayon::prelude::*;
    /// Items that a thread takes at a time: few, because one answer may take a thousand times as long as another.
    const AT_ONCE: usize = 32;
    items.par_iter().with_max_len(AT_ONCE).map(function).collect()
}

#[cfg(not(feature = "rayon"))]
fn map<T: Sync, U: Send>(items: &[T], function: impl Fn(&T) -> Option<U> + Sync + Send) -> Option<Vec<U>> {
    items.iter().map(function).collect()
}

/// Frees the golds on the threads that made them; one thread would be busy with it for a tenth of the batch's time.
#[cfg(feature = "rayon")]
fn drop_all(golds: Vec<Gold>) {
    use rayon::prelude::*;
    golds.into_par_iter().for_each(drop);
}

#[cfg(not(feature = "rayon"))]
fn drop_all(golds: Vec<Gold>) {
    drop(golds);
}
