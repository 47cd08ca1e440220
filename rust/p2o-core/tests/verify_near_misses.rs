//! Answers that are one step from right: whatever the gold, that step is seen, and what only looks like one is not held
//! against the answer.

use p2o_core::verify::{Options, equivalent};
use proptest::prelude::*;

/// Checks the answers that are right, and those that are not.
fn check(gold: &str, right: &[String], wrong: &[String]) -> Result<(), TestCaseError> {
    for (answers, expected) in [(right, true), (wrong, false)] {
        for answer in answers {
            let paid = equivalent(gold, answer, &Options::default());
            prop_assert_eq!(paid, expected, "gold {}, answer {}", gold, answer);
        }
    }
    Ok(())
}

fn list(values: &[i32]) -> String {
    values.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ends_of_intervals(low in -20..20i32, length in 1..20i32, left in 0..2usize, right in 0..2usize) {
        let high = low + length;
        let interval = |left: usize, low: i32, high: i32, right: usize| {
            format!("{}{low},{high}{}", ["(", "["][left], [")", "]"][right])
        };
        let inequality = |left: usize, right: usize| {
            format!("{low} {} x {} {high}", ["<", r"\le"][left], ["<", r"\le"][right])
        };
        let wrong = [
            interval(1 - left, low, high, right),
            interval(left, low, high, 1 - right),
            interval(left, low - 1, high, right),
            interval(left, low, high + 1, right),
            inequality(1 - left, right),
            inequality(left, 1 - right),
            format!("x < {low} \\text{{ or }} x > {high}"),
            format!(r"(-\infty, {low}) \cup ({high}, \infty)"),
        ];
        let right_ones = [inequality(left, right), format!("x \\in {}", interval(left, low, high, right))];
        check(&interval(left, low, high, right), &right_ones, &wrong)?;
    }

    #[test]
    fn relations(bound in prop_oneof![-20..0i32, 1..20i32], which in 0..4usize) {
        const SIGNS: [&str; 6] = ["<", r"\le", ">", r"\ge", "=", r"\ne"];
        const FLIPPED: [&str; 4] = [">", r"\ge", "<", r"\le"];
        let gold = format!("x {} {bound}", SIGNS[which]);
        let mut wrong: Vec<String> = (0..6)
            .filter(|other| *other != which)
            .map(|other| format!("x {} {bound}", SIGNS[other]))
            .collect();
        wrong.extend([
            format!("x {} {}", SIGNS[which], -bound),
            format!("x {} {}", SIGNS[which], bound + 1),
            format!("y {} {bound}", SIGNS[which]),
            format!("{bound} {} x", SIGNS[which]),
            format!("-x {} {bound}", SIGNS[which]),
            bound.to_string(),
        ]);
        check(&gold, &[format!("{bound} {} x", FLIPPED[which]), format!("-x {} {}", FLIPPED[which], -bound)], &wrong)?;
    }

    #[test]
    fn outside_and_inside(low in -20..20i32, length in 1..20i32) {
        let high = low + length;
        let wrong = [
            format!("x < {low} \\text{{ and }} x > {high}"),
            format!("{low} < x < {high}"),
            format!("x \\le {low} \\text{{ or }} x > {high}"),
            format!("x < {low} \\text{{ or }} x < {high}"),
            format!("x < {low}"),
            format!(r"(-\infty, {low}) \cap ({high}, \infty)"),
            format!(r"[-\infty, {low}) \cup ({high}, \infty]"),
        ];
        let right = [format!("x > {high} \\text{{ or }} x < {low}"), format!(r"(-\infty, {low}) \cup ({high}, \infty)")];
        check(&format!("x < {low} \\text{{ or }} x > {high}"), &right, &wrong)?;
    }

    #[test]
    fn elements_of_sets(values in prop::collection::btree_set(-50..50i32, 2..6), extra in 60..90i32) {
        let values: Vec<i32> = values.into_iter().collect();
        let changed = [&values[1..], &[extra]].concat();
        let more = [&values[..], &[extra]].concat();
        let negated: Vec<i32> = values.iter().map(|value| value + 100).collect();
        let wrong: Vec<String> = [&values[1..], &changed, &more, &negated]
            .into_iter()
            .flat_map(|values| [format!(r"\{{{}\}}", list(values)), list(values)])
            .chain([format!("{} \\text{{ or }} {extra}", list(&values)), values[0].to_string()])
            .collect();
        let reversed: Vec<i32> = values.iter().rev().copied().collect();
        check(&format!(r"\{{{}\}}", list(&values)), &[list(&reversed)], &wrong)?;
        let points: Vec<String> = values.iter().map(|value| format!("({value}, {extra})")).collect();
        let turned: Vec<String> = values.iter().map(|value| format!("({extra}, {value})")).collect();
        check(&points.join(", "), &[points.join(r" \text{ and } ")], &[turned.join(", "), points[1..].join(", ")])?;
    }

    #[test]
    fn signs_letters_and_digits(a in 2..30i32, b in 2..30i32, c in 1..30i32) {
        prop_assume!(a != b);
        let gold = format!("{a}x^2 - {b}xy + {c}");
        let wrong = [
            format!("{a}x^2 + {b}xy + {c}"),
            format!("{a}x^2 - {b}xy - {c}"),
            format!("{a}y^2 - {b}xy + {c}"),
            format!("{a}x^2 - {b}xz + {c}"),
            format!("{b}x^2 - {a}xy + {c}"),
            format!("{a}x^3 - {b}xy + {c}"),
            format!("{a}x^2 - {b}xy + {}", c + 1),
            format!("{a}x^2 - {b}xy"),
            format!("{a}x^2 - {b}xy + {c} = 0"),
        ];
        check(&gold, &[format!("{c} + x({a}x - {b}y)"), format!("f(x, y) = {gold}")], &wrong)?;
        let wrong = [format!("y = {a}x + {b}"), format!("y = {b}x - {a}"), format!("x = {a}y - {b}"), format!("{a}x - {b} = 0")];
        check(&format!("y = {a}x - {b}"), &[format!("{a}x - y = {b}"), format!("{a}x - {b}")], &wrong)?;
    }

    #[test]
    fn families(offset in 1..6i32, period in 7..12i32) {
        let gold = format!(r"{offset} + {period}k, k \in \mathbb{{Z}}");
        let wrong = [
            format!(r"{} + {period}k, k \in \mathbb{{Z}}", offset + 1),
            format!(r"{offset} + {}k, k \in \mathbb{{Z}}", 2 * period),
            format!(r"{offset} + {period}k, k \in \mathbb{{N}}"),
            format!(r"{offset} - {period}k, k \in \mathbb{{N}}"),
            offset.to_string(),
        ];
        let right = [format!(r"{} + {period}n, n \in \mathbb{{Z}}", offset - period), format!(r"{offset} - {period}m, m \in \mathbb{{Z}}")];
        check(&gold, &right, &wrong)?;
        let lines = |first: i32, second: i32| format!(r"{first} + {period}k, {second} + {period}k, k \in \mathbb{{Z}}");
        let wrong = [lines(offset, offset + 2), lines(offset - period, offset)];
        check(&lines(offset, offset + 1), &[lines(offset + 1 - period, offset + 3 * period)], &wrong)?;
    }

    #[test]
    fn times_of_day(minute in 60..720u32, other in 60..720u32) {
        prop_assume!(minute != other);
        let time = |minute: u32, half: &str| format!(r"{}:{:02} \text{{ {half}}}", minute / 60, minute % 60);
        let wrong = [time(other, "PM"), time(minute, "AM"), time(other, "AM")];
        let around = format!("{}:{:02}", minute / 60 + 12, minute % 60);
        check(&time(minute, "PM"), &[around], &wrong)?;
    }

    #[test]
    fn names_and_counts(a in 2..40i32, b in 2..40i32) {
        prop_assume!(a != b);
        let wrong = [
            format!("x = {b}, y = {a}"),
            format!("x = {a} \\text{{ or }} y = {b}"),
            format!("x = {a}, z = {b}"),
            format!("x = {a}"),
            format!("{b}, {a}"),
        ];
        check(&format!("x = {a}, y = {b}"), &[format!("y = {b}, x = {a}"), format!("({a}, {b})")], &wrong)?;
        let counted = |first: i32, second: i32| format!("{first} \\text{{ red}}, {second} \\text{{ blue}}");
        check(&counted(a, b), &[format!("{b} \\text{{ blue and }} {a} \\text{{ red}}")], &[counted(b, a)])?;
        let (c, d) = (a + 60, b + 60);
        let wrong = [format!("{d}:{c}"), format!("{c}:{}", d + 1), format!("{c}:{d}:1"), format!("{c} \\text{{ or }} {d}")];
        check(&format!("{c}:{d}"), &[format!("{}:{}", 3 * c, 3 * d), format!("{c} \\text{{ to }} {d}")], &wrong)?;
        let wrong = [format!("x^2 = {a}"), format!("2x = {a}"), format!("x + 1 = {a}"), format!("x^2 + y^2 = {a}"), format!("x = {a} \\text{{ or }} y = {a}")];
        check(&a.to_string(), &[format!("x = {a}"), format!("m + n = {a}"), format!("p^2 + q^2 = {a}"), format!("{b} + {} = {a}", a - b)], &wrong)?;
    }
}
