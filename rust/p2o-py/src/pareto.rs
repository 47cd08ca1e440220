//! Bindings of `p2o_core::pareto`.

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use p2o_core::pareto::{FrontSettings, Frontier, ParetoError, ParetoFront, Scores};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::InputError;

/// A row of numbers: a float64 array, or any sequence.
fn row(numbers: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    if let Ok(array) = numbers.extract::<PyReadonlyArray1<'_, f64>>() {
        return Ok(array.as_array().to_vec());
    }
    numbers.extract().map_err(|_| {
        PyTypeError::new_err(
            "scores must be a sequence of numbers or a one-dimensional array, one entry per instance",
        )
    })
}

#[pyclass(name = "ParetoFront", module = "p2o", frozen)]
struct PyParetoFront(Mutex<ParetoFront>);

impl PyParetoFront {
    // A panic while the lock is held leaves a front that every method can still read.
    fn lock(&self) -> MutexGuard<'_, ParetoFront> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn input_error(error: &ParetoError) -> PyErr {
    InputError::new_err(error.to_string())
}

fn frontier_named(name: &str) -> PyResult<Frontier> {
    match name {
        "instance" => Ok(Frontier::Instance),
        "objective" => Ok(Frontier::Objective),
        "hybrid" => Ok(Frontier::Hybrid),
        _ => Err(InputError::new_err(format!(
            "frontier {name:?} is unknown; choose 'instance', 'objective' or 'hybrid'"
        ))),
    }
}

#[pymethods]
impl PyParetoFront {
    #[new]
    #[pyo3(signature = (n_instances, *, n_objectives = 0, frontier = "instance", prior = (0.5, 0.5), tolerance = 0.0))]
    fn new(
        n_instances: usize,
        n_objectives: usize,
        frontier: &str,
        prior: (f64, f64),
        tolerance: f64,
    ) -> PyResult<Self> {
        let frontier = frontier_named(frontier)?;
        let settings = FrontSettings { objectives: n_objectives, frontier, prior, tolerance };
        let front = ParetoFront::with_settings(n_instances, settings).map_err(|error| input_error(&error))?;
        Ok(Self(Mutex::new(front)))
    }

    #[pyo3(signature = (scores, trials = None, *, objectives = Vec::new(), parents = Vec::new()))]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 extracts owned vectors")]
    fn insert(
        &self,
        scores: &Bound<'_, PyAny>,
        trials: Option<Vec<u32>>,
        objectives: Vec<f64>,
        parents: Vec<usize>,
    ) -> PyResult<usize> {
        let scores = match trials {
            Some(trials) => Scores::Counts { successes: row(scores)?, trials },
            None => Scores::Values(row(scores)?),
        };
        self.lock().insert_with(scores, &objectives, &parents).map_err(|error| input_error(&error))
    }

    fn record(&self, candidate: usize, instance: usize, successes: f64, trials: u32) -> PyResult<()> {
        self.lock().record(candidate, instance, successes, trials).map_err(|error| input_error(&error))
    }

    fn members(&self, instance: usize) -> PyResult<Vec<usize>> {
        self.lock().members(instance).map_err(|error| input_error(&error))
    }

    fn score(&self, candidate: usize, instance: usize) -> PyResult<Option<f64>> {
        self.lock().score(candidate, instance).map_err(|error| input_error(&error))
    }

    fn mean(&self, candidate: usize) -> PyResult<f64> {
        self.lock().mean(candidate).map_err(|error| input_error(&error))
    }

    fn best(&self) -> Option<usize> {
        self.lock().best()
    }

    fn parents(&self, candidate: usize) -> PyResult<Vec<usize>> {
        self.lock().parents(candidate).map(<[usize]>::to_vec).map_err(|error| input_error(&error))
    }

    fn ancestors(&self, candidate: usize) -> PyResult<Vec<usize>> {
        self.lock().ancestors(candidate).map_err(|error| input_error(&error))
    }

    fn weights<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        py.detach(|| self.lock().weights()).into_pyarray(py)
    }

    #[pyo3(signature = (seed, k = 1))]
    fn select(&self, py: Python<'_>, seed: i128, k: usize) -> Vec<usize> {
        // Any Python integer will do: its low 64 bits are the seed.
        py.detach(|| self.lock().select(seed as u64, k))
    }

    fn dominated(&self, py: Python<'_>) -> Vec<usize> {
        py.detach(|| self.lock().dominated())
    }

    #[pyo3(signature = (threshold = 1.0, *, min_gain = 1, max_size = None, exclude = Vec::new()))]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 extracts owned vectors")]
    fn cover(
        &self,
        py: Python<'_>,
        threshold: f64,
        min_gain: usize,
        max_size: Option<usize>,
        exclude: Vec<usize>,
    ) -> Vec<usize> {
        py.detach(|| self.lock().cover(threshold, min_gain, max_size, &exclude))
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.lock().to_bytes()))
    }

    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        let front = ParetoFront::from_bytes(data).map_err(|error| input_error(&error))?;
        Ok(Self(Mutex::new(front)))
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }

    #[getter]
    fn n_instances(&self) -> usize {
        self.lock().instances()
    }

    fn __repr__(&self) -> String {
        let front = self.lock();
        format!("ParetoFront({} instances, {} candidates)", front.instances(), front.len())
    }
}

/// Adds this room's functions and classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyParetoFront>()
}
