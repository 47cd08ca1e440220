//! The closed classes of English: what a word does to a value that it stands beside.
//!
//! A row names a class and all its words, in lower case. A word in no row is open: a noun, a name, an adjective. Behind a
//! number such words are its unit ("5 apples"); in front of one they make it something else ("Sphere 3").

use std::borrow::Cow;
use std::sync::LazyLock;

use rustc_hash::FxHashMap;

/// What a word may be. A word may have several roles: "times" counts and multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// "a", "the".
    Article,
    /// "it", "which".
    Pronoun,
    /// "is", "gives", and the auxiliaries: what stands before them is what the value is of.
    Verb,
    /// "not", "never": the opposite is meant.
    Denial,
    /// "incorrect": what is said of a value that it is not.
    Judgement,
    /// "maybe": not meant as said.
    Hedge,
    /// "about", "clearly": said as good as exactly.
    Approximation,
    /// "least", "over": one side of a value.
    Bound,
    /// "more", "below": a bound, or behind a number how far two values are apart.
    Distance,
    /// "half", "plus", "squared": another value is computed.
    Operation,
    /// "square", "sum": the name of what is computed.
    Computed,
    /// "because", "or": a clause or an alternative follows.
    Connective,
    /// "or": another value follows.
    Alternative,
    /// "so", "hence": the conclusion follows.
    Conclusion,
    /// "after", "of": what follows is no subject of the sentence.
    Preposition,
    /// "answer", "total": what a value is said to be.
    Answer,
    /// "length": what a value is the measure of.
    Measure,
    /// "could": what is said may be so.
    Modal,
    /// "step": the number behind it is its name.
    Heading,
    /// "if": what follows is not said to be so.
    Supposition,
    /// "think": what somebody does not think is not said.
    Belief,
}

/// The classes of English, each with its words.
pub(super) const CLASSES: &[(Role, &str)] = &[
    (Role::Article, "a an the this that these those our your its"),
    (Role::Pronoun, "i we you he she it they this that there which who one's"),
    (
        Role::Verb,
        "is are was were be been being am equals equal gives give gets get got becomes become yields has \
         have had obtain find do does did will would shall should can could may might must need needs seems seemed looks \
         looked",
    ),
    (
        Role::Denial,
        "no none not never neither nor cannot without non nothing nobody nowhere hardly scarcely barely excluding barring \
         unlike fails fail contradicts violates reject rejects discard \
         discards eliminate eliminates exclude excludes omit omits overshoots undershoots overcounts undercounts \
         overestimates underestimates nicht kein keine keinen pas jamais nunca não не",
    ),
    (
        Role::Judgement,
        "incorrect wrong false untrue invalid impossible mistaken erroneous inadmissible unacceptable extraneous rejected \
         excluded discarded disproved refuted failed contradictory",
    ),
    (
        Role::Hedge,
        "maybe perhaps possibly probably likely unlikely guess unsure sometimes presumably supposedly allegedly seemingly \
         doubt doubts doubtful unclear uncertain ish",
    ),
    (
        Role::Approximation,
        "about around approximately roughly exactly precisely only just simply clearly obviously evidently definitely \
         certainly surely ultimately actually really indeed merely namely solely \
         always still also again now",
    ),
    (
        Role::Bound,
        "least most more less than fewer smaller larger bigger above below over under between greater higher lower up beyond \
         within exceeding exceeds exceed surpassing surpasses almost nearly near off short shy past upwards \
         tops höchstens mindestens moins menos más mais mehr più casi presque quase больше меньше более менее почти",
    ),
    (Role::Distance, "more less up fewer above below over under greater higher lower off short shy past"),
    (
        Role::Operation,
        "half twice thrice double triple minus negative plus times squared cubed factorial except point \
         doubled tripled halved divide divides divided multiplied mitad metade moitié hälfte metà doble dobro doppelte",
    ),
    (
        Role::Computed,
        "square cube root log logarithm reciprocal inverse opposite power sum difference product quotient \
         remainder multiple divisor factor fraction percentage complement",
    ),
    (
        Role::Connective,
        "or and but because since if unless although though however whereas while instead rather \
         otherwise else yet",
    ),
    (Role::Alternative, "or oder ou или alternatively"),
    (Role::Conclusion, "so thus hence therefore then consequently finally altogether"),
    (Role::Preposition, "of in on at by from to with after before for until near"),
    (Role::Answer, "answer answers value result solution total final ans amount both either number"),
    (
        Role::Measure,
        "profit gain distance length width height area perimeter circumference volume radius diameter speed \
         age price cost weight mass probability",
    ),
    (Role::Modal, "could might may"),
    (Role::Supposition, "whether if suppose supposing assume assuming unless"),
    (Role::Belief, "think thinks believe believes say says sure certain convinced know knows true"),
    (Role::Heading, "step case part section problem question exercise example figure equation method lemma"),
];

