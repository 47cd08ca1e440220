//! Whether a sentence states a value in it. What may stand before the value is listed here, what may stand behind it in
//! [`behind`]; any other word makes the sentence one about something else.

use super::lexicon::{self, Outlines, Role, class, has, one_of};
use super::text::around;
use super::{behind, numerals, units};

/// What may stand between the verb that states a value and the value: "is exactly the number".
const NEUTRAL: &[Role] =
    &[Role::Article, Role::Pronoun, Role::Approximation, Role::Conclusion, Role::Answer, Role::Measure];
/// What says of a value that it is not meant as it stands, wherever it stands in a clause about it.
pub(super) const DOUBTS: &[Role] = &[Role::Denial, Role::Hedge, Role::Judgement, Role::Alternative];
/// Phrases of what others say, of what is still to be shown, and of what holds so far.
const ASIDE: &str = "so far|are told|are given|upper bound|lower bound|partial sum|partial total|intermediate|running total|\
    preliminary|rough count|rough estimate|first attempt|margin of error|to show that|prove that|must show that|want to|naive|estimate for|\
    check whether|determine whether|determine if|decide whether|asks whether|problem states|halfway|depends on";

/// What the answer is called in other languages, the verbs that say it, and what may stand between these and a value.
const ABROAD: &str =
    "respuesta réponse resposta risposta antwort lösung antwoord odpowiedź ответ Ответ cevap";
const VERBS_ABROAD: &str = "es est é è ist lautet is jest son sont sind";
const FILLERS_ABROAD: &str = "la le les el los il lo o a der die das den de del du di donc alors pues por tanto entonces daher also \
    somit dunque quindi então portanto genau exactement exactamente letra lettre lettera opción option opção";

/// Whether a text states the value between its two parts: not "the sum tends to 7", "the answer has 7 digits", "7 before
/// rounding", "is it 7?".
pub(crate) fn states(before: &str, behind: &str) -> bool {
    let before = &before[before.rfind(['\n', '?', '!']).max(before.rfind(". ")).map_or(0, |at| at + 1)..];
    // What follows a colon is a sentence of its own, and "not 6 but 7" and "not 6, it is 7" say 7.
    let said = [":", ";", ") ", " but ", ", it is "]
        .iter()
        .fold(before, |said, cut| said.rsplit(cut).next().unwrap_or(said));
    let led = about_answer(said).unwrap_or_else(|| leads(said, behind));
    let answers = said.contains("nswer") || said.trim_matches([' ', '$', '*', '(', '\\']).is_empty();
    // The 7 of "5-7" and of "5 × 7" is a part of a term.
    let term =
        before.trim_end_matches([' ', '$']).strip_suffix(['-', '–', '~', '+', '×', '*', '/', '^', '÷']);
    // `n \\mid 7`, `7 \\mid n`
    let divides = before.trim_end().ends_with("\\mid") || behind.trim_start().starts_with("\\mid");
    if divides
        || term.is_some_and(|left| {
            left.trim_end_matches([' ', '$']).ends_with(|last: char| last.is_ascii_digit())
        })
    {
        return false;
    }
    let is_money = before.ends_with(['$', '€', '£', '¥']) && !behind.starts_with('$');
    led && !is_aside(before) && !supposes(before) && behind::goes_on(behind, answers, is_money)
}

/// Whether a sentence that has come to a value names it as the answer; none if it is not about the answer.
pub(super) fn about_answer(said: &str) -> Option<bool> {
    let words: Vec<&str> = lexicon::words(said).collect();
    let name = |word: &&str| matches!(*word, "answer" | "answers" | "Answer" | "answer's" | "answer’s");
    let Some(at) = words.iter().rposition(name) else {
        let abroad = |word: &&str| ABROAD.split(' ').any(|name| name.eq_ignore_ascii_case(word));
        return words.iter().rposition(abroad).map(|at| leads_abroad(&words[at + 1..]));
    };
    let clause = around(said, words[at]).0.rsplit([',', ';']).next().unwrap_or("");
    Some(is_named(&lexicon::words(clause).collect::<Vec<_>>()) && leads_from_answer(&words[at + 1..]))
}

