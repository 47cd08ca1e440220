//! Units of measurement: how they are spelled, and what they are in units of the same kind.

use std::sync::LazyLock;

use dashu_ratio::RBig;
use rustc_hash::FxHashMap;

/// A unit: its normal spelling, the others, and how many it is of what, as in "1000/1 g·m/s^2". One that is only itself
/// measures nothing else.
struct Row(&'static str, &'static str, (i64, i64), &'static str);

impl Row {
    fn spellings(&self) -> impl Iterator<Item = &'static str> {
        self.1.split('|').chain([self.0]).filter(|spelling| !spelling.is_empty())
    }
}

/// Units that take a prefix, such as `k` or "kilo".
const PREFIXED: &[Row] = &[
    Row("m", "meter|meters|metre|metres", (1, 1), "m"),
    Row("g", "gram|grams", (1, 1), "g"),
    Row("s", "second|seconds", (1, 1), "s"),
    Row("L", "l|liter|liters|litre|litres", (1, 1_000), "m^3"),
    Row("ohm", "Ω|ohms", (1_000, 1), "g·m^2/s^3·A^2"),
    Row("Hz", "hertz", (1, 1), "/s"),
    Row("N", "newton|newtons", (1_000, 1), "g·m/s^2"),
    Row("J", "joule|joules", (1_000, 1), "g·m^2/s^2"),
    Row("W", "watt|watts", (1_000, 1), "g·m^2/s^3"),
    Row("V", "volt|volts", (1_000, 1), "g·m^2/s^3·A"),
    Row("A", "amp|amps|ampere|amperes", (1, 1), "A"),
    Row("K", "kelvin", (1, 1), "K"),
    Row("Pa", "pascal|pascals", (1_000, 1), "g/m·s^2"),
    Row("mol", "moles|mole", (1, 1), "mol"),
    Row("eV", "", (1, 1), "eV"),
    Row("C", "coulomb|coulombs", (1, 1), "A·s"),
    Row("T", "tesla|teslas", (1_000, 1), "g/s^2·A"),
    Row("F", "farad|farads", (1, 1_000), "A^2·s^4/g·m^2"),
    Row("H", "henry|henries", (1_000, 1), "g·m^2/s^2·A^2"),
];

/// Prefixes: sign, word, and what they multiply by.
const PREFIXES: &[(&str, &str, (i64, i64))] = &[
    ("n", "nano", (1, 1_000_000_000)),
    ("μ", "micro", (1, 1_000_000)),
    ("µ", "micro", (1, 1_000_000)),
    ("m", "milli", (1, 1_000)),
    ("c", "centi", (1, 100)),
    ("d", "deci", (1, 10)),
    ("k", "kilo", (1_000, 1)),
    ("M", "mega", (1_000_000, 1)),
    ("G", "giga", (1_000_000_000, 1)),
    ("T", "tera", (1_000_000_000_000, 1)),
];

/// Units without prefixes. A pound is one of mass or of money; an increase and a decrease are no units, but tell a number
/// from its opposite in the same way.
const PLAIN: &[Row] = &[
    Row("in", "inch|inches", (254, 10_000), "m"),
    Row("ft", "foot|feet", (3_048, 10_000), "m"),
    Row("yd", "yard|yards", (9_144, 10_000), "m"),
    Row("mi", "mile|miles", (1_609_344, 1_000), "m"),
    Row("ha", "hectare|hectares", (10_000, 1), "m^2"),
    Row("cc", "", (1, 1_000_000), "m^3"),
    Row("gallon", "gallons|gal", (473_176_473, 125_000_000_000), "m^3"),
    Row("quart", "quarts|qt", (473_176_473, 500_000_000_000), "m^3"),
    Row("pint", "pints", (473_176_473, 1_000_000_000_000), "m^3"),
    Row("lb", "lbs", (45_359_237, 100_000), "g"),
    Row("pound", "pounds|GBP|£", (45_359_237, 100_000), "g"),
    Row("oz", "ounce|ounces", (45_359_237, 1_600_000), "g"),
    Row("s", "sec|secs", (1, 1), "s"),
    Row("min", "mins|minute|minutes", (60, 1), "s"),
    Row("h", "hr|hrs|hour|hours", (3_600, 1), "s"),
    Row("day", "days", (86_400, 1), "s"),
    Row("week", "weeks", (604_800, 1), "s"),
    Row("fortnight", "fortnights", (1_209_600, 1), "s"),
    Row("month", "months", (1, 12), "year"),
    Row("year", "years|yr|yrs", (1, 1), "year"),
    Row("decade", "decades", (10, 1), "year"),
    Row("century", "centuries", (100, 1), "year"),
    Row("mi/h", "mph", (1, 1), ""),
    Row("km/h", "kph", (1, 1), ""),
    Row("kWh", "", (3_600_000_000, 1), "g·m^2/s^2"),
    Row("degree F", "degrees Fahrenheit|degree Fahrenheit|Fahrenheit", (1, 1), "degree F"),
    Row("degree C", "degrees Celsius|degree Celsius|Celsius", (1, 1), "degree C"),
    Row("rad", "radian|radians", (1, 1), "rad"),
    Row("am", "AM|a.m|A.M", (1, 1), "am"),
    Row("pm", "PM|p.m|P.M", (1, 1), "pm"),
    Row("noon", "", (1, 1), "noon"),
    Row("midnight", "", (1, 1), "midnight"),
    Row("cent", "cents|¢", (1, 100), "dollar"),
    Row("dollar", "dollars|usd|USD|$", (1, 1), "dollar"),
    Row("euro", "euros|EUR|€", (1, 1), "euro"),
    Row("yuan", "RMB|CNY|元|¥", (1, 1), "yuan"),
    Row("rupee", "rupees|Rs|INR|₹", (1, 1), "rupee"),
    Row("pence", "penny", (1, 1), "pence"),
    Row("increase", "", (1, 1), "increase"),
    Row("decrease", "", (1, 1), "decrease"),
];