/// The words of a class.
pub(super) const fn class(role: Role) -> &'static str {
    let mut row = 0;
    while CLASSES[row].0 as u32 != role as u32 {
        row += 1;
    }
    CLASSES[row].1
}

/// Those of languages that set no space between words, or none behind a number.
const UNSPACED: &[(Role, &str)] = &[
    (Role::Verb, "是 为 等于 有 得 需 要 剩 共 了"),
    (Role::Denial, "不 没 非 错 除 除了 ではな ではあ じゃな 아니 아닙"),
    (Role::Hedge, "可能 也许 或"),
    (
        Role::Bound,
        "至少 最少 至多 最多 超过 不到 不足 大于 小于 多于 少于 高于 低于 以上 以下 以内 之间 未満 より 보다 이상 이하 미만",
    ),
    (Role::Operation, "负 分之"),
];

/// Phrases, in lower case, and what they are said for.
const PHRASES: &[(&str, &str)] = &[
    ("dne", "does not exist"),
    ("not defined", "undefined"),
    ("infinite", "infinitely many"),
    ("there are infinitely many", "infinitely many"),
    ("convergent", "converges"),
    ("divergent", "diverges"),
    ("right angled triangle", "right triangle"),
    ("是的", "是"),
];

/// Words of opposite meaning.
const OPPOSITES: &str = "boy girl|boys girls|man woman|men women|male female|males females|before after|above below|\
    over under|left right|up down|upward downward|upwards downwards|increase decrease|increased decreased|profit loss|\
    gain loss|gained lost|more less|more fewer|north south|east west|longer shorter|taller shorter|older younger|\
    faster slower|higher lower|wins losses|inside outside|clockwise counterclockwise|clockwise anticlockwise|ahead behind|\
    row column|rows columns|early late|earlier later|heads tails|odd even|first last|larger smaller|hotter colder|warmer colder";

/// Things of one kind, with their other names behind a slash; none is another one.
const KINDS: [&str; 7] = [
    "apple orange banana pear peach grape cherry/cherries lemon lime plum mango strawberry/strawberries",
    "penny/pennies nickel dime quarter",
    "red blue green yellow black white purple pink brown gray/grey",
    "dog/puppy/puppies cat/kitten cow horse pig sheep goat chicken/hen duck rabbit/bunny/bunnies mouse/mice",
    "adult child/children/kid",
    "teacher student/pupil",
    "car truck bus/buses bike/bicycle motorcycle/motorbike train plane/airplane boat",
];

/// Whether two texts name different things of one kind: "3 apples" and "3 oranges".
pub(crate) fn are_of_a_kind(left: &str, right: &str) -> bool {
    let says = |text: &str, thing: &str| {
        let singular =
            |word: &str| thing.split('/').any(|name| word == name || word.strip_suffix('s') == Some(name));
        text.split(' ').any(singular)
    };
    KINDS.iter().any(|kind| {
        let of_it = |text: &str| kind.split(' ').any(|thing| says(text, thing));
        let shared = || kind.split(' ').any(|thing| says(left, thing) && says(right, thing));
        of_it(left) && of_it(right) && !shared()
    })
}

/// Whether one of two texts says the opposite of what the other one does: "3 days before" and "3 days after".
pub(crate) fn are_opposed(left: &str, right: &str) -> bool {
    let says = |text: &str, word: &str| text.split(' ').any(|other| other == word);
    OPPOSITES.split('|').filter_map(|pair| pair.split_once(' ')).any(|(one, other)| {
        let only = |text: &str, word: &str, not: &str| says(text, word) && !says(text, not);
        only(left, one, other) && only(right, other, one) || only(left, other, one) && only(right, one, other)
    })
}

/// The phrase that words are said for, or the words themselves.
pub(crate) fn plain_phrase(words: &str) -> &str {
    PHRASES.iter().find(|(said, _)| *said == words).map_or(words, |(_, plain)| plain)
}

/// The roles of each word, one bit a role.
static ROLES: LazyLock<FxHashMap<&str, u32>> = LazyLock::new(|| {
    let mut roles = FxHashMap::default();
    for (role, words) in CLASSES.iter().chain(UNSPACED) {
        words.split(' ').for_each(|word| *roles.entry(word).or_default() |= 1 << *role as u32);
    }
    roles
});

/// Whether a word, in whatever case, has a role.
pub(crate) fn is(word: &str, role: Role) -> bool {
    is_any(word, &[role])
}

/// Whether a word, in whatever case, has one of several roles.
pub(crate) fn is_any(word: &str, roles: &[Role]) -> bool {
    let upper = word.bytes().any(|byte| byte.is_ascii_uppercase() || !byte.is_ascii());
    let word = if upper { Cow::Owned(word.to_lowercase()) } else { Cow::Borrowed(word) };
    let has = ROLES.get(&*word).copied().unwrap_or_default();
    roles.iter().fold(0, |mask, role| mask | 1 << *role as u32) & has != 0
        || roles.contains(&Role::Denial) && word.ends_with("n't")
}

