//! `cargo bench --package p2o-bench --bench pack`: the packer without Python around it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use p2o_core::pack::{Packer, Rows, balance, fill};

const BUDGET: u32 = 32_768;

/// Lengths from 1 to 16,384 with a long tail, the same on every machine.
fn lengths(rows: u32) -> Vec<u32> {
    (0..rows)
        .map(|row| {
            // A full-period generator modulo 2^32, and the product of two uniform draws for the tail.
            let draw = |seed: u32| {
                f64::from(seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223) >> 8) / 2f64.powi(24)
            };
            1 + (16_383.0 * draw(row.wrapping_mul(2_654_435_761)) * draw(row.wrapping_mul(40_503) ^ 0x4d))
                as u32
        })
        .collect()
}

fn bench(criterion: &mut Criterion) {
    for rows in [1_000, 10_000, 100_000] {
        let lengths = lengths(rows);
        let costs: Vec<f64> = lengths.iter().copied().map(f64::from).collect();
        let mut group = criterion.benchmark_group("pack");
        group.throughput(Throughput::Elements(u64::from(rows)));
        group.bench_function(BenchmarkId::new("pack", rows), |bencher| {
            bencher.iter(|| Packer::new(BUDGET).pack(black_box(&lengths)));
        });
        group.bench_function(BenchmarkId::new("pack 8 ranks", rows), |bencher| {
            bencher.iter(|| Packer::new(BUDGET).ranks(8).quadratic(1e-4).pack(black_box(&lengths)));
        });
        group.bench_function(BenchmarkId::new("balance 8", rows), |bencher| {
            bencher.iter(|| balance(black_box(&costs), 8));
        });
        group.finish();
    }
    let lengths = lengths(1_000);
    let packing = Packer::new(BUDGET).pack(&lengths).expect("every row fits");
    let mut offsets = vec![0i64];
    offsets.extend(lengths.iter().scan(0, |end, &length| {
        *end += i64::from(length);
        Some(*end)
    }));
    let total = offsets[lengths.len()];
    let tokens = vec![7; usize::try_from(total).expect("not negative")];
    let stream = vec![-1.0; tokens.len() - lengths.len()];
    let (prompts, advantages, trained) = (vec![1; 1_000], vec![0.5; 1_000], vec![true; 1_000]);
    let streams = [("old_logp", &stream[..])];
    let rows = Rows {
        tokens: &tokens,
        offsets: &offsets,
        prompt_lengths: &prompts,
        advantages: &advantages,
        trained: &trained,
        streams: &streams,
    };
    let mut group = criterion.benchmark_group("fill");
    group.throughput(Throughput::Elements(total.unsigned_abs()));
    group.bench_function("1000 rows", |bencher| bencher.iter(|| fill(black_box(&packing), &rows)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
