//! Any completion gets a verdict, the same one each time, and a correct one names its answer.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2o_core::verify::{Options, Profile, verify};

fuzz_target!(|completion: &str| {
    for profile in [Profile::Default, Profile::MathVerify] {
        let options = Options { profile, deadline: None, ..Options::default() };
        let verdict = verify(completion, "17", &options);
        assert_eq!(verdict, verify(completion, "17", &options));
        assert!(verdict.extracted.is_some() || !verdict.is_correct());
    }
});
