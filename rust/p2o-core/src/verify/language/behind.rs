//! What may stand behind a value and leave it as it is.

use super::lexicon::{self, Role, has, one_of};
use super::numerals;
use super::statement::{DOUBTS, about_answer, is_digit};
use super::text::{REFUSALS, behind_closing};

/// What a clause behind a value begins with.
const BREAKS: [char; 6] = [',', ';', ':', '(', '—', '–'];

/// Whether the rest of a sentence leaves the value in front of it as it is: "apples in total", ", since 2 + 5 = 7".
/// `is_money`: its unit stands in front of it.
pub(super) fn goes_on(text: &str, is_answer: bool, is_money: bool) -> bool {
    let ends = |(at, sign): &(usize, char)| {
        matches!(sign, '\n' | '?' | '!') || *sign == '.' && !text[at + 1..].starts_with(char::is_alphanumeric)
    };
    let end = text.char_indices().find(ends).map_or(text.len(), |(at, _)| at);
    let behind = text[..end].trim_start_matches(['$', '*', '"', '\\', ')', '}', ']', '.']);
    // `8以上`, "7 + 2", and the "7 -" of an answer that was cut off.
    let term = behind.trim_start();
    let own = term.split(BREAKS).next().unwrap_or(term);
    if text[end..].starts_with('?')
        || changes_unspaced(own)
        || lexicon::words(term).nth(1).is_some_and(|word| lexicon::starts_with_any(word, &[Role::Denial]))
        || term.starts_with(['+', '×', '÷', '^'])
        || term.starts_with(REFUSALS)
        || term.strip_prefix(['-', '/']).is_some_and(|rest| rest.trim().is_empty())
    {
        return false;
    }
    // "From part (a)" goes on.
    let part = |at: usize| behind[at..].starts_with('(') && behind[at..].find(')') == Some(2);
    let breaks = behind.match_indices(BREAKS).map(|(at, _)| at).find(|at| !part(*at));
    let end = breaks.unwrap_or(behind.len()).min(behind.find(" - ").unwrap_or(usize::MAX));
    let (own, clauses) = behind.split_at(end);
    let mut of_value = true;
    leaves(own, is_answer, is_money)
        && clauses.split(BREAKS).all(|clause| {
            // Behind "the other root, -4," something else is judged.
            const CLAIMS: &[Role] = &[Role::Pronoun, Role::Verb, Role::Judgement, Role::Connective];
            let first = lexicon::words(clause).next().unwrap_or("which");
            of_value &= lexicon::is_any(first, CLAIMS);
            is_remark(clause, of_value)
        })
}

/// Whether words behind a value in a formula are no unit of it: a clause ("is wrong"), a bound ("or more"), an operation
/// ("squared", "minus one"). Of "5 times", "5 more apples" and "5 years less" the value is 5.
pub(crate) fn changes_value(words: &str) -> bool {
    // "the 7th prime", "7-gon", `8以上`
    let ordinal = ["th ", "st ", "nd ", "rd ", "-"].iter().any(|ending| words.starts_with(ending));
    let signs =
        words.starts_with(['?', '!', '+', '*', '/', '^', '=', '<', '>', '‰']) || words.starts_with("(?");
    ordinal || signs || changes_unspaced(words) || !leaves(words, false, false)
}

/// Whether words of a language without spaces make another value of one in front of them: 8以上, 8개 이상, 58的平方. 58平方米 is
/// an area.
fn changes_unspaced(words: &str) -> bool {
    const TAKEN: [&str; 7] = ["平方", "立方", "一半", "倒数", "相反数", "倍", "分之"];
    lexicon::starts_with_any(words, &[Role::Denial, Role::Operation, Role::Hedge])
        || lexicon::contains_any(words, &[Role::Bound])
        || words.strip_prefix('的').is_some_and(|words| TAKEN.iter().any(|taken| words.contains(taken)))
}

