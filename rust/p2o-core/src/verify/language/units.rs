//! Units of measurement: how they are spelled, and what they are in units of the same kind.

use dashu_ratio::RBig;

/// The normal spelling of a unit, or none if the word is not one.
pub(crate) fn normal(word: &str) -> Option<&'static str> {
    Some(match word {
        "mm" | "millimeter" | "millimeters" | "millimetres" => "mm",
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => "cm",
        "dm" | "decimeter" | "decimeters" => "dm",
        "m" | "meter" | "meters" | "metre" | "metres" => "m",
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => "km",
        "nm" => "nm",
        "μm" | "µm" => "μm",
        "in" | "inch" | "inches" => "in",
        "ft" | "foot" | "feet" => "ft",
        "yd" | "yard" | "yards" => "yd",
        "mi" | "mile" | "miles" => "mi",
        "mg" | "milligram" | "milligrams" => "mg",
        "g" | "gram" | "grams" => "g",
        "kg" | "kilogram" | "kilograms" => "kg",
        "lb" | "lbs" => "lb",
        // Of mass or of money.
        "pound" | "pounds" | "GBP" | "£" => "pound",
        "oz" | "ounce" | "ounces" => "oz",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "millisecond" | "milliseconds" => "ms",
        "min" | "mins" | "minute" | "minutes" => "min",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "degrees Fahrenheit" | "degree Fahrenheit" | "Fahrenheit" => "degree F",
        "degrees Celsius" | "degree Celsius" | "Celsius" => "degree C",
        "AM" | "am" | "a.m" | "A.M" => "am",
        "noon" => "noon",
        "midnight" => "midnight",
        "PM" | "pm" | "p.m" | "P.M" => "pm",
        "day" | "days" => "day",
        "week" | "weeks" => "week",
        "month" | "months" => "month",
        "year" | "years" | "yr" | "yrs" => "year",
        "mph" => "mi/h",
        "kph" => "km/h",
        "ml" | "mL" | "milliliter" | "milliliters" => "mL",
        "L" | "l" | "liter" | "liters" | "litre" | "litres" => "L",
        "cent" | "cents" | "¢" => "cent",
        "dollar" | "dollars" | "usd" | "USD" | "$" => "dollar",
        "euro" | "euros" | "EUR" | "€" => "euro",
        "yuan" | "RMB" | "CNY" | "元" | "¥" => "yuan",
        "rupee" | "rupees" | "Rs" | "INR" | "₹" => "rupee",
        "Omega" | "ohm" | "ohms" => "ohm",
        "Hz" | "hertz" => "Hz",
        "kHz" => "kHz",
        "MHz" => "MHz",
        "GHz" => "GHz",
        "THz" => "THz",
        "N" | "newton" | "newtons" => "N",
        "J" | "joule" | "joules" => "J",
        "kJ" => "kJ",
        "W" | "watt" | "watts" => "W",
        "kW" => "kW",
        "MW" => "MW",
        "kV" => "kV",
        "mA" => "mA",
        "V" | "volt" | "volts" => "V",
        "A" | "amp" | "amps" => "A",
        "K" | "kelvin" => "K",
        "Pa" => "Pa",
        "kPa" => "kPa",
        "MPa" => "MPa",
        "rad" | "radian" | "radians" => "rad",
        "mol" | "moles" | "mole" => "mol",
        "eV" => "eV",
        _ => return None,
    })
}

