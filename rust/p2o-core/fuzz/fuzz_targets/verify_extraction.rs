//! Any completion gets a verdict, and the answer it reports stands in the completion's characters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2o_core::verify::{Options, Profile, verify};

fuzz_target!(|completion: &str| {
    for profile in [Profile::Default, Profile::MathVerify] {
        let verdict = verify(completion, "17", &Options { profile, deadline: None, ..Options::default() });
        assert_eq!(verdict.is_correct(), verdict.extracted.is_some() && verdict.is_correct());
    }
});