/// Spellings that count only where they are set upright: `5C` has a constant in it.
const UPRIGHT: [&str; 4] = ["C", "T", "F", "H"];

/// Signs of two letters with a prefix that are units behind a number however they are set: `3kT` is a product.
const FAMILIAR: [&str; 14] =
    ["mm", "cm", "dm", "km", "nm", "mg", "kg", "ms", "kJ", "kW", "MW", "kV", "mA", "mL"];

/// What a unit is.
struct Unit {
    /// Its normal spelling.
    name: String,
    /// Whether it begins with the sign of a prefix.
    prefixed: bool,
    size: RBig,
    /// The units it is made of, with their exponents.
    base: Vec<(String, i64)>,
}

/// All units by all their spellings.
static UNITS: LazyLock<FxHashMap<String, Unit>> = LazyLock::new(|| {
    let mut units = FxHashMap::default();
    let ratio = |(above, below): (i64, i64)| RBig::from(above) / RBig::from(below);
    let mut add = |spelling: String, name: String, prefixed: bool, size: RBig, base: &str| {
        let base = parts(base, 1).collect();
        units.entry(spelling).or_insert(Unit { name, prefixed, size, base });
    };
    for row @ Row(name, _, size, base) in PLAIN.iter().chain(PREFIXED) {
        for spelling in row.spellings() {
            add(spelling.to_string(), (*name).to_string(), false, ratio(*size), base);
        }
    }
    for (sign, word, scale) in PREFIXES {
        for row @ Row(name, _, size, base) in PREFIXED {
            let normal = format!("{}{name}", sign.replace('µ', "μ"));
            let size = ratio(*size) * ratio(*scale);
            for spelling in row.spellings() {
                let is_word = spelling.len() >= 3 && *name != spelling;
                let prefix = if is_word { word } else { sign };
                add(format!("{prefix}{spelling}"), normal.clone(), !is_word, size.clone(), base);
            }
        }
    }
    units
});

/// The normal spelling of a unit, or none if the word is not one.
pub(crate) fn normal(word: &str) -> Option<&'static str> {
    if UPRIGHT.contains(&word) { None } else { UNITS.get(word).map(|unit| &*unit.name) }
}

/// How many of the unit `into` one of `from` is, both in their normal spelling: 60 of minutes and hours. None if they
/// measure different things.
pub(crate) fn conversion(from: &str, into: &str) -> Option<RBig> {
    const HIGHEST: i64 = 8;
    let mut ratio = RBig::ONE;
    let mut measures: Vec<(String, i64)> = Vec::new();
    let mut measure = |name: &str, exponent: i64| match measures.iter_mut().find(|(known, _)| known == name) {
        Some((_, total)) => *total += exponent,
        None => measures.push((name.to_string(), exponent)),
    };
    for (unit, sign) in [(from, 1), (into, -1)] {
        for (name, exponent) in parts(unit, sign) {
            let exponent = Some(exponent).filter(|exponent| exponent.abs() <= HIGHEST)?;
            let Some(unit) = UNITS.get(&name) else {
                measure(&name, exponent);
                continue;
            };
            ratio *= unit.size.pow(isize::try_from(exponent).ok()?);
            unit.base.iter().for_each(|(base, power)| measure(base, exponent * power));
        }
    }
    measures.iter().all(|(_, total)| *total == 0).then_some(ratio)
}

