//! Whether a sentence states a value in it: what may stand before the value and behind it is listed, and any other word makes
//! the sentence one about something else.

use super::lexicon::{self, Role, one_of};
use super::numerals;
use super::units;

/// What may stand between the verb that states a value and the value: "is exactly the number".
const NEUTRAL: [Role; 6] =
    [Role::Article, Role::Pronoun, Role::Approximation, Role::Conclusion, Role::Answer, Role::Measure];
/// What says of a value that it is not meant as it stands, wherever it stands in a clause about it.
const DOUBTS: [Role; 4] = [Role::Denial, Role::Hedge, Role::Judgement, Role::Alternative];

/// Whether a text states the value between its two parts: not "the sum tends to 7", "the answer has 7 digits", "7 before
/// rounding", "is it 7?".
pub(crate) fn states(before: &str, behind: &str) -> bool {
    let before = &before[before.rfind(['\n', '?', '!']).max(before.rfind(". ")).map_or(0, |at| at + 1)..];
    if quotes(before) {
        return false;
    }
    let ends = |at: usize, sign: char| {
        matches!(sign, '\n' | '?' | '!')
            || sign == '.' && !behind[at + 1..].starts_with(char::is_alphanumeric)
    };
    let end = behind.char_indices().find(|(at, sign)| ends(*at, *sign)).map_or(behind.len(), |(at, _)| at);
    if behind[end..].starts_with('?') {
        return false;
    }
    // What follows a colon is a sentence of its own, and "not 6 but 7" says 7.
    let said =
        [":", ";", ") ", " but "].iter().fold(before, |said, cut| said.rsplit(cut).next().unwrap_or(said));
    let led = about_answer(said).unwrap_or_else(|| leads(said, behind));
    let bare = said.trim_matches([' ', '$', '*', '(', '\\']).is_empty();
    led && !supposes(before) && goes_on(&behind[..end], bare || said.contains("nswer"))
}

/// Whether a sentence that has come to a value names it as the answer; none if it is not about the answer.
fn about_answer(said: &str) -> Option<bool> {
    let words: Vec<&str> = lexicon::words(said).collect();
    let at = words.iter().rposition(|word| ["answer", "answers", "Answer"].contains(word))?;
    let begin = words[at].as_ptr() as usize - said.as_ptr() as usize;
    let clause = said[..begin].rsplit([',', ';']).next().unwrap_or("");
    Some(is_named(&lexicon::words(clause).collect::<Vec<_>>()) && leads_from_answer(&words[at + 1..]))
}

/// Whether a phrase that ends with "the answer is" names what follows: not "half the answer is", "the answer modulo 5 is".
pub(crate) fn names_answer(before: &str) -> bool {
    let sentence = &before[begin_of_sentence(before)..];
    !supposes(sentence) && about_answer(sentence).unwrap_or(true)
}

fn begin_of_sentence(text: &str) -> usize {
    text.rfind(['\n', '?', '!', ':']).max(text.rfind(". ")).map_or(0, |at| at + 1)
}

/// Whether a sentence supposes a case of its own: "If x = 2, then", "Had we".
fn supposes(sentence: &str) -> bool {
    let mut words = lexicon::words(sentence);
    let first = words.next().unwrap_or("");
    let condition = sentence.split(',').next().unwrap_or("").split(" then ").next().unwrap_or("");
    let case =
        first == "Unless" || condition.contains(['=', '<', '>']) && lexicon::is(first, Role::Supposition);
    let unreal = matches!(first, "Had" | "Were");
    let lets = unreal || one_of(first, "Let Suppose Assume Consider Imagine Take");
    case || lets && (unreal || !sentence.contains([',', ';']))
}

