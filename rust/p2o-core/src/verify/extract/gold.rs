//! The formula of a gold that has a sentence around it.

use super::environments::{environments_at, last};

/// The formula of a gold that is a sentence: its first, or what the first is said to be such that it holds. No later one is
/// the answer: in "$a = 3$, where $b = 2$" that is a condition.
pub(crate) fn formula_of_gold(gold: &str) -> Option<String> {
    let all = environments_at(gold);
    let (first, rest) = all.split_first()?;
    if gold.trim().contains('\n') && !rest.is_empty() {
        return None;
    }
    if let Some(joined) = last(gold).joined.filter(|joined| joined.starts_with(first.2)) {
        return Some(joined);
    }
    // What only names something is not what is said of it.
    if !first.2.trim_start_matches('\\').chars().all(char::is_alphabetic) {
        return Some(first.2.to_string());
    }
    let (start, _, second) = rest.first()?;
    matches!(gold[first.1..*start].trim(), "such that" | "is").then(|| (*second).to_string())
}
