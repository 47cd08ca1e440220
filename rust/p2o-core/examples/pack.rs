//! Packs row lengths given on standard input, one a line: `seq 1 100 | cargo run --example pack -- 256 4`.
#![expect(clippy::print_stdout, reason = "an example's output")]

use std::error::Error;
use std::io::{self, BufRead};

use p2o_core::pack::Packer;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let budget = arguments.next().ok_or("usage: pack BUDGET [RANKS] < lengths")?.parse()?;
    let ranks = arguments.next().map_or(Ok(1), |ranks| ranks.parse())?;
    let lengths: Vec<u32> = io::stdin()
        .lock()
        .lines()
        .map(|line| Ok(line?.trim().parse()?))
        .collect::<Result<_, Box<dyn Error>>>()?;
    let packing = Packer::new(budget).ranks(ranks).pack(&lengths)?;
    for (rank, rows) in packing.ranks.iter().zip(packing.bins()) {
        let tokens: u32 = rows.iter().map(|&row| lengths[row as usize]).sum();
        println!("rank {rank}: {tokens} tokens in rows {rows:?}");
    }
    println!("{:.1}% full", 100.0 * packing.fill);
    Ok(())
}
