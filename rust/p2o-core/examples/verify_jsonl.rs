//! Verifies a JSON-lines file: `cargo run --release --example verify_jsonl -- pairs.jsonl completion gold`.
//!
//! Prints one line per input line (status, tier, extracted answer) and the counts of each status.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};

use p2o_core::verify::{Options, Tier, verify_batch};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, completion_key, gold_key] = arguments.as_slice() else {
        return Err("usage: verify_jsonl FILE COMPLETION_KEY GOLD_KEY".into());
    };
    let (mut completions, mut golds) = (Vec::new(), Vec::new());
    for (index, line) in std::io::BufReader::new(std::fs::File::open(path)?).lines().enumerate() {
        let row: serde_json::Value = serde_json::from_str(&line?)?;
        for (key, into) in [(completion_key, &mut completions), (gold_key, &mut golds)] {
            let value =
                row[key].as_str().ok_or_else(|| format!("{path}:{}: no text at key {key}", index + 1))?;
            into.push(value.to_string());
        }
    }
    let mut counts = BTreeMap::new();
    let mut out = std::io::stdout().lock();
    for verdict in verify_batch(&completions, &golds, &Options::default()) {
        *counts.entry(verdict.status.name()).or_insert(0) += 1;
        let extracted = verdict.extracted.unwrap_or_default();
        writeln!(out, "{}\t{}\t{extracted:?}", verdict.status.name(), verdict.tier.map_or("-", Tier::name))?;
    }
    writeln!(out, "{counts:?}")?;
    Ok(())
}
