//! Bindings of `p2o_core::pack`.
#![expect(clippy::needless_pass_by_value, reason = "PyO3 extracts owned array handles")]

use numpy::{IntoPyArray, PyReadonlyArray1};
use p2o_core::pack::{self, PackError, Packer, Packing, Rows};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::InputError;

/// Adds this room's functions and classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(pack_rows, module)?)?;
    module.add_function(wrap_pyfunction!(balance, module)?)?;
    module.add_function(wrap_pyfunction!(fill, module)?)
}

fn input_error(error: &PackError) -> PyErr {
    InputError::new_err(error.to_string())
}

/// (indices, bin offsets, ranks, fill).
type PackedBins<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyAny>, f64);

/// `p2o.pack` without its dataclass: (indices, bin offsets, ranks, fill).
#[pyfunction]
fn pack_rows<'py>(
    py: Python<'py>,
    lengths: PyReadonlyArray1<'py, u32>,
    budget: u32,
    ranks: usize,
    quadratic: f64,
) -> PyResult<PackedBins<'py>> {
    let lengths = lengths.as_slice()?;
    let packer = Packer::new(budget).ranks(ranks).quadratic(quadratic);
    let packing = py.detach(|| packer.pack(lengths)).map_err(|error| input_error(&error))?;
    Ok((
        packing.indices.into_pyarray(py).into_any(),
        packing.bin_offsets.into_pyarray(py).into_any(),
        packing.ranks.into_pyarray(py).into_any(),
        packing.fill,
    ))
}

/// `p2o.balance` after its checks.
#[pyfunction]
fn balance<'py>(
    py: Python<'py>,
    costs: PyReadonlyArray1<'py, f64>,
    parts: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let costs = costs.as_slice()?;
    Ok(py.detach(|| pack::balance(costs, parts)).into_pyarray(py).into_any())
}

/// The arrays of all micro-batches, by name.
#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "one argument for each array that crosses the boundary")]
fn fill<'py>(
    py: Python<'py>,
    indices: PyReadonlyArray1<'py, u32>,
    bin_offsets: PyReadonlyArray1<'py, u32>,
    tokens: PyReadonlyArray1<'py, i64>,
    offsets: PyReadonlyArray1<'py, i64>,
    prompt_lengths: PyReadonlyArray1<'py, i64>,
    advantages: PyReadonlyArray1<'py, f32>,
    trained: PyReadonlyArray1<'py, bool>,
    streams: Vec<(String, PyReadonlyArray1<'py, f32>)>,
) -> PyResult<Bound<'py, PyDict>> {
    let bin_offsets = bin_offsets.as_slice()?.to_vec();
    let packing = Packing {
        indices: indices.as_slice()?.to_vec(),
        ranks: vec![0; bin_offsets.len().saturating_sub(1)],
        bin_offsets,
        fill: 1.0,
    };
    let named: Vec<(&str, &[f32])> = streams
        .iter()
        .map(|(name, values)| Ok((name.as_str(), values.as_slice()?)))
        .collect::<Result<_, numpy::AsSliceError>>()?;
    let rows = Rows {
        tokens: tokens.as_slice()?,
        offsets: offsets.as_slice()?,
        prompt_lengths: prompt_lengths.as_slice()?,
        advantages: advantages.as_slice()?,
        trained: trained.as_slice()?,
        streams: &named,
    };
    let filled = py.detach(|| pack::fill(&packing, &rows)).map_err(|error| input_error(&error))?;

    let arrays = PyDict::new(py);
    arrays.set_item("input_ids", filled.input_ids.into_pyarray(py))?;
    arrays.set_item("position_ids", filled.position_ids.into_pyarray(py))?;
    arrays.set_item("labels", filled.labels.into_pyarray(py))?;
    arrays.set_item("loss_mask", filled.loss_mask.into_pyarray(py))?;
    arrays.set_item("advantages", filled.advantages.into_pyarray(py))?;
    arrays.set_item("sequence_ids", filled.sequence_ids.into_pyarray(py))?;
    arrays.set_item("token_offsets", filled.token_offsets.into_pyarray(py))?;
    arrays.set_item("cu_seqlens", filled.cu_seqlens.into_pyarray(py))?;
    arrays.set_item("cu_seqlens_offsets", filled.cu_seqlens_offsets.into_pyarray(py))?;
    arrays.set_item("max_seqlens", filled.max_seqlens.into_pyarray(py))?;
    arrays.set_item("response_positions", filled.response_positions.into_pyarray(py))?;
    let by_name = PyDict::new(py);
    for ((name, _), values) in named.iter().zip(filled.streams) {
        by_name.set_item(name, values.into_pyarray(py))?;
    }
    arrays.set_item("streams", by_name)?;
    Ok(arrays)
}