/// What a unit is of another one, or of a power of it: a litre is 1/1000 m^3. None of a unit that is only itself.
fn in_base(unit: &str) -> Option<(&'static str, i64, (i64, i64))> {
    let (base, power, above, below) = match unit {
        "nm" => ("m", 1, 1, 1_000_000_000),
        "μm" => ("m", 1, 1, 1_000_000),
        "mm" => ("m", 1, 1, 1_000),
        "cm" => ("m", 1, 1, 100),
        "dm" => ("m", 1, 1, 10),
        "km" => ("m", 1, 1_000, 1),
        "in" => ("m", 1, 254, 10_000),
        "ft" => ("m", 1, 3_048, 10_000),
        "yd" => ("m", 1, 9_144, 10_000),
        "mi" => ("m", 1, 1_609_344, 1_000),
        "mL" => ("m", 3, 1, 1_000_000),
        "L" => ("m", 3, 1, 1_000),
        "mg" => ("g", 1, 1, 1_000),
        "kg" => ("g", 1, 1_000, 1),
        "lb" | "pound" => ("g", 1, 45_359_237, 100_000),
        "oz" => ("g", 1, 45_359_237, 1_600_000),
        "ms" => ("s", 1, 1, 1_000),
        "min" => ("s", 1, 60, 1),
        "h" => ("s", 1, 3_600, 1),
        "day" => ("s", 1, 86_400, 1),
        "week" => ("s", 1, 604_800, 1),
        "month" => ("year", 1, 1, 12),
        "cent" => ("dollar", 1, 1, 100),
        "kHz" => ("Hz", 1, 1_000, 1),
        "MHz" => ("Hz", 1, 1_000_000, 1),
        "GHz" => ("Hz", 1, 1_000_000_000, 1),
        "THz" => ("Hz", 1, 1_000_000_000_000, 1),
        "kJ" => ("J", 1, 1_000, 1),
        "kW" => ("W", 1, 1_000, 1),
        "MW" => ("W", 1, 1_000_000, 1),
        "kV" => ("V", 1, 1_000, 1),
        "mA" => ("A", 1, 1, 1_000),
        "kPa" => ("Pa", 1, 1_000, 1),
        "MPa" => ("Pa", 1, 1_000_000, 1),
        "kohm" => ("ohm", 1, 1_000, 1),
        "Mohm" => ("ohm", 1, 1_000_000, 1),
        _ => return None,
    };
    Some((base, power, (above, below)))
}

/// How many of the unit `into` one of `from` is, both in their normal spelling: 60 of minutes and hours. None if they
/// measure different things.
pub(crate) fn conversion(from: &str, into: &str) -> Option<RBig> {
    const HIGHEST: i64 = 8;
    let mut ratio = RBig::ONE;
    let mut measures: Vec<(String, i64)> = Vec::new();
    for (unit, sign) in [(from, 1), (into, -1)] {
        for (name, exponent) in parts(unit, sign) {
            let (base, power, (above, below)) = in_base(&name).unwrap_or(("", 1, (1, 1)));
            let base = if base.is_empty() { name } else { base.to_string() };
            let size = RBig::from(above) / RBig::from(below);
            let exponent = Some(exponent).filter(|exponent| exponent.abs() <= HIGHEST)?;
            ratio *= size.pow(isize::try_from(exponent).ok()?);
            match measures.iter_mut().find(|(measure, _)| *measure == base) {
                Some((_, total)) => *total += exponent * power,
                None => measures.push((base, exponent * power)),
            }
        }
    }
    measures.iter().all(|(_, total)| *total == 0).then_some(ratio)
}

/// A unit that is none where it is not set upright: `5C` has a constant in it.
fn upright(word: &str) -> Option<&'static str> {
    Some(match word {
        "C" | "coulomb" | "coulombs" => "C",
        "T" | "tesla" | "teslas" => "T",
        "F" | "farad" | "farads" => "F",
        "H" | "henry" | "henries" => "H",
        _ => return None,
    })
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
        None => normal(words).or_else(|| upright(words)).map(str::to_string),
    }
}

/// Whether a run of letters behind a number is a unit. One-letter units need `\text` or `\mathrm`: `6m` is a product.
pub(crate) fn is_plain_unit(word: &str) -> bool {
    // AM and PM may be two sides of a triangle.
    let half_of_day = matches!(word, "am" | "pm" | "AM" | "PM");
    word.len() >= 2 && !half_of_day && normal(word).is_some()
}
