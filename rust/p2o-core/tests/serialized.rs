//! Results and settings as JSON, and back.
#![cfg(feature = "serde")]

use std::fmt::{Debug, Display};

use p2o_core::pareto::{FrontSettings, Frontier, Scores};
use p2o_core::verify::{Licences, Options, Profile, Status, Tier, Verdict, verify};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) -> String {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *value, "{text}");
    text
}

fn is_its_name<T: Serialize + DeserializeOwned + PartialEq + Debug + Display>(values: &[T]) {
    for value in values {
        assert_eq!(survives(value), format!("\"{value}\""));
    }
}

#[test]
fn statuses_and_tiers_are_their_names() {
    is_its_name(&[Status::Correct, Status::Wrong, Status::NoAnswer, Status::GoldUnparsable, Status::Timeout]);
    is_its_name(&[Tier::Exact, Tier::Canonical, Tier::Random, Tier::Ball, Tier::Numeric, Tier::Text]);
    assert_eq!(survives(&Profile::MathVerify), "\"math-verify\"");
}

#[test]
fn verdicts_name_their_licences() {
    let verdict = verify("\\boxed{x = 28}", "28\\%", &Options::default());
    let text = survives::<Verdict>(&verdict);
    assert!(text.contains(r#""licences":["percent-without-sign","name-dropped"]"#), "{text}");
    assert!(serde_json::from_str::<Licences>(r#"["unit-droped"]"#).is_err());
}

#[test]
fn scores_and_settings_of_fronts() {
    survives(&Scores::Values(vec![0.5, 1.0]));
    survives(&Scores::Counts { successes: vec![0.5, 1.0], trials: vec![1, 2] });
    for frontier in [Frontier::Instance, Frontier::Objective, Frontier::Hybrid] {
        survives(&FrontSettings { objectives: 2, frontier, prior: (0.5, 2.0), tolerance: 0.25 });
    }
}