/// Whether the words directly behind a value leave it as it is: its unit, "in total", "of them", "because". Behind what is said
/// to be the answer "7 more than Tom" is another value.
fn leaves(behind: &str, is_answer: bool, is_money: bool) -> bool {
    const REASONS: &str = "because since so where which who whose thus hence i.e rather instead";
    const RELATES: &str = "of in for per on from at after altogether left";
    const CONTINUES: &str = "when that and more with each every before";
    const PARTS: &str = "too that when and than with by before until away if unless provided resp vs versus had once while only \
        else otherwise without wait hmm actually oops sorry repeating recurring";
    let words: Vec<&str> = lexicon::words(behind).collect();
    if words.first().is_some_and(|first| lexicon::is(first, Role::Verb)) {
        return is_predicate(&words);
    }
    // "7 in one case and 8 in the other"
    let reason = words.iter().position(|word| one_of!(word, REASONS)).unwrap_or(words.len());
    if words[..reason].windows(2).any(|pair| matches!(pair[0], "and" | "or") && is_digit(pair[1])) {
        return false;
    }
    let bound = |word: &str| lexicon::is(word, Role::Bound);
    let mut counted = is_money;
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).copied().unwrap_or("");
        let article = lexicon::is(next, Role::Article);
        match *word {
            "where" if words[at + 1..].iter().any(|word| one_of!(word, "even odd")) => return false,
            word if one_of!(word, REASONS) => return true,
            word if one_of!(word, RELATES) => {
                // "7 at the very least", "7 for odd n", "7 after we take 2 from it"
                let last = words[words.len() - 1];
                let most = one_of!(last, "most least minimum maximum")
                    || lexicon::is(last, Role::Operation)
                    || words[at..].iter().any(|word| one_of!(word, "earlier previous original"));
                let again = matches!(words[at..], [_, .., "from" | "to" | "by", "it"]);
                let case = word == "for" && words[at + 1..].iter().any(|name| is_name(name));
                return !most && !again && !case && !one_of!(next, "base best worst first present units");
            }
            "to" => {
                return if counted {
                    !one_of!(next, "check count consider")
                } else {
                    !is_digit(next) && !article && !numerals::is_number_word(next)
                };
            }
            "as" => {
                let named = words.get(at + 2).is_some_and(|name| lexicon::is(name, Role::Answer));
                return named || !article && !one_of!(next, "large many much big");
            }
            "and" if next == "not" || lexicon::is(next, Role::Pronoun) => {
                return is_remark(&words[at + 1..].join(" "), true);
            }
            "not" => return is_digit(next),
            "than" => return !is_answer && !next.is_empty() && !article && !lexicon::is(next, Role::Pronoun),
            "times" | "less" if article || next == "itself" => return false,
            "times" if at + 1 == words.len() || !is_answer => return true,
            "if" if counted => return false,
            word if counted && !is_answer && one_of!(word, CONTINUES) => return true,
            "that" if one_of!(next, "day night week month year time") => return true,
            // "by the end of the week", "until Friday", "without a break"; not "by 8", "until we halve it".
            "by" if counted => return !is_digit(next),
            "until" | "once" | "while" | "unless" if counted && !one_of!(next, "we you I it one") => {
                return true;
            }
            "without" if counted && (one_of!(next, "a any") || next.ends_with("ing")) => return true,
            // "24 students play neither sport"
            "neither" | "no" if counted && !is_answer && at > 1 => return true,
            "short" if next.is_empty() || next == "of" => return false,
            "only" | "exactly" | "precisely" if next.is_empty() => return true,
            "away" if counted || next == "from" => return true,
            _ if next == "bound" && bound(word) => return false,
            word if one_of!(word, PARTS) => return false,
            "max" | "maximum" | "minimum" | "odd" | "something" if words.len() == 1 => return false,
            word if bound(word) && words.len() == 1 && !lexicon::is(word, Role::Distance) => return false,
            word if bound(word) && words.len() > 1 && is_answer => return false,
            word if word.bytes().any(|byte| byte.is_ascii_digit()) => return counted && !is_answer,
            word if numerals::is_number_word(word) || numerals::is_fraction_word(word) => return false,
            word if lexicon::is_any(word, DOUBTS) => return false,
            word if lexicon::is_any(word, &[Role::Supposition, Role::Operation]) => return false,
            // "7 reversed", "7 raised to", "7 rounded up"; "7 combined" and "7 painted cubes" are 7.
            word if !counted && is_participle(word) => {
                let ends = next.is_empty()
                    || is_participle(next)
                    || lexicon::is_any(next, &[Role::Preposition, Role::Distance])
                    || next == "down";
                if ends {
                    return false;
                }
                counted = true;
            }
            _ => counted = true,
        }
    }
    true
}

/// Whether a word is the name of a variable.
fn is_name(word: &str) -> bool {
    word.len() == 1 && word != "a" && word.starts_with(|letter: char| letter.is_ascii_lowercase())
}