/// Whether a text ends with a word that has one of several roles, in a language that sets no space between words.
pub(crate) fn ends_with_any(text: &str, roles: &[Role]) -> bool {
    text.ends_with(|last: char| !last.is_ascii()) && unspaced(roles).any(|word| text.ends_with(word))
}

/// Whether a text begins with such a word.
pub(crate) fn starts_with_any(text: &str, roles: &[Role]) -> bool {
    text.starts_with(|first: char| !first.is_ascii()) && unspaced(roles).any(|word| text.starts_with(word))
}

/// Whether such a word stands anywhere in a text.
pub(crate) fn contains_any(text: &str, roles: &[Role]) -> bool {
    !text.is_ascii() && unspaced(roles).any(|word| text.contains(word))
}

/// Whether one of some words has one of several roles.
pub(super) fn has(words: &[&str], roles: &[Role]) -> bool {
    words.iter().any(|word| is_any(word, roles))
}

/// Whether a word is one of those of a constant list with spaces between them, which the compiler splits.
macro_rules! one_of {
    ($word:expr, $known:expr $(,)?) => {{
        static WORDS: [&str; $crate::verify::language::lexicon::count($known)] =
            $crate::verify::language::lexicon::split($known);
        let word: &str = $word;
        WORDS.contains(&word)
    }};
}
pub(crate) use one_of;

/// The number of words in a list.
pub(crate) const fn count(list: &str) -> usize {
    let (mut words, mut at) = (1, 0);
    while at < list.len() {
        words += (list.as_bytes()[at] == b' ') as usize;
        at += 1;
    }
    words
}

/// The words of a list of N.
pub(crate) const fn split<const N: usize>(list: &'static str) -> [&'static str; N] {
    let mut words = [""; N];
    let (mut word, mut start, mut at) = (0, 0, 0);
    while at <= list.len() {
        if at == list.len() || list.as_bytes()[at] == b' ' {
            words[word] = list.split_at(at).0.split_at(start).1;
            (word, start) = (word + 1, at + 1);
        }
        at += 1;
    }
    words
}

/// The first and the last letter and the length of some words, by which most texts are seen to have none of them.
pub(crate) struct Outlines([u64; 26]);

impl Outlines {
    /// Those of the words of some lists in lower case.
    pub(crate) const fn of<const N: usize>(lists: [&str; N]) -> Self {
        let mut outlines = [0; 26];
        let mut list = 0;
        while list < N {
            let letters = lists[list].as_bytes();
            let (mut start, mut at) = (0, 0);
            while at <= letters.len() {
                if at == letters.len() || letters[at] == b' ' {
                    // Texts with other letters are not looked at.
                    if letters[start].is_ascii() {
                        let (row, bit) = Self::place(letters[start], letters[at - 1], at - start);
                        outlines[row] |= bit;
                    }
                    start = at + 1;
                }
                at += 1;
            }
            list += 1;
        }
        Self(outlines)
    }

    const fn place(first: u8, last: u8, length: usize) -> (usize, u64) {
        let last = last.to_ascii_lowercase() as usize;
        ((first.to_ascii_lowercase() - b'a') as usize, 1 << ((last + 7 * length) % 64))
    }

    /// Whether one of the words may stand in a text, in whatever case.
    pub(crate) fn may_be_in(&self, text: &str) -> bool {
        let may_be = |word: &[u8]| {
            let (Some(first), Some(last)) = (word.first(), word.last()) else { return false };
            let (row, bit) = Self::place(*first, *last, word.len());
            self.0[row] & bit != 0
        };
        !text.is_ascii() || text.as_bytes().split(|byte| !byte.is_ascii_alphabetic()).any(may_be)
    }
}

fn unspaced(roles: &[Role]) -> impl Iterator<Item = &'static str> {
    UNSPACED.iter().filter(|(class, _)| roles.contains(class)).flat_map(|(_, words)| words.split(' '))
}

/// The words of a text between white space, without the punctuation around them.
pub(crate) fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(char::is_whitespace)
        .map(|word| word.trim_matches(|character: char| !character.is_alphanumeric()))
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outlines_miss_no_word() {
        for (role, list) in CLASSES {
            let outlines = Outlines::of([class(*role)]);
            for word in list.split(' ') {
                assert!(outlines.may_be_in(&format!("7, {}.", word.to_uppercase())), "{word}");
            }
        }
        let outlines = Outlines::of([class(Role::Operation)]);
        assert!(!outlines.may_be_in("Therefore the final answer is $"));
        assert!(outlines.may_be_in("Половина"));
    }
}
