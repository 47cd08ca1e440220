//! Any text can be offered as a gold; one that parses equals itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use p2o_core::verify::{Gold, Options, Profile};

fuzz_target!(|gold: &str| {
    for profile in [Profile::Default, Profile::MathVerify, Profile::Strict] {
        let options = Options { profile, deadline: None, ..Options::default() };
        if let Ok(parsed) = Gold::parse(gold, &options) {
            let _ = parsed.verify(gold, &options);
        }
    }
});
