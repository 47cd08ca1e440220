//! Packing of ragged rows into micro-batches.
