//! Numbers spelled in English.

use super::english::scale;

/// The number that English words spell: "twenty-five", "three hundred and six", in lower case with single spaces.
pub(crate) fn spelled_number(words: &str) -> Option<i64> {
    // The groups of three digits that are closed, the one being read, and what the next part of it must be smaller than.
    let (mut total, mut group, mut room) = (0i64, 0i64, 1000i64);
    let mut largest = i64::MAX;
    let mut previous = "";
    for word in words.split(' ') {
        if word == "and" {
            if !matches!(previous, "hundred" | "thousand" | "million") {
                return None;
            }
        } else if let Some(value) = small_number(word) {
            // "twenty" takes a digit behind it, "twelve" does not; "zero" stands alone.
            if value >= room || (value >= 20 && room < 100) || (value == 0 && words != "zero") {
                return None;
            }
            group += value;
            room = if value >= 20 { 10 } else { 0 };
        } else {
            let scale = scale(word).filter(|_| !word.ends_with('s') && group > 0)?;
            if scale == 100 {
                if group > 19 {
                    return None;
                }
                group *= 100;
                room = 100;
            } else {
                if scale >= largest {
                    return None;
                }
                largest = scale;
                total = total.checked_add(group.checked_mul(scale)?)?;
                (group, room) = (0, 1000);
            }
        }
        previous = word;
    }
    (previous != "and").then_some(total + group)
}

fn small_number(word: &str) -> Option<i64> {
    const BELOW_TWENTY: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let place = |words: &[&str]| words.iter().position(|known| *known == word);
    let value = place(&BELOW_TWENTY).or_else(|| place(&TENS).map(|tens| 10 * (tens + 2)))?;
    i64::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_words() {
        for (words, value) in [
            ("zero", 0),
            ("seven", 7),
            ("twelve", 12),
            ("twenty five", 25),
            ("one hundred", 100),
            ("three hundred and six", 306),
            ("fifteen hundred", 1_500),
            ("two thousand and one", 2_001),
            ("one million two hundred thousand forty", 1_200_040),
        ] {
            assert_eq!(spelled_number(words), Some(value), "{words}");
        }
        for words in [
            "",
            "five six",
            "twenty twelve",
            "twelve five",
            "hundred",
            "one and two",
            "two hundred and",
            "one half",
            "two thousand three million",
            "twenty zero",
            "five apples",
            "two thirds",
            "thousands",
        ] {
            assert_eq!(spelled_number(words), None, "{words}");
        }
    }
}
