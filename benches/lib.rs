//! Criterion benchmarks of `p2o-core`; the Python benches beside this file compare with the peers.