/// Whether a word says what was done to a value in front of it: "reversed", "raised", "apart".
fn is_participle(word: &str) -> bool {
    let ends = ["ed", "wards", "ly", "apart", "written"].iter().any(|end| word.ends_with(end));
    ends && word.len() > 4 && word.is_ascii() && !one_of!(word, "combined needed required")
        || one_of!(word, "read upside")
}

/// Whether words behind a value say that it is the answer: "is the answer", "is correct"; not "is one of them".
fn is_predicate(words: &[&str]) -> bool {
    let named = |word: &&str| {
        lexicon::is_any(word, &[Role::Answer, Role::Measure])
            || one_of!(
                word,
                "correct right what minimum maximum smallest largest only valid admissible acceptable",
            )
    };
    // "The only root", "the smallest multiple of 6"
    let chosen = words.iter().any(|word| one_of!(word, "only smallest largest least greatest"));
    let taken = has(words, DOUBTS)
        || has(words, &[Role::Modal, Role::Operation, Role::Supposition])
        || !chosen && has(words, &[Role::Computed]);
    // "7 are red" counts things.
    let counted = words[0] == "are" && words.len() == 2 && words[1] != "too" && !is_digit(words[1]);
    (one_of!(words[0], "is are was") && words.iter().any(named) || counted) && !taken
}

/// Whether words behind a box say that another value is the answer: "is the square of the answer", "or so".
pub(crate) fn denies_box(behind: &str) -> bool {
    if behind_closing(behind).starts_with(REFUSALS) {
        return true;
    }
    let mut words = lexicon::words(behind);
    let Some(first) = words.next() else { return false };
    let second = words.next().unwrap_or("");
    let times = one_of!(first, "times plus minus") && lexicon::is(second, Role::Article);
    let more = || second == "so" || lexicon::is_any(second, &[Role::Bound, Role::Hedge]);
    // "must be the answer"
    let clause = || {
        let words = lexicon::words(behind.split(['.', ',', ';', '\n']).next().unwrap_or(""));
        let said = words.skip_while(|word| one_of!(word, "must should be"));
        said.collect::<Vec<_>>().join(" ")
    };
    // "was the intermediate value", but "was found by the intermediate value theorem"
    let earlier = |said: &str| {
        let so_far = |word| one_of!(word, "intermediate preliminary tentative provisional");
        !said.contains("theorem") && said.split(' ').any(so_far)
    };
    let judged = |said: &str| about_answer(said) == Some(false) || earlier(said);
    times || first == "or" && more() || lexicon::is(first, Role::Verb) && judged(&clause())
}

/// Whether a clause behind a value explains it or says it again, and takes nothing back.
fn is_remark(clause: &str, of_value: bool) -> bool {
    const EXPLAINS: &str = "because since as so where for given not rather instead thus hence therefore";
    const CONTRASTS: &str =
        "but yet though although however unless if else were had wait hmm actually oops sorry";
    let words: Vec<&str> = lexicon::words(clause).collect();
    let Some(first) = words.first() else { return true };
    let second = words.get(1).copied().unwrap_or("");
    // ", so 8", ", at least for small n", ", which we then halve", ", from which 1 is taken"
    let another = *first == "so" && is_digit(second)
        || *first == "then" && lexicon::is(second, Role::Operation)
        || *first == "at" && lexicon::is(second, Role::Bound)
        || *first == "which" && one_of!(second, "I we")
        || lexicon::is(first, Role::Preposition) && second == "which";
    let contrasts = one_of!(first, CONTRASTS) || words == ["no"] || lexicon::is(first, Role::Operation);
    let judged = |word: &&str| {
        lexicon::is(word, Role::Judgement)
            || one_of!(word, "still need cannot contradicts violates fails too")
    };
    // ", and a third of them", ", and we must double it"
    let operates = |word: &str| numerals::is_fraction_word(word) || lexicon::is(word, Role::Operation);
    let shares = words.iter().enumerate().any(|(at, word)| {
        let of = usize::from(words.get(at + 1) == Some(&"of"));
        let whole =
            words.get(at + 1 + of).is_some_and(|whole| one_of!(whole, "them these those it this that which"));
        operates(word) && whole
    });
    let doubted = shares || has(&words, &[Role::Hedge, Role::Alternative, Role::Supposition]);
    one_of!(first, EXPLAINS) && !another
        || !(contrasts || another || doubted || of_value && words.iter().any(judged))
}