/// Whether a sentence tells what somebody else says, what is still to be shown, or what holds so far: "The problem states:",
/// "to prove that", "the partial sum".
fn quotes(sentence: &str) -> bool {
    let words: Vec<&str> = lexicon::words(sentence).collect();
    let told = sentence.split_once(':').and_then(|(before, _)| lexicon::words(before).next_back());
    told.is_some_and(|verb| one_of(verb, "states asks says reads claims"))
        || words.windows(2).any(|pair| {
            let others = lexicon::is(pair[0], Role::Modal)
                || one_of(pair[0], "would will some many people students Some Many");
            let aim = one_of(pair[1], "show prove verify check determine decide");
            aim && matches!(pair[0], "to" | "must")
                && words.iter().any(|word| matches!(*word, "that" | "whether" | "if"))
                || others && lexicon::is(pair[1], Role::Belief)
                || matches!(
                    pair,
                    ["so" | "So", "far"] | ["are", "told" | "given"] | ["upper" | "lower", "bound"]
                )
        })
        || !sentence.contains(',')
            && words
                .first()
                .is_some_and(|first| matches!(*first, "Initially" | "Originally" | "Halfway" | "First"))
        || words.iter().any(|word| {
            matches!(
                *word,
                "partial" | "intermediate" | "running" | "preliminary" | "rough" | "attempt" | "error"
            )
        })
}

/// Whether the words before "answer" only name it: "so the final", "we find that the"; not "half the", "a student claims the".
fn is_named(words: &[&str]) -> bool {
    const KINDS: &str = "final correct right required desired requested exact numerical only complete overall best own so and \
        my of course here";
    let names = |word: &&str| {
        lexicon::is_any(word, &[Role::Article, Role::Conclusion, Role::Approximation, Role::Answer])
            || one_of(word, KINDS)
    };
    let length = words.iter().rev().take_while(|word| names(word)).count();
    let clause = &words[..words.len() - length];
    // "We see that the answer", "in both cases the answer"
    let Some((last, earlier)) = clause.split_last() else { return true };
    const FINDS: &str = "find see conclude get obtain know have deduce follows means shows gives implies confirm confirms think \
        believe tells suggests clear easy obvious evident certain sure out case";
    let finds = one_of(last, FINDS);
    let own = |word: &&str| {
        matches!(word.to_ascii_lowercase().as_str(), "i" | "we" | "it" | "this" | "that" | "which")
    };
    if finds {
        return earlier.iter().any(own) && !earlier.iter().any(|word| lexicon::is(word, Role::Denial));
    }
    const BINDS: [Role; 8] = [
        Role::Operation,
        Role::Computed,
        Role::Supposition,
        Role::Bound,
        Role::Hedge,
        Role::Denial,
        Role::Judgement,
        Role::Belief,
    ];
    let binds = |word: &str| {
        lexicon::is_any(word, &BINDS) || one_of(word, "old naive previous initial tentative guessed")
    };
    // "Simplified answer", "in both cases the answer", "adding them the answer"
    let first = clause[0];
    let begins = clause.iter().filter(|word| !names(word)).count() == 1
        || lexicon::is_any(first, &[Role::Preposition, Role::Connective, Role::Heading, Role::Conclusion])
        || first.ends_with("ing");
    begins && !binds(last) && !lexicon::is(last, Role::Preposition)
}

/// Whether words leave the value behind them as it is: "The answer is", "John has", "a total of", "exactly".
pub(crate) fn introduces(words: &str) -> bool {
    about_answer(words).unwrap_or_else(|| {
        let words: Vec<&str> = lexicon::words(words).collect();
        let Some((last, before)) = words.split_last() else { return false };
        let stated =
            lexicon::is(last, Role::Verb) && !before.iter().any(|word| lexicon::is(word, Role::Operation));
        let all: Vec<&str> = ["is"].into_iter().chain(words.iter().copied()).collect();
        !words.iter().any(|word| lexicon::is_any(word, &DOUBTS)) && (stated || leads_from_answer(&all))
    })
}

/// Whether words between "the answer is" and a value leave it as it is: "therefore", "a total of"; not "on page".
pub(crate) fn leads_to(before: &str) -> bool {
    let (earlier, clause) =
        before.rfind([',', ';', ':', '=', ')']).map_or(("", before), |end| before.split_at(end + 1));
    let clause = clause.rsplit(" but ").next().unwrap_or(clause);
    let words: Vec<&str> = ["is"].into_iter().chain(lexicon::words(clause)).collect();
    match words[..] {
        // Of "in the interval (1, 7)" the 7 is no answer.
        [_] => !earlier.ends_with(',') || !earlier.contains(|sign: char| sign.is_ascii_digit()),
        // "Answer: The train travels 7 miles."
        [_, first, ..] if first.len() > 1 && first.starts_with(char::is_uppercase) => true,
        [_, only] if numerals::is_number_word(only) => true,
        _ => leads_from_answer(&words),
    }
}

