//! Two texts compare without a panic, the same way each time.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2o_core::verify::{Options, Profile, equivalent};

fuzz_target!(|pair: (&str, &str)| {
    let (gold, answer) = pair;
    for profile in [Profile::Default, Profile::MathVerify, Profile::Strict] {
        let options = Options { profile, deadline: None, ..Options::default() };
        assert_eq!(equivalent(gold, answer, &options), equivalent(gold, answer, &options));
    }
});
