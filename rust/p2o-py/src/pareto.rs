//! Bindings of `p2o_core::pareto`.
#![expect(clippy::doc_markdown, reason = "the comments of methods are Python docstrings")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use numpy::{IntoPyArray, PyArray1, PyReadonlyArray1};
use p2o_core::pareto::{FrontSettings, Frontier, ParetoError, ParetoFront, Scores};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyInt};

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

/// A count or an id: one that is negative or too large is a mistake to be named, not an overflow.
#[derive(Clone, Copy)]
struct Natural(usize);

impl<'py> FromPyObject<'_, 'py> for Natural {
    type Error = PyErr;

    fn extract(number: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(value) = number.extract::<usize>() {
            return Ok(Self(value));
        }
        let value = number.to_owned().cast_into::<PyInt>()?; // a TypeError of what is no integer
        Err(InputError::new_err(if value.lt(0)? {
            format!("{value} is negative: ids and counts are 0 or more")
        } else {
            format!("{value} is too large for an id or a count")
        }))
    }
}

impl Natural {
    /// A number of trials.
    fn trials(self) -> PyResult<u32> {
        u32::try_from(self.0)
            .map_err(|_| InputError::new_err(format!("{} is too large: trials are below 2^32", self.0)))
    }
}

/// Per-instance Pareto fronts over candidates; ids are consecutive from 0.
///
/// Scores are finite numbers, or successes with trials (compared by their Beta posterior mean under `prior`; a
/// candidate without a success is not on the instance's front). Ties within `tolerance` share a front. Which
/// columns form fronts is `frontier`: `instance`, `objective` or `hybrid`.
///
/// Raises:
///     InputError: if a setting is out of range. Every method raises it for an unknown id or instance.
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
    #[pyo3(
        signature = (n_instances, *, n_objectives = Natural(0), frontier = "instance", prior = (0.5, 0.5), tolerance = 0.0),
        text_signature = "(n_instances, *, n_objectives=0, frontier='instance', prior=(0.5, 0.5), tolerance=0.0)"
    )]
    fn new(
        n_instances: Natural,
        n_objectives: Natural,
        frontier: &str,
        prior: (f64, f64),
        tolerance: f64,
    ) -> PyResult<Self> {
        let frontier = frontier_named(frontier)?;
        let settings = FrontSettings { objectives: n_objectives.0, frontier, prior, tolerance };
        let front =
            ParetoFront::with_settings(n_instances.0, settings).map_err(|error| input_error(&error))?;
        Ok(Self(Mutex::new(front)))
    }

    /// Adds a candidate and returns its id.
    ///
    /// Args:
    ///     scores: n_instances values, or with `trials` the successes (fractions allowed).
    ///     trials: n_instances counts; 0 where the candidate was not evaluated.
    ///     objectives: n_objectives values.
    ///     parents: ids of the candidates it was made from.
    ///
    /// Raises:
    ///     InputError: for a wrong length, NaN or infinity, more successes than trials, an unknown parent, or
    ///         counts in a front of values; the front is unchanged.
    #[pyo3(
        signature = (scores, trials = None, *, objectives = Vec::new(), parents = Vec::new()),
        text_signature = "($self, scores, trials=None, *, objectives=(), parents=())"
    )]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 extracts owned vectors")]
    fn insert(
        &self,
        scores: &Bound<'_, PyAny>,
        trials: Option<Vec<Natural>>,
        objectives: Vec<f64>,
        parents: Vec<Natural>,
    ) -> PyResult<usize> {
        let scores = match trials {
            Some(trials) => {
                let trials = trials.into_iter().map(Natural::trials).collect::<PyResult<_>>()?;
                Scores::Counts { successes: row(scores)?, trials }
            }
            None => Scores::Values(row(scores)?),
        };
        let parents: Vec<usize> = parents.iter().map(|parent| parent.0).collect();
        self.lock().insert_with(scores, &objectives, &parents).map_err(|error| input_error(&error))
    }

    /// Adds trials of a candidate on one instance, in a front of counts.
    fn record(&self, candidate: Natural, instance: Natural, successes: f64, trials: Natural) -> PyResult<()> {
        let trials = trials.trials()?;
        self.lock().record(candidate.0, instance.0, successes, trials).map_err(|error| input_error(&error))
    }

    /// The candidates on an instance's front, ascending.
    fn members(&self, instance: Natural) -> PyResult<Vec<usize>> {
        self.lock().members(instance.0).map_err(|error| input_error(&error))
    }

    /// The value or posterior mean of a candidate on an instance; None without a trial.
    fn score(&self, candidate: Natural, instance: Natural) -> PyResult<Option<f64>> {
        self.lock().score(candidate.0, instance.0).map_err(|error| input_error(&error))
    }

    /// The mean score over the instances; for counts, all successes by all trials.
    fn mean(&self, candidate: Natural) -> PyResult<f64> {
        self.lock().mean(candidate.0).map_err(|error| input_error(&error))
    }

    /// The candidate with the highest mean, the earliest among equals.
    fn best(&self) -> Option<usize> {
        self.lock().best()
    }

    /// The parents a candidate was inserted with.
    fn parents(&self, candidate: Natural) -> PyResult<Vec<usize>> {
        self.lock().parents(candidate.0).map(<[usize]>::to_vec).map_err(|error| input_error(&error))
    }

    /// All ancestors of a candidate, ascending.
    fn ancestors(&self, candidate: Natural) -> PyResult<Vec<usize>> {
        self.lock().ancestors(candidate.0).map_err(|error| input_error(&error))
    }

    /// For each candidate, on how many fronts that carry a signal it stands; 0 for dominated ones.
    fn weights<'py>(&self, py: Python<'py>) -> Bound<'py, PyArray1<u32>> {
        py.detach(|| self.lock().weights()).into_pyarray(py)
    }

    /// Up to k different candidates, drawn in proportion to `weights`; same seed, same answer everywhere.
    ///
    /// When no front carries a signal, all survivors weigh the same.
    #[pyo3(signature = (seed, k = Natural(1)), text_signature = "($self, seed, k=1)")]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 extracts owned handles")]
    fn select(&self, py: Python<'_>, seed: Bound<'_, PyInt>, k: Natural) -> PyResult<Vec<usize>> {
        // Any Python integer will do: its low 64 bits are the seed.
        let seed: u64 = seed.bitand(u64::MAX)?.extract()?;
        Ok(py.detach(|| self.lock().select(seed, k.0)))
    }

    /// The candidates that the others make redundant, ascending.
    fn dominated(&self, py: Python<'_>) -> Vec<usize> {
        py.detach(|| self.lock().dominated())
    }

    /// Greedy set cover of the solved instances (score >= threshold), most newly solved first.
    #[pyo3(
        signature = (threshold = 1.0, *, min_gain = Natural(1), max_size = None, exclude = Vec::new()),
        text_signature = "($self, threshold=1.0, *, min_gain=1, max_size=None, exclude=())"
    )]
    #[expect(clippy::needless_pass_by_value, reason = "PyO3 extracts owned vectors")]
    fn cover(
        &self,
        py: Python<'_>,
        threshold: f64,
        min_gain: Natural,
        max_size: Option<Natural>,
        exclude: Vec<Natural>,
    ) -> PyResult<Vec<usize>> {
        let exclude: Vec<usize> = exclude.iter().map(|candidate| candidate.0).collect();
        let front = self.lock();
        for &candidate in &exclude {
            front.mean(candidate).map_err(|error| input_error(&error))?;
        }
        drop(front);
        Ok(py.detach(|| self.lock().cover(threshold, min_gain.0, max_size.map(|size| size.0), &exclude)))
    }

    /// A compact serialised form, the same on every platform.
    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &py.detach(|| self.lock().to_bytes()))
    }

    /// Reads what `to_bytes` wrote.
    ///
    /// Raises:
    ///     InputError: if the bytes are cut off, altered, or of another version.
    #[staticmethod]
    fn from_bytes(data: &[u8]) -> PyResult<Self> {
        let front = ParetoFront::from_bytes(data).map_err(|error| input_error(&error))?;
        Ok(Self(Mutex::new(front)))
    }

    fn __len__(&self) -> usize {
        self.lock().len()
    }

    /// Number of instances.
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