/// Whether words behind the name of the answer in another language lead to a value: "es", "au problème est donc"; not "es casi".
fn leads_abroad(words: &[&str]) -> bool {
    let verb = words.iter().rposition(|word| one_of!(word, VERBS_ABROAD)).map_or(0, |verb| verb + 1);
    words[verb..].iter().all(|word| one_of!(word, FILLERS_ABROAD)) && !has(words, DOUBTS)
}

/// Whether a phrase that ends with "the answer is" names what follows: not "half the answer is", "the answer modulo 5 is".
pub(crate) fn names_answer(before: &str) -> bool {
    let start = before.rfind(['\n', '?', '!', ':']).max(before.rfind(". ")).map_or(0, |at| at + 1);
    !supposes(&before[start..]) && about_answer(&before[start..]).unwrap_or(true)
}

/// Whether a sentence supposes a case of its own: "If x = 2, then", "Had we".
fn supposes(sentence: &str) -> bool {
    let first = lexicon::words(sentence).next().unwrap_or("");
    let condition = sentence.split(',').next().unwrap_or("").split(" then ").next().unwrap_or("");
    one_of!(first, "Had Were Unless")
        || lexicon::is(first, Role::Supposition) && condition.contains(['=', '<', '>'])
        || one_of!(first, "Let Suppose Assume Consider Imagine Take Prove Show See Recall")
            && !sentence.contains([',', ';'])
}

/// Whether a sentence tells something else than its author has found: "The problem states:", "some think that".
fn is_aside(sentence: &str) -> bool {
    let lower = sentence.to_ascii_lowercase();
    let words: Vec<&str> = lexicon::words(&lower).collect();
    ASIDE.split('|').any(|aside| lower.contains(aside))
        || others_say(&words)
        || words.first().is_some_and(|first| one_of!(first, "initially originally first"))
            && !lower.contains(',')
}

/// Whether words are about what others say: "one might think", "some people believe".
fn others_say(words: &[&str]) -> bool {
    const OTHERS: &str = "could may might would will some many people students";
    let say = |word| lexicon::is(word, Role::Belief) || word == "guess";
    let own = |at: usize| at > 0 && one_of!(words[at - 1], "I i we We");
    words.windows(2).enumerate().any(|(at, pair)| one_of!(pair[0], OTHERS) && say(pair[1]) && !own(at))
}

/// Whether the words before "answer" only name it: "so the final", "we find that the"; not "half the", "a student claims the".
fn is_named(words: &[&str]) -> bool {
    const NAMES: &[Role] = &[Role::Article, Role::Conclusion, Role::Approximation, Role::Answer];
    const KINDS: &str = "final correct right required desired requested exact numerical only complete overall best own so and \
        my course here";
    const FINDS: &str = "find see conclude get obtain know have deduce follows means shows gives implies confirm confirms think \
        believe tells suggests clear easy obvious evident certain sure confident out case";
    #[rustfmt::skip]
    const BINDS: &[Role] = &[
        Role::Operation, Role::Computed, Role::Supposition, Role::Bound, Role::Hedge, Role::Denial, Role::Judgement, Role::Belief,
        Role::Preposition,
    ];
    const BEGINS: &[Role] = &[Role::Preposition, Role::Connective, Role::Heading, Role::Conclusion];
    let names = |word: &&str| lexicon::is_any(word, NAMES) || one_of!(word, KINDS);
    let length = words.iter().rev().take_while(|word| names(word)).count();
    let clause = &words[..words.len() - length];
    let Some((last, earlier)) = clause.split_last() else { return true };
    // "We see that the answer"
    if one_of!(last, FINDS) {
        return has_own(earlier) && !has(earlier, &[Role::Denial]);
    }
    // "Simplified answer", "in both cases the answer", "adding them the answer"
    let first = clause[0];
    let begins = lexicon::is_any(first, BEGINS) || first.ends_with("ing");
    let binds = lexicon::is_any(last, BINDS) || one_of!(last, "old naive previous initial tentative guessed");
    (begins || clause.iter().filter(|word| !names(word)).count() == 1) && !binds
}

