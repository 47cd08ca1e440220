//! Per-instance Pareto fronts over candidates.