/// Whether words between "answer" and a value state it: "is", "turns out to be", "to the question is".
fn leads_from_answer(words: &[&str]) -> bool {
    const SAYS: &str = "is are be equals equal must should will comes come turns works out down to as given by found obtained \
        then number integer amounts evaluates simplifies reduces of course in fact maximum minimum largest smallest whole value \
        was would does";
    let says = |word: &&str| lexicon::is_any(word, &NEUTRAL) || one_of(word, SAYS) || word.len() == 1;
    let length = words.iter().rev().take_while(|word| says(word)).count();
    let (about, stating) = words.split_at(words.len() - length);
    let verb = stating.is_empty() && about.is_empty()
        || stating.iter().any(|word| lexicon::is(word, Role::Verb) || word.ends_with('s') && *word != "as");
    let related = about
        .first()
        .is_none_or(|first| one_of(first, "to for that which we you I as is here must of in after"));
    let computed =
        about.iter().any(|word| lexicon::is_any(word, &[Role::Operation, Role::Denial, Role::Hedge]));
    let last = words.last().copied().unwrap_or("");
    let open = matches!(last, "of" | "in" | "up" | "down")
        && words
            .iter()
            .rev()
            .nth(1)
            .is_none_or(|whole| !lexicon::is_any(whole, &[Role::Answer, Role::Measure]));
    verb && related && !computed && !open
}

/// Whether the words of a sentence without "answer" lead to a value: "Tom has", "which simplifies to", "a total of"; not "tends
/// to", "in the neighbourhood of".
fn leads(before: &str, behind: &str) -> bool {
    let clause = before.rsplit([',', ';', '=']).next().unwrap_or(before);
    let words: Vec<&str> = lexicon::words(clause).collect();
    // "The most likely number is 5" says one.
    let hedges =
        |word: &&str| lexicon::is(word, Role::Hedge) && !matches!(*word, "likely" | "guess" | "sometimes");
    if words.iter().any(hedges) {
        return false;
    }
    let neutral = [Role::Article, Role::Approximation];
    let length = words.iter().rev().take_while(|word| lexicon::is_any(word, &neutral)).count();
    let words = &words[..words.len() - length];
    let Some((last, earlier)) = words.split_last() else {
        // "None of 5, 6, 7"
        return !before.trim_end().ends_with(',')
            || !lexicon::words(before).any(|word| lexicon::is(word, Role::Denial));
    };
    // "Twice the number is 7", "the square of the result is 7"
    let multiple =
        |word: &&str| one_of(word, "twice thrice times plus minus double triple Twice Double Triple");
    let computed = |part: &[&str]| {
        lexicon::is(part[0], Role::Computed)
            && part[1] == "of"
            && one_of(part[3], "result number value")
            && part[4] == *last
    };
    let stated = matches!(*last, "is" | "equals" | "was");
    let named = !words.iter().any(|word| is_digit(word));
    if stated && named && (earlier.iter().any(multiple) || words.windows(5).any(computed)) {
        return false;
    }
    let previous = earlier.last().copied().unwrap_or("");
    let follows = |known| one_of(previous, known);
    let whole = lexicon::is_any(previous, &[Role::Answer, Role::Measure]);
    match *last {
        _ if words.contains(&"between") => false,
        "be" if words.contains(&"let") => false,
        "and" | "or" => !is_digit(previous),
        "to" if earlier.iter().any(|word| matches!(*word, "than" | "close" | "next")) => false,
        "to" => {
            follows(
                "comes come coming amounts amount equal simplifies simplify simplifying reduces reduce leads leading evaluates \
                rounds equates dropped fell rose falls rises drops increases increased decreases decreased out down back leading due sums set it them",
            ) || whole && earlier.iter().any(|word| matches!(*word, "brings" | "bring" | "bringing"))
                || previous == "up" && earlier.len() > 1 && earlier[earlier.len() - 2] != "is"
        }
        "of" => {
            whole
                || follows(
                    "average mean amount balance rate maximum minimum sum difference product remainder count score",
                )
        }
        "at" => follows("arrive arrives arrived arriving valued stands"),
        "with" => lexicon::is(previous, Role::Pronoun) || follows("us him her me left remains up"),
        "by" => follows("given"),
        "in" | "after" | "for" | "on" => {
            follows("results resulting result")
                || lexicon::words(behind).next().is_some_and(|unit| units::spelled(unit).is_some())
        }
        "from" | "before" | "until" | "near" | "say" | "says" | "into" | "than" | "towards" | "toward"
        | "toward's" => false,
        // A sum and a limit buy and sell nothing: their verbs are known.
        other => {
            let known =
                [Role::Verb, Role::Answer, Role::Measure, Role::Conclusion, Role::Connective, Role::Pronoun];
            let about = |word: &&str| {
                lexicon::is_any(word, &[Role::Answer, Role::Computed, Role::Measure, Role::Heading])
            };
            let verb = other.ends_with('s') && !lexicon::is_any(other, &known);
            !(verb && earlier.iter().any(about)) || matches!(other, "totals" | "reaches" | "costs")
        }
    }
}

