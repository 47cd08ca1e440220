//! What tests of verdicts share.

use p2o_core::verify::{Options, verify};

/// Verifies cases of a gold, a completion, and whether it is right.
pub(crate) fn check(cases: &[(&str, &str, bool)]) {
    for &(gold, completion, expected) in cases {
        let verdict = verify(completion, gold, &Options::default());
        assert_eq!(verdict.is_correct(), expected, "{gold} | {completion} | {verdict:?}");
    }
}