/// The normal spelling of a unit in words: "square feet" is ft^2, "miles per hour" and "mph" are mi/h, "per hour" is /h.
pub(crate) fn spelled(words: &str) -> Option<String> {
    if let Some(below) = words.strip_prefix("per ") {
        return Some(format!("/{}", power(below.trim())?));
    }
    match words.split_once(" per ").or_else(|| words.split_once('/')) {
        Some((above, below)) => Some(format!("{}/{}", power(above.trim())?, power(below.trim())?)),
        None => power(words),
    }
}

/// The units of a normal spelling with their exponents, all of the opposite sign where `sign` is -1.
pub(crate) fn parts(unit: &str, sign: i64) -> impl Iterator<Item = (String, i64)> + '_ {
    unit.split('/').enumerate().flat_map(move |(place, part)| {
        let factors = part.split('·').filter(|factor| !factor.is_empty());
        factors.map(move |factor| {
            let (name, exponent) = factor.split_once('^').unwrap_or((factor, "1"));
            let exponent: i64 = exponent.parse().unwrap_or(1);
            (name.to_string(), sign * if place == 0 { exponent } else { -exponent })
        })
    })
}

/// The normal spelling of a product of units: `m/s^2`, `kJ/mol`, `N·m`.
pub(crate) fn product(parts: &[(String, i64)]) -> String {
    let spelled = |(name, exponent): &(String, i64)| match exponent.abs() {
        1 => name.clone(),
        power => format!("{name}^{power}"),
    };
    let above: Vec<String> = parts.iter().filter(|(_, exponent)| *exponent > 0).map(spelled).collect();
    let below = parts.iter().filter(|(_, exponent)| *exponent < 0).map(|part| format!("/{}", spelled(part)));
    above.join("·") + &below.collect::<String>()
}

fn power(words: &str) -> Option<String> {
    let prefixes = [("square ", 2), ("sq ", 2), ("sq. ", 2), ("cubic ", 3)];
    let suffixes = [(" squared", 2), (" cubed", 3)];
    let before = prefixes.iter().find_map(|(word, power)| Some((words.strip_prefix(word)?, power)));
    let behind = || suffixes.iter().find_map(|(word, power)| Some((words.strip_suffix(word)?, power)));
    match before.or_else(behind) {
        Some((unit, power)) => Some(format!("{}^{power}", normal(unit)?)),
        None => UNITS.get(words).map(|unit| unit.name.clone()),
    }
}

/// The unit that a text begins with, where that is one word and all of the unit: "minutes to boil", not "miles per hour", "m", or
/// the "in" of "in total".
pub(crate) fn alone(text: &str) -> Option<&str> {
    let end = text.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(text.len());
    let (word, behind) = text.split_at(end);
    if word.len() < 2 || word == "in" || normal(word).is_none() {
        return None;
    }
    let next = behind.split(|sign: char| !sign.is_alphanumeric()).find(|next| !next.is_empty()).unwrap_or("");
    let signs = ['^', '/', '²', '³', '\\', '*', '·', '-'];
    let goes_on = behind.trim_start_matches(['}', ' ', '$']).starts_with(signs)
        || matches!(next, "per" | "a" | "an" | "each" | "every" | "and" | "or" | "squared" | "cubed")
        || next.starts_with(|first: char| first.is_ascii_digit());
    (!goes_on).then_some(word)
}

/// Whether a unit is money, perhaps for something.
pub(crate) fn is_money(unit: &str) -> bool {
    let above = unit.split('/').next().unwrap_or(unit);
    matches!(above, "dollar" | "cent" | "euro" | "yuan" | "rupee" | "pound" | "pence")
}

/// Whether a run of letters behind a number is a unit. One-letter units need `\text` or `\mathrm`: `6m` is a product.
pub(crate) fn is_plain_unit(word: &str) -> bool {
    // AM and PM may be two sides of a triangle.
    let half_of_day = matches!(word, "am" | "pm" | "AM" | "PM");
    let familiar = |unit: &Unit| !unit.prefixed || word.len() > 2 || FAMILIAR.contains(&word);
    word.len() >= 2 && !half_of_day && UNITS.get(word).is_some_and(familiar)
}
