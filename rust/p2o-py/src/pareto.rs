//! Bindings of `p2o_core::pareto`.

use pyo3::prelude::*;

/// Adds this room's functions and classes to the module.
pub(crate) fn register(_module: &Bound<'_, PyModule>) -> PyResult<()> {
    Ok(())
}