/// Whether words leave the value behind them as it is: "The answer is", "John has", "a total of", "exactly".
pub(crate) fn introduces(words: &str) -> bool {
    const CHANGES: &[Role] = &[Role::Denial, Role::Bound, Role::Hedge];
    // `\\text{O}(n^2)`
    if words.len() == 1 && words.starts_with(char::is_uppercase) {
        return false;
    }
    if lexicon::ends_with_any(words.trim_end(), &[Role::Verb]) {
        return !lexicon::contains_any(words, CHANGES);
    }
    about_answer(words).unwrap_or_else(|| {
        let words: Vec<&str> = ["is"].into_iter().chain(lexicon::words(words)).collect();
        let [_, before @ .., last] = &words[..] else { return false };
        let stated = lexicon::is(last, Role::Verb) && !has(before, &[Role::Operation]);
        !has(&words, DOUBTS) && (stated || leads_from_answer(&words))
    })
}

/// Whether words between "the answer is" and a value leave it as it is: "therefore", "a total of"; not "on page".
pub(crate) fn leads_to(before: &str) -> bool {
    let end = before.rfind([',', ';', ':', '=', ')']).map_or(0, |end| end + 1);
    let (earlier, clause) = before.split_at(end);
    let clause = clause.rsplit(" but ").next().unwrap_or(clause);
    let words: Vec<&str> = ["is"].into_iter().chain(lexicon::words(clause)).collect();
    match words[..] {
        // Of "in the interval (1, 7)" the 7 is no answer.
        [_] => !earlier.ends_with(',') || !earlier.contains(|sign: char| sign.is_ascii_digit()),
        // "Answer: The train travels 7 miles."
        [_, first, _, ..] if first.len() > 1 && first.starts_with(char::is_uppercase) => true,
        [_, only] if numerals::is_number_word(only) => true,
        _ => leads_from_answer(&words),
    }
}

/// Whether words between "answer" and a value state it: "is", "turns out to be", "to the question is".
fn leads_from_answer(words: &[&str]) -> bool {
    const SAYS: &str = "is are be equals equal must should will comes come turns works out down to as given by found obtained \
        then number integer amounts evaluates simplifies reduces of course in fact maximum minimum largest smallest whole value \
        year becomes was would does";
    const OTHERS: &str = "different another other previous earlier original thought believed expected supposed said claimed \
        assumed guessed estimated";
    let says = |word: &&str| lexicon::is_any(word, NEUTRAL) || one_of!(word, SAYS) || word.len() == 1;
    let verb = |word: &&str| lexicon::is(word, Role::Verb) || word.ends_with('s') && *word != "as";
    let length = words.iter().rev().take_while(|word| says(word)).count();
    let (about, stating) = words.split_at(words.len() - length);
    let related = |first: &&str| one_of!(first, "to for that which we you I as is here must of in after");
    // "a total of", but not "a list of"
    let whole = match words {
        [.., whole, "of" | "in" | "down"] => lexicon::is_any(whole, &[Role::Answer, Role::Measure]),
        _ => words != ["of"],
    };
    (words.is_empty() || stating.iter().any(verb))
        && about.first().is_none_or(related)
        && !has(about, &[Role::Operation, Role::Denial, Role::Hedge])
        && !about.iter().any(|word| one_of!(word, OTHERS))
        && whole
}