/// Whether the rest of a sentence leaves the value in front of it as it is: "apples in total", ", since 2 + 5 = 7".
fn goes_on(behind: &str, is_answer: bool) -> bool {
    let behind = behind.trim_start_matches(['$', '*', '"', '\\', ')', '}', ']', '.']);
    // `8以上`, "7 + 2", and the "7 -" of an answer that was cut off.
    let term = behind.trim_start();
    if lexicon::starts_with_any(term, &[Role::Denial, Role::Bound, Role::Operation])
        || term.starts_with(['+', '×', '÷', '^'])
        || term.strip_prefix(['-', '/']).is_some_and(|rest| rest.trim().is_empty())
    {
        return false;
    }
    let end = behind.find([',', ';', ':', '(', '—', '–']).unwrap_or(behind.len());
    let end = behind.find(" - ").map_or(end, |dash| end.min(dash));
    let (own, clauses) = behind.split_at(end);
    let own: Vec<&str> = lexicon::words(own).collect();
    let mut of_value = true;
    leaves(&own, is_answer)
        && clauses.split([',', ';', ':', '(', '—', '–']).all(|clause| {
            // Behind "the other root, -4," something else is judged.
            let first = lexicon::words(clause).next().unwrap_or("which");
            let digits = is_digit(first);
            of_value &= digits
                || lexicon::is_any(first, &[Role::Pronoun, Role::Verb, Role::Judgement, Role::Connective]);
            is_remark(clause, of_value)
        })
}

/// Whether a word says what was done to a value in front of it: "reversed", "raised", "apart".
fn is_participle(word: &str) -> bool {
    const OTHERS: &str = "combined needed required total";
    let ends = ["ed", "wards", "ly", "apart", "en", "written"].iter().any(|end| word.ends_with(end));
    ends && word.len() > 4 && word.is_ascii() && !one_of(word, OTHERS)
}

fn is_digit(word: &str) -> bool {
    word.starts_with(|sign: char| sign.is_ascii_digit())
}

