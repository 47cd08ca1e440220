//! `cargo bench --package p2o-bench --bench pareto`: the front at the sizes of `bench_evolve.py`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use p2o_core::pareto::ParetoFront;

/// Binary rows from a linear congruential generator; 60% of the instances are solved by nobody, the others by half.
fn rows(candidates: usize, instances: usize) -> Vec<Vec<f64>> {
    let mut state = 1_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let solvable: Vec<bool> = (0..instances).map(|_| next() % 10 >= 6).collect();
    let mut row = || solvable.iter().map(|&open| f64::from(u8::from(open && next() % 2 == 0))).collect();
    (0..candidates).map(|_| row()).collect()
}

fn filled(rows: &[Vec<f64>]) -> ParetoFront {
    let mut front = ParetoFront::new(rows[0].len());
    for row in rows {
        front.insert(row).expect("finite scores of the right length");
    }
    front
}

fn benches(criterion: &mut Criterion) {
    for (candidates, instances) in [(100, 300), (1000, 1000)] {
        let rows = rows(candidates, instances);
        let front = filled(&rows);
        let mut group = criterion.benchmark_group(format!("pareto {candidates} x {instances}"));
        group.sample_size(20);
        group.bench_function("fill", |bencher| bencher.iter(|| filled(black_box(&rows))));
        group.bench_function("select", |bencher| bencher.iter(|| front.select(black_box(1), 16)));
        group.bench_function("cover", |bencher| bencher.iter(|| front.cover(black_box(1.0), 1, None, &[])));
        group.finish();
    }
}

criterion_group!(pareto, benches);
criterion_main!(pareto);