/// Whether the words of a sentence without "answer" lead to a value: "Tom has", "which simplifies to", "a total of"; not "tends
/// to", "in the neighbourhood of".
fn leads(before: &str, behind: &str) -> bool {
    const COMES: &str = "comes come coming amounts amount equal simplifies simplify simplifying reduces reduce leads leading \
        evaluates rounds equates dropped fell rose falls rises drops increases increased decreases decreased out down back due \
        sums sum add set it them";
    const CHANGES: &str =
        "given grew grow grows fell rose rise rises falls differ differs increased decreased dropped drops";
    const WHOLES: &str =
        "average mean amount balance rate maximum minimum sum difference product remainder count score";
    const APART: &str = "from before until near say says into than towards toward guessed expected predicted";
    const BETWEEN: &str = "between entre zwischen tra между Между";
    const SUBJECTS: &[Role] = &[Role::Answer, Role::Computed, Role::Measure, Role::Heading];
    #[rustfmt::skip]
    const KNOWN: &[Role] = &[
        Role::Verb, Role::Answer, Role::Measure, Role::Conclusion, Role::Connective, Role::Pronoun,
    ];
    let clause = before.rsplit([',', ';', '=']).next().unwrap_or(before);
    let words: Vec<&str> = lexicon::words(clause).collect();
    // "The most likely number is 5" says one.
    let hedges = |word: &&str| lexicon::is(word, Role::Hedge) && !one_of!(word, "likely guess sometimes");
    let neutral = |word: &&&str| lexicon::is_any(word, &[Role::Article, Role::Approximation]);
    let length = words.iter().rev().take_while(neutral).count();
    let Some((last, earlier)) = words[..words.len() - length].split_last() else {
        // "None of 5, 6, 7"
        let list = before.trim_end().ends_with(',');
        return !list || !lexicon::words(before).any(|word| lexicon::is(word, Role::Denial));
    };
    // "Twice the number is 7", "the square of the result is 7"
    let multiple =
        |word: &&str| one_of!(word, "twice thrice times plus minus double triple Twice Double Triple");
    let computed = |part: &[&str]| {
        lexicon::is(part[0], Role::Computed) && part[1] == "of" && one_of!(part[3], "result number value")
    };
    // "Whether it is 7", "if it equals 7", "they claim that it is 7"
    let supposed = words.iter().any(|word| one_of!(word, "if whether If Whether"));
    let claims = |part: &[&str]| lexicon::is(part[0], Role::Belief) || one_of!(part[0], "claim claims");
    let claimed = words.windows(2).any(|part| part[1] == "that" && claims(part))
        && !words.iter().any(|word| one_of!(word, "I We we"));
    // "He did not reach 7", "he failed to reach 7"
    let refuses = |word: &str| {
        lexicon::is_any(word, &[Role::Denial, Role::Judgement]) || one_of!(word, "unable refused")
    };
    let denied = match earlier {
        [.., before, "to"] => refuses(before),
        [.., before] => lexicon::is(before, Role::Denial),
        [] => false,
    };
    if supposed && !words.contains(&"then") || claimed || denied {
        return false;
    }
    let other = one_of!(last, "is equals was")
        && !words.iter().any(|word| is_digit(word))
        && (earlier.iter().any(multiple)
            || matches!(earlier, ["Its" | "its", "square" | "cube" | "reciprocal" | "root"])
            || earlier.len() > 3 && computed(&earlier[earlier.len() - 4..]));
    // "Between 5 and 7", but "the difference between the two is 7"
    let between = |word: &&str| BETWEEN.split(' ').any(|known| known.eq_ignore_ascii_case(word));
    let bounds = words.iter().rposition(between);
    let states = |word: &&str| lexicon::is(word, Role::Verb) || one_of!(word, VERBS_ABROAD);
    let bounded = bounds.is_some_and(|at| !words[at..].iter().any(states));
    if other || words.iter().any(hedges) || bounded {
        return false;
    }
    let previous = earlier.last().copied().unwrap_or("");
    let whole = lexicon::is_any(previous, &[Role::Answer, Role::Measure]);
    let unit = || lexicon::words(behind).next().is_some_and(|unit| units::spelled(unit).is_some());
    let rate =
        || lexicon::words(behind).next().and_then(units::spelled).is_some_and(|unit| unit.contains('/'));
    match *last {
        "be" => !words.contains(&"let"),
        joint if joint == "and" || lexicon::is(joint, Role::Alternative) => !is_digit(previous),
        "to" if earlier.iter().any(|word| one_of!(word, "than close next")) => false,
        "to" if previous == "up" => earlier.len() > 1 && earlier[earlier.len() - 2] != "is",
        "to" => {
            one_of!(previous, COMES)
                || whole && earlier.iter().any(|word| one_of!(word, "brings bring bringing"))
        }
        "of" => whole || one_of!(previous, WHOLES),
        // "Travels at 7 km/h"
        "at" => {
            one_of!(previous, "arrive arrives arrived arriving valued stands")
                || previous.ends_with('s') && rate()
        }
        "with" => lexicon::is(previous, Role::Pronoun) || one_of!(previous, "us him her me left remains up"),
        "by" => one_of!(previous, CHANGES),
        "in" | "after" | "for" | "on" => {
            one_of!(previous, "results resulting result calls sold drove paid") || unit()
        }
        // A sum and a limit buy and sell nothing: their verbs are known.
        verb if verb.ends_with('s') && earlier.iter().any(|word| lexicon::is_any(word, SUBJECTS)) => {
            lexicon::is_any(verb, KNOWN) || one_of!(verb, "totals reaches costs measures weighs")
        }
        other => !one_of!(other, APART),
    }
}

