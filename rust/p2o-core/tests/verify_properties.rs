//! Invariants of the verifier over generated expressions and texts.

use p2o_core::verify::{Gold, Options, Profile, Status, Tier, equivalent, verify, verify_batch, verify_each};
use proptest::prelude::*;

/// LaTeX of a random expression in x and y; every node is defined at positive points.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0..100i32).prop_map(|number| number.to_string()),
        (1..1000i32).prop_map(|number| format!("{}.{:03}", number / 7, number)),
        Just("x".to_string()),
        Just("y".to_string()),
        Just("\\pi".to_string()),
        Just("i".to_string()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} + \\left({b}\\right)")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("\\left({a}\\right) \\cdot \\left({b}\\right)")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("\\frac{{{a}}}{{2+\\left|{b}\\right|}}")),
            (inner.clone(), 2..5u8).prop_map(|(a, n)| format!("\\left({a}\\right)^{{{n}}}")),
            inner.clone().prop_map(|a| format!("\\sqrt{{{a}}}")),
            inner.clone().prop_map(|a| format!("\\sin\\left({a}\\right)")),
            inner.prop_map(|a| format!("-\\left({a}\\right)")),
        ]
    })
}

fn equal(gold: &str, answer: &str) -> bool {
    equivalent(gold, answer, &Options::default())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reflexive(text in expression()) {
        for profile in [Profile::Default, Profile::MathVerify, Profile::Strict] {
            let options = Options { profile, ..Options::default() };
            prop_assert!(equivalent(&text, &text, &options), "{profile:?}: {text}");
        }
    }

    #[test]
    fn symmetric(left in expression(), right in expression()) {
        prop_assert_eq!(equal(&left, &right), equal(&right, &left));
    }

    #[test]
    fn spelling_does_not_matter(text in expression()) {
        let spellings = [
            text.replace("\\left", "").replace("\\right", ""),
            text.replace("\\frac", "\\dfrac"),
            text.replace(' ', "  \\, "),
            text.replace("\\cdot", "\\times"),
            text.replace("\\pi", "π"),
            format!("$ {text} $"),
        ];
        for spelling in spellings {
            prop_assert!(equal(&text, &spelling), "{text} against {spelling}");
        }
    }

    #[test]
    fn algebra_does_not_matter(a in expression(), b in expression(), c in 1..50i32) {
        let (sum, swapped) = (format!("({a}) + ({b})"), format!("({b}) + ({a})"));
        prop_assert!(equal(&sum, &swapped), "{sum} against {swapped}");
        let (spread, factored) =
            (format!("({a}) \\cdot {c} - {c} \\cdot ({b})"), format!("{c} (({a}) - ({b}))"));
        prop_assert!(equal(&spread, &factored), "{spread} against {factored}");
    }

    #[test]
    fn adding_one_matters(text in expression()) {
        let other = format!("{text} + 1");
        prop_assert!(!equal(&text, &other), "{text}");
    }

    #[test]
    fn sets_have_no_order_and_tuples_have(mut numbers in prop::collection::vec(-50..50i32, 3..8)) {
        let list = |numbers: &[i32]| numbers.iter().map(i32::to_string).collect::<Vec<_>>().join(", ");
        let forward = list(&numbers);
        numbers.reverse();
        let backward = list(&numbers);
        let same = forward == backward;
        let set = |list: &str| format!("\\{{{list}\\}}");
        prop_assert!(equal(&set(&forward), &set(&backward)));
        prop_assert_eq!(equal(&format!("({forward})"), &format!("({backward})")), same);
    }

    #[test]
    fn rounding_needs_six_places(number in 1..1_000_000i64, digits in prop_oneof![0..6usize, 8..12usize]) {
        let exact = format!("\\frac{{{number}}}{{7}}");
        // Integer division truncates: correct to the digits written.
        let scaled = number * 10i64.pow(u32::try_from(digits).unwrap()) / 7;
        let text = format!("{:0>1$}", scaled, digits + 1);
        let written = format!("{}.{}0", &text[..text.len() - digits], &text[text.len() - digits..]);
        let expected = number % 7 == 0 || digits >= 8;
        prop_assert_eq!(equal(&written, &exact), expected, "{} against {}", written, exact);
    }

    #[test]
    fn any_text_gets_the_same_verdict_alone_and_in_a_batch(
        completions in prop::collection::vec(".{0,200}|[\\\\{}$^_()0-9a-z&=<>|!%., ]{0,120}", 1..6),
        gold in ".{0,60}|[\\\\{}$^_()0-9a-z&=<>|!%., ]{0,60}",
    ) {
        let golds = vec![gold.clone(); completions.len()];
        for profile in [Profile::Default, Profile::MathVerify, Profile::Strict] {
            let options = Options { profile, deadline: None, ..Options::default() };
            let alone: Vec<_> = completions.iter().map(|text| verify(text, &gold, &options)).collect();
            prop_assert_eq!(&alone, &verify_batch(&completions, &golds, &options));
            prop_assert_eq!(&alone, &verify_each(&completions, &golds, &options));
        }
    }

    #[test]
    fn a_boxed_answer_is_found_behind_any_text(text in "[^\\\\]{0,300}", number in 0..100_000u32) {
        prop_assume!(!text.to_lowercase().contains("answer") && !text.contains("</think>"));
        let verdict = verify(&format!("{text}\n\\boxed{{{number}}}"), &number.to_string(), &Options::default());
        prop_assert_eq!(verdict.status, Status::Correct);
    }
}

#[test]
fn a_gold_can_be_cloned_and_shared_between_threads() {
    let options = Options::default();
    let gold = Gold::read("\\{1, \\frac12\\}", &options);
    let copy = gold.clone();
    let elsewhere = std::thread::spawn(move || copy.verify("\\boxed{0.5, 1}", &Options::default()));
    assert_eq!(elsewhere.join().unwrap(), gold.verify("\\boxed{0.5, 1}", &options));
}

#[test]
fn names_are_shown_and_padded() {
    assert_eq!(format!("{:>10}|{}", Status::Wrong, Status::NoAnswer), "     wrong|no_answer");
    assert_eq!(format!("{:<6}|{}", Tier::Ball, Tier::Text), "ball  |text");
}
