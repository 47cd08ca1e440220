//! What English words around a value say about it.

/// Whether words beside a value make another value of it: "at least", "half of", "or more", "squared".
pub(crate) fn changes_value(words: &str) -> bool {
    words.split(|character: char| !character.is_alphabetic()).any(|word| {
        matches!(
            word.to_ascii_lowercase().as_str(),
            "no" | "none"
                | "not"
                | "never"
                | "neither"
                | "least"
                | "most"
                | "more"
                | "less"
                | "than"
                | "fewer"
                | "above"
                | "below"
                | "over"
                | "under"
                | "between"
                | "half"
                | "twice"
                | "double"
                | "triple"
                | "minus"
                | "negative"
                | "plus"
                | "times"
                | "squared"
                | "cubed"
                | "factorial"
                | "except"
        )
    })
}

/// Whether words behind a value make another value of it: "or more", "and above", "squared". Of "5 times", "5 more apples"
/// and "5 years less" the value is 5.
pub(crate) fn changes_preceding_value(words: &str) -> bool {
    let mut previous = String::new();
    words.split(|character: char| !character.is_alphabetic()).filter(|word| !word.is_empty()).any(|word| {
        let word = word.to_ascii_lowercase();
        let bound = matches!(
            word.as_str(),
            "more"
                | "less"
                | "fewer"
                | "greater"
                | "above"
                | "below"
                | "over"
                | "under"
                | "up"
                | "higher"
                | "lower"
        );
        let changes = bound && matches!(previous.as_str(), "or" | "and")
            || matches!(word.as_str(), "not" | "never" | "squared" | "cubed" | "factorial");
        previous = word;
        changes
    })
}

/// The text without its words of scale, as Math-Verify reads it; none if it has no such word.
pub(crate) fn without_scale(text: &str) -> Option<String> {
    if !["illion", "thousand", "hundred"].iter().any(|part| text.contains(part)) {
        return None;
    }
    let is_letter = |letter: char| letter.is_ascii_alphabetic();
    let kept: String = text
        .split_inclusive(|letter| !is_letter(letter))
        .map(|piece| {
            let word = piece.trim_end_matches(|letter| !is_letter(letter));
            if scale(word).is_some() { &piece[word.len()..] } else { piece }
        })
        .collect();
    (kept.len() < text.len()).then_some(kept)
}

/// What a word behind a number multiplies it by.
pub(crate) fn scale(word: &str) -> Option<i64> {
    Some(match word {
        "hundred" | "hundreds" => 100,
        "thousand" | "thousands" => 1_000,
        "million" | "millions" => 1_000_000,
        "billion" | "billions" => 1_000_000_000,
        "trillion" | "trillions" => 1_000_000_000_000,
        _ => return None,
    })
}

/// Short English words that would otherwise read as products of letters.
pub(crate) fn is_english(run: &str) -> bool {
    matches!(
        run,
        "is" | "the"
            | "The"
            | "of"
            | "are"
            | "we"
            | "We"
            | "so"
            | "So"
            | "to"
            | "has"
            | "was"
            | "be"
            | "it"
            | "It"
            | "by"
            | "for"
            | "as"
            | "at"
            | "an"
            | "if"
            | "If"
            | "get"
            | "not"
            | "but"
            | "can"
            | "you"
            | "all"
            | "its"
            | "no"
            | "on"
            | "our"
            | "let"
            | "Let"
            | "one"
            | "two"
            | "then"
            | "than"
            | "because"
            | "since"
            | "therefore"
            | "Therefore"
            | "thus"
            | "Thus"
            | "hence"
            | "Hence"
            | "which"
            | "where"
            | "when"
            | "with"
            | "that"
            | "this"
            | "This"
            | "there"
            | "There"
            | "have"
            | "find"
            | "gives"
            | "equals"
    )
}

/// "million dollars": what it multiplies by, and the unit behind it.
pub(crate) fn scaled(words: &str) -> Option<(i64, &str)> {
    let words = words.trim();
    let (first, rest) = words.split_once(' ').unwrap_or((words, ""));
    Some((scale(first)?, rest.trim()))
}

/// Whether upright words say that the value follows.
pub(crate) fn announces(words: &str) -> bool {
    matches!(
        words.rsplit(' ').next(),
        Some("is" | "are" | "equals" | "Answer" | "answer" | "approximately" | "about")
    )
}

/// Whether upright words before a value are prose and not the name of a factor.
pub(crate) fn introduces(words: &str) -> bool {
    (words.contains(char::is_whitespace) && !changes_value(words))
        || matches!(
            words,
            "approximately" | "about" | "roughly" | "exactly" | "around" | "nearly" | "Answer" | "answer"
        )
}
