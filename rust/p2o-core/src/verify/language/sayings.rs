//! Whether words say what is expected of them.

use super::lexicon::{self, Role};
use super::text::normalized_words;
use super::{dates, units};

/// Words in lower case without the articles in front of them: "an ellipse" is "ellipse", "on a Friday" is "Friday".
pub(crate) fn without_article(words: &str) -> &str {
    match ["a ", "an ", "the ", "on ", "due "].into_iter().find_map(|article| words.strip_prefix(article)) {
        Some(rest) => without_article(rest),
        None => words,
    }
}

/// Whether two answers in words are the same, whatever joins their parts: "line segment, circle" and "line segment and
/// circle", "infinitely many" and "infinitely many solutions".
pub(crate) fn same_words(left: &str, right: &str) -> bool {
    let bare = |words: &str| -> Vec<String> {
        let plain = without_article(lexicon::plain_phrase(words));
        let plain = infinitely_many(plain).unwrap_or(plain);
        let plain = [" solutions", " solution", " function", " condition"]
            .iter()
            .find_map(|noun| plain.strip_suffix(noun))
            .unwrap_or(plain);
        plain.split(' ').filter(|word| *word != "and").map(str::to_string).collect()
    };
    bare(left) == bare(right) || dates::same_date(left, right)
}

/// The "infinitely many" of "there are infinitely many such integers".
fn infinitely_many(words: &str) -> Option<&str> {
    let counted =
        ["there are ", "there exist "].iter().find_map(|begin| words.strip_prefix(begin)).unwrap_or(words);
    let (count, things) = counted.split_at_checked("infinitely many".len())?;
    let limited =
        things.split(' ').any(|word| lexicon::is_any(word, &[Role::Denial, Role::Connective, Role::Verb]));
    (count == "infinitely many" && !limited).then_some(count)
}

/// Whether two texts with the same values count different things: "5 red, 6 blue" and "6 red, 5 blue", "3 days before" and
/// "3 days after", "3 apples" and "3 oranges".
pub(crate) fn count_differently(left: &str, right: &str) -> bool {
    let [left, right] = [left, right].map(normalized_words);
    let exchanged = || {
        let (counted, given) = (counts(&left), counts(&right));
        counted.iter().any(|(number, noun)| {
            let other = given.iter().find(|(_, named)| named == noun).map(|(other, _)| *other);
            other.is_some_and(|other| {
                other != *number && counted.iter().any(|(taken, named)| *taken == other && named != noun)
            })
        })
    };
    lexicon::are_opposed(&left, &right) || lexicon::are_of_a_kind(&left, &right) || exchanged()
}

/// The numbers of a text and the word behind each that is no unit, or in front of each where a number ends the text: "min 4".
fn counts(words: &str) -> Vec<(&str, &str)> {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let mut words: Vec<&str> = words.split(' ').collect();
    let named = words.last().is_some_and(|last| is_number(last));
    if named {
        words.reverse();
    }
    let counted = words.windows(2).filter(|pair| is_number(pair[0]) && !is_number(pair[1]));
    counted.filter(|pair| named || units::spelled(pair[1]).is_none()).map(|pair| (pair[0], pair[1])).collect()
}

/// Words that begin a sentence about something: "right triangle" is none about a triangle.
const BEGINS: &str = "yes the it this that so thus therefore hence then we they he she";

/// What days do.
const FALLS: &str = "falls fall fell lands land happens occurs begins starts ends";

/// Whether a sentence says the words expected of it, both in lower case: "yes it is possible" says yes, "the series
/// diverges" says that it diverges, "it is not true" does not say true.
pub(crate) fn says(sentence: &str, expected: &str) -> bool {
    let expected = lexicon::plain_phrase(expected);
    // `所以它是矩形`
    if !expected.is_ascii() {
        return sentence.strip_suffix(expected).is_some_and(|before| {
            lexicon::ends_with_any(before, &[Role::Verb])
                && !lexicon::contains_any(before, &[Role::Denial, Role::Bound])
        });
    }
    // "Alice wins", "red, not blue"
    if let Some(rest) = without_article(sentence).strip_prefix(without_article(expected)) {
        let wins =
            matches!(rest, " wins" | " will win" | " won" | " has a winning strategy" | " wins the game");
        // "Ben is the tallest", "Mia has the most marbles"
        let best = [" is the ", " was the ", " has the "].iter().find_map(|verb| rest.strip_prefix(verb));
        let best = best.is_some_and(|best| {
            let mut words = best.split(' ');
            let first = words.next().unwrap_or("");
            (first.ends_with("est") || matches!(first, "most" | "least" | "only" | "winner"))
                && !words.any(|word| lexicon::is_any(word, &[Role::Denial, Role::Connective]))
        });
        let others =
            [" not ", " rather than ", " instead of "].iter().find_map(|over| rest.strip_prefix(over));
        if wins || best || others.is_some_and(|others| !others.contains(expected)) {
            return true;
        }
    }
    if matches!(expected, "yes" | "no") {
        // "No idea" says no noun.
        const CLAUSE: [Role; 6] =
            [Role::Article, Role::Pronoun, Role::Verb, Role::Connective, Role::Conclusion, Role::Denial];
        let opposite = if expected == "yes" { "no" } else { "yes" };
        let words: Vec<&str> = sentence.split(' ').collect();
        // "Yes, no two are equal" says yes, "yes or no" nothing.
        let denied = |at: usize| {
            words[at] == opposite && (at + 1 == words.len() || matches!(words[at - 1], "or" | "and"))
        };
        let noun = expected == "no" && words.get(1).is_some_and(|next| !lexicon::is_any(next, &CLAUSE));
        let hedges = noun || words.iter().any(|word| lexicon::is(word, Role::Hedge));
        return words[0] == expected && !hedges && !(1..words.len()).any(denied);
    }
    let begins = |before: &str| {
        // "f is odd"
        before.split(' ').next().is_some_and(|first| first.len() == 1 || lexicon::one_of!(first, BEGINS))
    };
    // The "t" is that of "isn't".
    let denies =
        |word: &str| matches!(word, "not" | "no" | "never" | "neither" | "nor" | "cannot" | "t" | "false");
    let sentence = sentence.strip_suffix(" function").unwrap_or(sentence);
    sentence.strip_suffix(expected).and_then(|before| before.strip_suffix(' ')).is_some_and(|before| {
        // "The day after Tuesday" does not say Tuesday, "the graph of f is a parabola" and "it falls on a Friday" say it.
        let named = |word: &&str| !lexicon::is(word, Role::Article);
        let mut last = before.rsplit(' ').filter(named).peekable();
        let on = last.next_if_eq(&"on").is_some();
        let says = last
            .next()
            .is_some_and(|last| lexicon::is(last, Role::Verb) || on && lexicon::one_of!(last, FALLS));
        let related = before.split(' ').filter(|word| lexicon::is(word, Role::Preposition)).count()
            > usize::from(on && says);
        let hedged = before.split(' ').any(|word| lexicon::is(word, Role::Hedge));
        begins(before) && (says && !on || !related) && !hedged && !before.split(' ').any(denies)
    })
}
