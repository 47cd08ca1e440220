//! What the closed classes do to a value, for all their words, in all places and beside values of every sort.

use super::lexicon::{CLASSES, Role};
use crate::verify::{Options, verify};

/// Places of a word `W` beside a value `V`.
const BEFORE: &[&str] = &[r"\boxed{\text{W } V}", "The answer is W V.", "The answer is W $V$."];
const BEHIND: &[&str] = &[r"\boxed{V \text{ W}}"];
const BETWEEN: &[&str] = &["The answer is V W 11.", "The answer is $V$ W $11$.", r"\boxed{V \text{ W } 11}"];
const JUDGED: &[&str] =
    &[r"\boxed{V \text{ is W}}", r"\boxed{V} is W.", r"\boxed{V} was my guess, but that is W."];
const COMPUTED: &[&str] =
    &[r"\boxed{\text{the W of } V}", "The answer is the W of V.", "The answer is the W of $V$."];

/// Where the words of a class take a value back, and those of them that do not.
const TAKE_BACK: &[(Role, &[&str], &str)] = &[
    (Role::Denial, BEFORE, ""),
    (Role::Denial, BEHIND, ""),
    (Role::Judgement, BEFORE, ""),
    (Role::Judgement, BEHIND, ""),
    (Role::Judgement, JUDGED, ""),
    (Role::Judgement, &["The answer is W: V"], ""),
    (Role::Hedge, BEFORE, ""),
    (Role::Hedge, BEHIND, ""),
    (Role::Hedge, BETWEEN, ""),
    (Role::Hedge, &["The answer is V, W 11."], ""),
    (Role::Bound, BEFORE, ""),
    (Role::Bound, BETWEEN, ""),
    (Role::Bound, &[r"\boxed{V \text{ or W}}"], ""),
    // What is asked for may be how many more there are.
    (
        Role::Bound,
        BEHIND,
        "more less up fewer above below over under greater higher lower off short shy past",
    ),
    (Role::Operation, BEFORE, "plus"),
    // "7 times" is a number of times.
    (Role::Operation, BEHIND, "times double triple"),
    (Role::Operation, BETWEEN, ""),
    (Role::Computed, COMPUTED, ""),
    (Role::Alternative, BETWEEN, ""),
    // In a sentence a clause about something else may follow.
    (Role::Connective, &[r"\boxed{V \text{ W } 11}"], ""),
];

/// Where they leave it as it is.
const LEAVE: &[(Role, &[&str])] =
    &[(Role::Approximation, BEFORE), (Role::Conclusion, &[r"\boxed{\text{W } V}", "W the answer is V."])];

/// The verdicts that are not as expected.
fn violations(role: Role, places: &[&str], except: &str, expected: bool) -> Vec<String> {
    const VALUES: [&str; 5] = ["7", r"\frac{3}{4}", "-2.5", "(1,2)", "3x+5"];
    let classes = CLASSES.iter().filter(|(class, _)| *class == role);
    let words = classes.flat_map(|(_, words)| words.split(' '));
    let words = words.filter(|word| !except.split(' ').any(|other| other == *word));
    let texts = words.flat_map(|word| places.iter().map(move |place| place.replace('W', word)));
    let pairs = texts.flat_map(|text| VALUES.map(|value| (text.replace('V', value), value)));
    pairs
        .filter(|(text, value)| verify(text, value, &Options::default()).is_correct() != expected)
        .map(|(text, _)| text)
        .collect()
}

#[test]
fn words_that_take_a_value_back_are_paid_nowhere() {
    for (role, places, except) in TAKE_BACK {
        assert_eq!(violations(*role, places, except, false), Vec::<String>::new(), "{role:?}");
    }
}

#[test]
fn words_that_say_nothing_of_a_value_leave_it() {
    for (role, places) in LEAVE {
        assert_eq!(violations(*role, places, "", true), Vec::<String>::new(), "{role:?}");
    }
}
