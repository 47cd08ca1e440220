//! Evolution in miniature: candidates that are good at different instances, pruned, drawn from, and covered.
//!
//! ```text
//! cargo run --example pareto
//! ```

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use p2o_core::pareto::{ParetoError, ParetoFront, Scores};

fn main() -> Result<(), ParetoError> {
    // Successes in four rollouts of each of three problems.
    let candidates = [
        ("plain", [0.0, 0.0, 1.0]),
        ("check the units", [3.0, 0.0, 1.0]),
        ("split into cases", [0.0, 4.0, 0.0]),
        ("check twice", [2.0, 0.0, 1.0]),
    ];
    let mut front = ParetoFront::new(3);
    for (_, successes) in candidates {
        front.insert_with(Scores::Counts { successes: successes.to_vec(), trials: vec![4; 3] }, &[], &[])?;
    }
    for instance in 0..3 {
        let names: Vec<&str> = front.members(instance)?.iter().map(|&id| candidates[id].0).collect();
        println!("best on problem {instance}: {}", names.join(", "));
    }
    let name = |ids: Vec<usize>| ids.iter().map(|&id| candidates[id].0).collect::<Vec<_>>().join(", ");
    println!("redundant: {}", name(front.dominated()));
    println!("parents drawn with seed 1: {}", name(front.select(1, 2)));
    println!("cover of what is solved at least half of the time: {}", name(front.cover(0.5, 1, None, &[])));
    Ok(())
}