/// Whether the author or what was found is among the words of a clause: "we find", "it follows".
fn has_own(words: &[&str]) -> bool {
    words.iter().any(|word| one_of!(word, "I i I'm We we We're we're It it This this That that Which which"))
}

pub(super) fn is_digit(word: &str) -> bool {
    word.starts_with(|sign: char| sign.is_ascii_digit())
}

/// Whether a sentence is about a value that only seems to be the answer, or is another one: "a common mistake gives", "I doubt
/// that it is", "if order mattered, there would be", "twice the answer is", "an upper bound is".
pub(crate) fn tempts(sentence: &str) -> bool {
    const SEEMS: &str = "tempting doubt doubts doubtful unlikely unclear uncertain";
    const OTHERS: &str = "suppose assume imagine if had were bound common typical naive mistake guess";
    // Each rule below needs one of these words: most sentences have none. A new rule's must be among them.
    static SIGNS: Outlines =
        Outlines::of([SEEMS, OTHERS, class(Role::Operation), class(Role::Judgement), class(Role::Belief)]);
    if !SIGNS.may_be_in(sentence) {
        return false;
    }
    let words: Vec<&str> = lexicon::words(sentence.rsplit(',').next().unwrap_or("")).collect();
    let first = lexicon::words(sentence).next().unwrap_or("");
    let supposed = one_of!(first, "Suppose Assume Imagine") && !sentence.contains([',', ';']);
    let other = supposed || one_of!(first, "If Had Were") && words.contains(&"would");
    let bound = matches!(words[..], ["An" | "an" | "A" | "a", "upper" | "lower", "bound", "is" | "of"]);
    let multiple = |part: &[&str]| {
        let [words @ .., "the" | "our", "answer"] = part else { return false };
        matches!(words, [multiple] | [multiple, "of"] if lexicon::is(multiple, Role::Operation))
    };
    let judged = |word: &str| lexicon::is(word, Role::Judgement) || one_of!(word, "common typical naive");
    let errs = |pair: &[&str]| {
        one_of!(pair[1], "answer solution guess mistake error result value to") && judged(pair[0])
            || pair[0] == "mistake" && pair[1] == "to"
    };
    let doubts = |pair: &[&str]| one_of!(pair[1], SEEMS) && !lexicon::is(pair[0], Role::Denial);
    let told = others_say(&words) || words.windows(2).any(|pair| doubts(pair) || errs(pair));
    other || bound || told || words.windows(3).chain(words.windows(4)).any(multiple)
}
