//! Numbers spelled in words, of English and of Chinese.

use dashu_ratio::RBig;

use super::lexicon::{self, Role};
use crate::verify::expr::{Constant, Expr, Half};

/// The number that English words spell: "twenty-five", "three hundred and six", in lower case with single spaces.
pub(crate) fn spelled_number(words: &str) -> Option<i64> {
    // The groups of three digits that are closed, the one being read, and what the next part of it must be smaller than.
    let (mut total, mut group, mut room) = (0i64, 0i64, 1000i64);
    let mut largest = i64::MAX;
    let mut previous = "";
    for (place, word) in words.split(' ').enumerate() {
        if place == 0 && word == "a" && words.len() > 1 {
            // "a hundred"
            (group, room) = (1, 0);
        } else if word == "and" {
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
    (previous != "and" && words != "a").then_some(total + group)
}

/// The value that words spell, in lower case: "twenty five", "two thirds", "negative five", "ten percent", 三分之二.
pub(crate) fn spelled_value(words: &str) -> Option<Expr> {
    // "therefore twenty", "exactly twelve"
    if let Some((first, rest)) = words.split_once(' ')
        && lexicon::is_any(first, &[Role::Conclusion, Role::Approximation])
    {
        return spelled_value(rest);
    }
    if let Some(number) = words.strip_suffix(" percent").or_else(|| words.strip_suffix(" per cent")) {
        return Some(Expr::Percent(Box::new(spelled_value(number)?)));
    }
    if let Some(value) = chinese_value(words) {
        return Some(value);
    }
    let (negative, words) = match words.strip_prefix("negative ").or_else(|| words.strip_prefix("minus ")) {
        Some(rest) => (true, rest),
        None => (false, words),
    };
    // "two out of three"
    let share = || {
        let (part, whole) = words.split_once(" out of ").or_else(|| words.split_once(" in "))?;
        let whole = spelled_number(whole).filter(|whole| *whole > 0)?;
        Some(RBig::from(spelled_number(part)?) / RBig::from(whole))
    };
    let mixed = || {
        let (whole, part) = words.rsplit_once(" and ")?;
        Some(RBig::from(spelled_number(whole)?) + spelled_fraction(part)?)
    };
    let value = match spelled_number(words) {
        None if matches!(words, "infinity" | "infinite" | "infinitely many") => {
            Expr::Constant(Constant::Infinity)
        }
        None if words == "half" => Expr::rational(RBig::ONE / RBig::from(2)),
        None if words == "a dozen" => Expr::integer(12),
        None if words == "noon" => Expr::Clock { hour: 12, minute: 0, half: Some(Half::Pm) },
        None if words == "midnight" => Expr::Clock { hour: 12, minute: 0, half: Some(Half::Am) },
        Some(number) => Expr::integer(number),
        None => Expr::rational(spelled_fraction(words).or_else(mixed).or_else(share)?),
    };
    Some(if negative { Expr::Neg(Box::new(value)) } else { value })
}

/// Whether a word is a number or a part of one: "two", "hundred".
pub(crate) fn is_number_word(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    small_number(&word).is_some() || scale(&word).is_some()
}

/// Whether a word is a part of a whole: "half", "thirds". Quarters are coins as well.
pub(crate) fn is_fraction_word(word: &str) -> bool {
    denominator(&word.to_ascii_lowercase()).is_some_and(|parts| parts != 4)
}

/// The fraction that English words spell, in lower case: "two thirds", "a half", "three-quarters".
pub(crate) fn spelled_fraction(words: &str) -> Option<RBig> {
    let (count, part) = words.rsplit_once([' ', '-'])?;
    let count = match count {
        "a" | "one" => 1,
        other => small_number(other).filter(|count| *count > 1 && part.ends_with('s'))?,
    };
    Some(RBig::from(count) / RBig::from(denominator(part)?))
}

/// What words behind a number add to it: the half of "5 and a half".
pub(crate) fn added_fraction(words: &str) -> Option<RBig> {
    spelled_fraction(&words.strip_prefix("and ")?.to_ascii_lowercase())
}

/// What a word behind a number multiplies it by.
pub(crate) fn scale(word: &str) -> Option<i64> {
    Some(match word {
        "hundred" | "hundreds" | "百" => 100,
        "tens" => 10,
        "dozen" | "dozens" => 12,
        "score" => 20,
        "gross" => 144,
        "thousand" | "thousands" | "千" => 1_000,
        "million" | "millions" | "百万" => 1_000_000,
        "billion" | "billions" | "bn" => 1_000_000_000,
        "trillion" | "trillions" => 1_000_000_000_000,
        "万" => 10_000,
        "千万" => 10_000_000,
        "亿" => 100_000_000,
        _ => return None,
    })
}

/// "million dollars": what it multiplies by, and the unit behind it.
pub(crate) fn scaled(words: &str) -> Option<(i64, &str)> {
    let words = words.trim();
    // "30万元"; a "千克" is a unit.
    let unspaced = ["百万", "千万", "万", "亿"]
        .iter()
        .find(|scale| words.starts_with(**scale))
        .map(|scale| words.split_at(scale.len()));
    let (first, rest) = unspaced.or_else(|| words.split_once(' ')).unwrap_or((words, ""));
    Some((scale(first)?, rest.trim()))
}

/// What the parts named by a word are parts of: 3 of "thirds".
fn denominator(word: &str) -> Option<i64> {
    Some(match word {
        "half" | "halves" => 2,
        "quarter" | "quarters" => 4,
        "twentieth" | "twentieths" => 20,
        "hundredth" | "hundredths" => 100,
        "thousandth" | "thousandths" => 1_000,
        _ => {
            const FROM_THIRD: &str = "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth";
            let one = word.strip_suffix('s').unwrap_or(word);
            return (3..).zip(FROM_THIRD.split(' ')).find(|(_, part)| *part == one).map(|(parts, _)| parts);
        }
    })
}

fn small_number(word: &str) -> Option<i64> {
    const BELOW_TWENTY: [&str; 20] = lexicon::split(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
         seventeen eighteen nineteen",
    );
    const TENS: [&str; 8] = lexicon::split("twenty thirty forty fifty sixty seventy eighty ninety");
    let place = |words: &[&str]| words.iter().position(|known| *known == word);
    let value = place(&BELOW_TWENTY).or_else(|| place(&TENS).map(|tens| 10 * (tens + 2)))?;
    i64::try_from(value).ok()
}

/// The value of a Chinese numeral, perhaps with its measure word: 三分之二, 百分之三十, 负三, 二十五个.
fn chinese_value(text: &str) -> Option<Expr> {
    const MEASURES: [char; 12] = ['个', '元', '人', '次', '种', '天', '条', '只', '本', '页', '米', '岁'];
    if text.is_ascii() {
        return None;
    }
    if let Some(rest) = text.strip_prefix('负') {
        return Some(Expr::Neg(Box::new(chinese_value(rest)?)));
    }
    match text.split_once("分之") {
        Some(("百", above)) => Some(Expr::Percent(Box::new(Expr::integer(chinese_number(above)?)))),
        Some((below, above)) => {
            let below = chinese_number(below).filter(|parts| *parts > 0)?;
            Some(Expr::rational(RBig::from(chinese_number(above)?) / RBig::from(below)))
        }
        None => chinese_number(text.strip_suffix(MEASURES).unwrap_or(text)).map(Expr::integer),
    }
}

/// 一百零五 is 105: a digit counts the place behind it.
fn chinese_number(text: &str) -> Option<i64> {
    const DIGITS: &str = "零一二三四五六七八九";
    let (mut total, mut group, mut digit) = (0i64, 0i64, None);
    let mut smallest = i64::MAX;
    for character in text.chars() {
        let character = if character == '两' { '二' } else { character };
        if let Some(value) = DIGITS.chars().position(|known| known == character) {
            // A zero only says that a place is left out.
            if digit.is_some_and(|digit| digit != 0) {
                return None;
            }
            digit = Some(i64::try_from(value).ok()?);
            continue;
        }
        let place = if character == '十' { 10 } else { scale(character.encode_utf8(&mut [0; 4]))? };
        if place >= 10_000 {
            let counted = group + digit.take().unwrap_or(0);
            total = total.checked_add(counted)?.checked_mul(place).filter(|value| *value > 0)?;
            (group, smallest) = (0, i64::MAX);
        } else {
            // 十五 leaves out that it is one ten.
            let count =
                digit.take().or((place == 10 && group == 0).then_some(1)).filter(|count| *count > 0)?;
            if place >= smallest {
                return None;
            }
            (group, smallest) = (group + count * place, place);
        }
    }
    (!text.is_empty()).then_some(total + group + digit.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_chinese() {
        for (words, value) in [
            ("二十五", 25),
            ("十五", 15),
            ("一百零五", 105),
            ("两千零一", 2_001),
            ("三万五千", 35_000),
            ("一亿", 100_000_000),
        ] {
            assert_eq!(chinese_number(words), Some(value), "{words}");
        }
        for words in ["", "百", "十百", "二三", "零十", "矩形"] {
            assert_eq!(chinese_number(words), None, "{words}");
        }
        let third = Expr::rational(RBig::from(2) / RBig::from(3));
        assert_eq!(chinese_value("三分之二"), Some(third));
        assert_eq!(chinese_value("零分之二"), None);
        assert_eq!(chinese_value("百分之三十"), Some(Expr::Percent(Box::new(Expr::integer(30)))));
    }

    #[test]
    fn numbers_in_words() {
        #[rustfmt::skip]
        let known = [
            ("zero", 0), ("a hundred", 100), ("a hundred thousand", 100_000), ("a million", 1_000_000), ("seven", 7),
            ("twelve", 12), ("twenty five", 25), ("one hundred", 100), ("three hundred and six", 306),
            ("fifteen hundred", 1_500), ("two thousand and one", 2_001),
            ("one million two hundred thousand forty", 1_200_040),
        ];
        for (words, value) in known {
            assert_eq!(spelled_number(words), Some(value), "{words}");
        }
        #[rustfmt::skip]
        let unknown = [
            "", "five six", "twenty twelve", "twelve five", "hundred", "a", "a five", "hundred a", "one and two",
            "two hundred and", "one half", "two thousand three million", "twenty zero", "five apples", "two thirds",
            "thousands",
        ];
        for words in unknown {
            assert_eq!(spelled_number(words), None, "{words}");
        }
    }
}
