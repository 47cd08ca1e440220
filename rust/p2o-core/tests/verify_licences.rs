//! Every licence: its example counts by it alone, in the profiles that have it, and where it is allowed or denied.

use p2o_core::verify::{Licence, Licences, Options, Profile, RULES, verify};

const PROFILES: [Profile; 3] = [Profile::Default, Profile::Strict, Profile::MathVerify];

fn boxed(answer: &str) -> String {
    format!("\\boxed{{{answer}}}")
}

#[test]
fn an_example_counts_by_its_licence_alone() {
    for rule in RULES {
        let (gold, answer) = rule.example;
        let licence = Licences::from(rule.licence);
        for profile in PROFILES {
            let named = format!("{} in {profile:?}", rule.licence.name());
            let options = Options { profile, ..Options::default() };
            let verdict = verify(&boxed(answer), gold, &options);
            let allowed = Licences::of(profile).contains(rule.licence);
            assert_eq!(verdict.is_correct(), allowed, "{named}");
            assert_eq!(verdict.licences, if allowed { licence } else { Licences::NONE }, "{named}");

            let verdict = verify(&boxed(answer), gold, &Options { allow: licence, ..options.clone() });
            assert_eq!((verdict.is_correct(), verdict.licences), (true, licence), "{named}, allowed");
            let denied = Options { allow: licence, deny: licence, ..options };
            assert!(!verify(&boxed(answer), gold, &denied).is_correct(), "{named}, denied");
        }
    }
}

#[test]
fn a_gold_answers_itself_without_a_licence() {
    for rule in RULES {
        for gold in [rule.example.0, rule.example.1] {
            for profile in PROFILES {
                let options = Options { profile, ..Options::default() };
                let verdict = verify(&boxed(gold), &boxed(gold), &options);
                // What says of itself that it is wrong is read as nothing.
                let contradiction = gold == "6=5" && profile != Profile::MathVerify;
                assert!(verdict.is_correct() || contradiction, "{gold} in {profile:?}");
                assert_eq!(verdict.licences, Licences::NONE, "{gold} in {profile:?}");
            }
        }
    }
}

#[test]
fn several_licences_are_named_together() {
    let verdict = verify("\\boxed{x = 28}", "28\\%", &Options::default());
    let used: Vec<&str> = verdict.licences.iter().map(Licence::name).collect();
    assert_eq!(used, ["percent-without-sign", "name-dropped"]);
}

#[test]
fn a_part_that_differs_leaves_no_licence() {
    // The first entries agree by a licence, the second ones do not agree.
    let verdict = verify("\\boxed{(28, 2)}", "(28\\%, 3)", &Options::default());
    assert_eq!((verdict.is_correct(), verdict.licences), (false, Licences::NONE));
    // Paired off in any order: only the pairs that count name theirs.
    let verdict = verify("\\boxed{28, 0.28}", "28\\%, 28", &Options::default());
    assert_eq!((verdict.is_correct(), verdict.licences), (true, Licences::NONE));
}

#[test]
fn a_mark_is_left_out_and_not_replaced_by_another() {
    for (gold, answer, expected) in [
        ("45^\\circ", "45", true),
        ("45^\\circ", "45\\%", false),
        ("100^\\circ", "100\\text{ radians}", false),
        ("180^\\circ", "\\pi\\text{ radians}", true),
        ("100^\\circ", "100^\\circ\\text{C}", true),
        ("12\\text{ cm}^2", "12\\text{ cm}", false),
        ("5\\%", "5\\text{ cm}", false),
    ] {
        assert_eq!(
            verify(&boxed(answer), gold, &Options::default()).is_correct(),
            expected,
            "{gold} || {answer}"
        );
    }
}

#[test]
fn what_math_verify_leaves_out_is_a_unit_and_a_left_side_of_letters() {
    for (gold, answer, expected) in [
        ("a+b=5", "5", true),
        ("2a=5", "5", false),
        ("5\\text{ cm}", "5\\text{ m}", true),
        ("5 \\pmod 7", "5 \\pmod 8", false),
        ("5\\text{ pm}", "5\\text{ am}", false),
    ] {
        let options = Options { profile: Profile::MathVerify, ..Options::default() };
        assert_eq!(verify(&boxed(answer), gold, &options).is_correct(), expected, "{gold} || {answer}");
    }
}

#[test]
fn names_are_read_and_unknown_ones_refused() {
    for rule in RULES {
        assert_eq!(rule.licence.name().parse(), Ok(rule.licence));
    }
    let unknown = "unit-droped".parse::<Licence>().map_err(|error| error.to_string());
    assert_eq!(unknown, Err("unknown licence 'unit-droped': docs/verifier.md lists them".to_string()));
}