/// Whether the words directly behind a value leave it as it is: its unit, "in total", "of them", "because".
fn leaves(words: &[&str], is_answer: bool) -> bool {
    let Some(first) = words.first() else { return true };
    if lexicon::is(first, Role::Verb) {
        return is_predicate(words);
    }
    let mut counted = false;
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied().unwrap_or("");
        match *word {
            "because" | "since" | "so" | "where" | "which" | "who" | "whose" | "thus" | "hence" | "i.e" => {
                return true;
            }
            "of" | "in" | "for" | "per" | "on" | "from" | "at" | "after" | "altogether" | "left" => {
                // "7 in one case and 8 in the other", "7 at the very least"
                let another = words[at..].windows(2).any(|pair| pair[0] == "and" && is_digit(pair[1]));
                return !another
                    && !one_of(next, "base best worst first present")
                    && !matches!(words[words.len() - 1], "most" | "least");
            }
            "to" => {
                return counted || !is_digit(next) && !lexicon::is(next, Role::Article);
            }
            "as" => {
                return !lexicon::is(next, Role::Article)
                    && !matches!(next, "large" | "many" | "much" | "big");
            }
            "and" if lexicon::is_any(next, &[Role::Pronoun]) || next == "not" => {
                return is_remark(&words[at + 1..].join(" "), true);
            }
            "when" | "that" | "and" | "more" | "with" | "each" | "every" | "if" | "before"
                if counted && !is_answer =>
            {
                return *word != "if";
            }
            "than" if lexicon::is_any(next, &[Role::Article, Role::Pronoun]) => return false,
            "max" | "maximum" | "minimum" if words.len() == 1 => return false,
            "rather" | "instead" => return true,
            "not" => return is_digit(next),
            "times" if at + 1 == words.len() || !is_answer => return true,
            _ if words.len() == 1 && lexicon::is(word, Role::Bound) && !lexicon::is(word, Role::Distance) => {
                return false;
            }
            "than" if !is_answer => return true,
            "too" | "that" | "when" | "and" | "than" | "with" | "by" | "before" | "until" | "away" | "if"
            | "unless" | "provided" | "resp" | "vs" | "versus" | "had" | "once" | "while" | "only"
            | "else" | "otherwise" | "without" => return false,
            _ if word.bytes().any(|byte| byte.is_ascii_digit()) => return counted && !is_answer,
            _ if numerals::is_number_word(word) || numerals::is_fraction_word(word) => return false,
            _ if is_answer && lexicon::is(word, Role::Bound) && words.len() > 1 => return false,
            _ if lexicon::is_any(word, &DOUBTS)
                || lexicon::is_any(word, &[Role::Supposition, Role::Operation]) =>
            {
                return false;
            }
            // "7 reversed", "7 raised to"; "7 combined" and "7 painted cubes" are 7.
            _ if !counted
                && is_participle(word)
                && (next.is_empty() || is_participle(next) || lexicon::is(next, Role::Preposition)) =>
            {
                return false;
            }
            _ => counted = true,
        }
    }
    true
}

/// Whether words behind a value say that it is the answer: "is the answer", "is correct"; not "is one of them".
fn is_predicate(words: &[&str]) -> bool {
    let named = |word: &&str| {
        lexicon::is_any(word, &[Role::Answer, Role::Measure])
            || one_of(word, "correct right what minimum maximum smallest largest only")
    };
    let taken =
        |word: &&str| lexicon::is_any(word, &DOUBTS) || lexicon::is_any(word, &[Role::Computed, Role::Modal]);
    matches!(words[0], "is" | "are" | "was") && words.iter().any(named) && !words.iter().any(taken)
}

/// Whether words behind a box say that another value is the answer: "is the square of the answer", "or so".
pub(crate) fn denies_box(behind: &str) -> bool {
    let clause = behind.split(['.', ',', ';', '\n']).next().unwrap_or("");
    let words: Vec<&str> = lexicon::words(clause).collect();
    let more = matches!(words[..], ["or", more, ..] if more == "so" || lexicon::is_any(more, &[Role::Bound, Role::Hedge]));
    more || words.first().is_some_and(|verb| lexicon::is(verb, Role::Verb))
        && about_answer(clause) == Some(false)
}

/// Whether words behind a value leave it as it is.
pub(crate) fn follows(words: &str) -> bool {
    leaves(&lexicon::words(words).collect::<Vec<_>>(), false)
}

/// Whether a clause behind a value explains it or says it again, and takes nothing back.
fn is_remark(clause: &str, of_value: bool) -> bool {
    let words: Vec<&str> = lexicon::words(clause).collect();
    let Some(first) = words.first() else { return true };
    let explains =
        one_of(first, "because since as so where for given not rather instead thus hence therefore");
    let contrasts = one_of(first, "but yet though although however unless if else")
        || lexicon::is(first, Role::Operation)
        || lexicon::is(first, Role::Preposition) && words.get(1) == Some(&"which");
    let open = |word: &&str| {
        lexicon::is_any(word, &[Role::Hedge, Role::Alternative, Role::Supposition])
            || of_value
                && (lexicon::is(word, Role::Judgement)
                    || one_of(word, "still need cannot contradicts violates fails"))
    };
    explains || !contrasts && !words.iter().any(open)
}
