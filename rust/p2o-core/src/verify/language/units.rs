//! Units of measurement: they are dropped, or compared by name, never converted.

/// The normal spelling of a unit, or none if the word is not one.
pub(crate) fn normal(word: &str) -> Option<&'static str> {
    Some(match word {
        "mm" | "millimeter" | "millimeters" | "millimetres" => "mm",
        "cm" | "centimeter" | "centimeters" | "centimetre" | "centimetres" => "cm",
        "dm" | "decimeter" | "decimeters" => "dm",
        "m" | "meter" | "meters" | "metre" | "metres" => "m",
        "km" | "kilometer" | "kilometers" | "kilometre" | "kilometres" => "km",
        "nm" => "nm",
        "in" | "inch" | "inches" => "in",
        "ft" | "foot" | "feet" => "ft",
        "yd" | "yard" | "yards" => "yd",
        "mi" | "mile" | "miles" => "mi",
        "mg" | "milligram" | "milligrams" => "mg",
        "g" | "gram" | "grams" => "g",
        "kg" | "kilogram" | "kilograms" => "kg",
        "lb" | "lbs" | "pound" | "pounds" => "lb",
        "oz" | "ounce" | "ounces" => "oz",
        "s" | "sec" | "secs" | "second" | "seconds" => "s",
        "ms" | "millisecond" | "milliseconds" => "ms",
        "min" | "mins" | "minute" | "minutes" => "min",
        "h" | "hr" | "hrs" | "hour" | "hours" => "h",
        "degrees Fahrenheit" | "degree Fahrenheit" | "Fahrenheit" => "degree F",
        "degrees Celsius" | "degree Celsius" | "Celsius" => "degree C",
        "AM" | "am" | "a.m" | "A.M" => "am",
        "PM" | "pm" | "p.m" | "P.M" => "pm",
        "day" | "days" => "day",
        "week" | "weeks" => "week",
        "month" | "months" => "month",
        "year" | "years" | "yr" | "yrs" => "year",
        "mph" => "mi/h",
        "kph" => "km/h",
        "ml" | "mL" | "milliliter" | "milliliters" => "mL",
        "L" | "l" | "liter" | "liters" | "litre" | "litres" => "L",
        "cent" | "cents" => "cent",
        "dollar" | "dollars" | "usd" | "USD" => "dollar",
        "euro" | "euros" => "euro",
        "Omega" | "ohm" | "ohms" => "ohm",
        "Hz" | "hertz" => "Hz",
        "kHz" => "kHz",
        "MHz" => "MHz",
        "N" | "newton" | "newtons" => "N",
        "J" | "joule" | "joules" => "J",
        "kJ" => "kJ",
        "W" | "watt" | "watts" => "W",
        "kW" => "kW",
        "V" | "volt" | "volts" => "V",
        "A" | "amp" | "amps" => "A",
        "K" | "kelvin" => "K",
        "Pa" => "Pa",
        "kPa" => "kPa",
        "rad" | "radian" | "radians" => "rad",
        "mol" | "moles" | "mole" => "mol",
        "eV" => "eV",
        _ => return None,
    })
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

/// The normal spelling of a unit in words: "square feet" is ft^2, "miles per hour" and "mph" are mi/h.
pub(crate) fn spelled(words: &str) -> Option<String> {
    match words.split_once(" per ").or_else(|| words.split_once('/')) {
        Some((above, below)) => Some(format!("{}/{}", power(above.trim())?, power(below.trim())?)),
        None => power(words),
    }
}

/// The units of a normal spelling with their exponents, all of the opposite sign where `sign` is -1.
pub(crate) fn parts(unit: &str, sign: i64) -> impl Iterator<Item = (String, i64)> + '_ {
    unit.split('/').enumerate().map(move |(place, part)| {
        let (name, exponent) = part.split_once('^').unwrap_or((part, "1"));
        let exponent: i64 = exponent.parse().unwrap_or(1);
        (name.to_string(), sign * if place == 0 { exponent } else { -exponent })
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
