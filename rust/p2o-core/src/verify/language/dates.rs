//! Dates in words.

use super::lexicon::split;

/// Whether two texts are one date: "january 5" and "5th of jan". One of them may say its day of the week.
pub(crate) fn same_date(left: &str, right: &str) -> bool {
    let ((day, left), (other, right)) = (without_weekday(left), without_weekday(right));
    let same_day = day.is_none() || other.is_none() || day == other;
    same_day && date(left).is_some_and(|left| Some(left) == date(right))
}

/// The day of the week that words begin with, and those behind it.
fn without_weekday(words: &str) -> (Option<&str>, &str) {
    match words.split_once(' ') {
        Some((day, rest)) if day.len() >= 6 && day.ends_with("day") => (Some(day), rest),
        _ => (None, words),
    }
}

/// The parts of a date in words, sorted: "january 5 2020", "5th jan 2020".
fn date(words: &str) -> Option<Vec<String>> {
    const MONTHS: [&str; 12] =
        split("january february march april may june july august september october november december");
    if !words.bytes().any(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // "2020-03-05"
    if let [year, month, day] = words.split(' ').collect::<Vec<_>>()[..]
        && year.len() == 4
        && words.bytes().all(|byte| byte.is_ascii_digit() || byte == b' ')
    {
        let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
        return date(&format!("{name} {} {year}", day.trim_start_matches('0')));
    }
    let month = |word: &str| {
        MONTHS.into_iter().find(|month| *month == word || word.len() == 3 && month.starts_with(word))
    };
    let mut parts: Vec<String> = words
        .split(' ')
        .filter(|word| !matches!(*word, "of" | "the"))
        .map(|word| {
            if let Some(month) = month(word) {
                return Some(month.to_string());
            }
            let digits = word.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
            let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            let ordinal = matches!(&word[digits.len()..], "" | "st" | "nd" | "rd" | "th");
            (plain && ordinal).then(|| digits.to_string())
        })
        .collect::<Option<_>>()?;
    parts.sort_unstable();
    let months = words.split(' ').filter(|word| month(word).is_some()).count();
    (months == 1 && parts.len() > 1).then_some(parts)
}
