//! `p2o._core`: every function here converts its arguments, detaches from the interpreter, calls `p2o-core`, and
//! converts the result. Nothing else belongs in this crate.

use pyo3::prelude::*;

mod errors;
mod pack;
mod pareto;
mod runtime;
mod verify;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    verify::register(module)?;
    pareto::register(module)?;
    pack::register(module)?;
    Ok(())
}
