//! What the closed classes do to a value, for all their words, in all places and beside values of every sort.

use super::lexicon::{CLASSES, Role};
use crate::verify::{Options, verify};

/// Where the words of a class stand (`W`, beside a value `V`) and take it back, and those of them that do not.
const TAKE_BACK: &[(Role, &[&str], &str)] = &[
    (Role::Denial, &[r"\boxed{\text{W } V}", r"\boxed{V \text{ W}}", r"\boxed{V \text{ W } 11}"], ""),
    (Role::Denial, &["The answer is W V.", "The answer is W $V$."], ""),
    (
        Role::Judgement,
        &[r"\boxed{\text{W } V}", r"\boxed{V \text{ W}}", r"\boxed{V \text{ is W}}", r"\boxed{V} is W."],
        "",
    ),
    (
        Role::Judgement,
        &["The answer is W V.", "The answer is W: V", r"\boxed{V} was my guess, but that is W."],
        "",
    ),
    (Role::Hedge, &[r"\boxed{\text{W } V}", r"\boxed{V \text{ W}}", r"\boxed{V \text{ W } 11}"], ""),
    (Role::Hedge, &["The answer is W V.", "The answer is $V$ W $11$.", "The answer is V, W 11."], ""),
    (Role::Bound, &[r"\boxed{\text{W } V}", r"\boxed{V \text{ W } 11}", r"\boxed{V \text{ or W}}"], ""),
    (Role::Bound, &["The answer is W V.", "The answer is W $V$.", "The answer is $V$ W $11$."], ""),
    // What is asked for may be how many more there are.
    (
        Role::Bound,
        &[r"\boxed{V \text{ W}}"],
        "more less up fewer above below over under greater higher lower off short shy past",
    ),
    (Role::Operation, &[r"\boxed{\text{W } V}", "The answer is W V.", "The answer is W $V$."], "plus"),
    // "7 times" is a number of times.
    (Role::Operation, &[r"\boxed{V \text{ W}}"], "times double triple"),
    (
        Role::Operation,
        &[r"\boxed{V \text{ W } 11}", "The answer is V W 11.", "The answer is $V$ W $11$."],
        "",
    ),
    (
        Role::Computed,
        &[r"\boxed{\text{the W of } V}", "The answer is the W of V.", "The answer is the W of $V$."],
        "",
    ),
    (
        Role::Alternative,
        &[r"\boxed{V \text{ W } 11}", "The answer is V W 11.", "The answer is $V$ W $11$."],
        "",
    ),
    (Role::Connective, &[r"\boxed{V \text{ W } 11}"], ""),
];

/// Where they stand and leave it as it is.
const LEAVE: &[(Role, &[&str])] = &[
    (Role::Approximation, &[r"\boxed{\text{W } V}", "The answer is W V.", "The answer is W $V$."]),
    (Role::Conclusion, &[r"\boxed{\text{W } V}", "W the answer is V."]),
];

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
