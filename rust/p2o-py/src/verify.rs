//! Bindings of `p2o_core::verify`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use numpy::{IntoPyArray, PyArray1};
use p2o_core::verify::{self as core, Gold, Licence, Licences, Options, Profile, Sources, Verdict};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyList, PyString};
use rayon::ThreadPool;

use crate::errors::InputError;
use crate::runtime::pool;

/// Time between two looks for a pending Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(50);

/// The options of a verification, checked once and used for many calls.
#[pyclass(frozen, module = "p2o._core")]
struct VerifyOptions {
    options: Options,
    /// The gold of the last single call: reward functions come with one gold for a group of completions.
    last_gold: Mutex<Option<(String, std::sync::Arc<Gold>)>>,
}

#[pymethods]
impl VerifyOptions {
    #[new]
    #[pyo3(signature = (profile, allow, deny, float_rounding, sources, require_boxed, deadline_ms))]
    fn new(
        profile: &str,
        allow: &Bound<'_, PyList>,
        deny: &Bound<'_, PyList>,
        float_rounding: u32,
        sources: &Bound<'_, PyList>,
        require_boxed: bool,
        deadline_ms: Option<f64>,
    ) -> PyResult<Self> {
        let profile = match profile {
            "default" => Profile::Default,
            "math-verify" => Profile::MathVerify,
            "strict" => Profile::Strict,
            other => {
                return Err(InputError::new_err(format!(
                    "unknown profile '{other}': use 'default', 'math-verify' or 'strict'"
                )));
            }
        };
        let sources = sources_from(&texts(sources, "extraction")?)?;
        let deadline = match deadline_ms {
            None => None,
            Some(limit) => Some(Duration::try_from_secs_f64(limit / 1000.0).map_err(|_| {
                InputError::new_err(format!(
                    "deadline_ms is {limit}: it must be a number of milliseconds, or None"
                ))
            })?),
        };
        let options = Options {
            profile,
            allow: licences_from(&texts(allow, "allow")?)?,
            deny: licences_from(&texts(deny, "deny")?)?,
            float_rounding,
            sources,
            require_boxed,
            deadline,
        };
        Ok(Self { options, last_gold: Mutex::new(None) })
    }
}

impl VerifyOptions {
    fn gold(&self, gold: &str) -> std::sync::Arc<Gold> {
        let mut slot = self.last_gold.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((text, parsed)) = slot.as_ref()
            && text == gold
        {
            return std::sync::Arc::clone(parsed);
        }
        let parsed = std::sync::Arc::new(Gold::read(gold, &self.options));
        *slot = Some((gold.to_string(), std::sync::Arc::clone(&parsed)));
        parsed
    }
}

fn licences_from(names: &[PyBackedStr]) -> PyResult<Licences> {
    let licence = |name: &PyBackedStr| name.parse::<Licence>();
    names
        .iter()
        .map(licence)
        .collect::<Result<_, _>>()
        .map_err(|error| InputError::new_err(error.to_string()))
}

fn sources_from(names: &[PyBackedStr]) -> PyResult<Sources> {
    let mut sources = Sources { latex: false, expressions: false, letters: false };
    for name in names {
        match &**name {
            "latex" => sources.latex = true,
            "expr" => sources.expressions = true,
            "string" => sources.letters = true,
            other => {
                return Err(InputError::new_err(format!(
                    "unknown extraction '{other}': use 'latex', 'expr' or 'string'"
                )));
            }
        }
    }
    Ok(sources)
}

/// Status, extracted answer, tier, licences.
type Details = (&'static str, Option<String>, Option<&'static str>, Vec<&'static str>);

fn details(verdict: Verdict) -> Details {
    let licences = verdict.licences.iter().map(Licence::name).collect();
    (verdict.status.name(), verdict.extracted, verdict.tier.map(core::Tier::name), licences)
}

/// Name, meaning, gold and answer of its example, and whether it is allowed in `default`, `strict` and `math-verify`.
type Row = (&'static str, &'static str, &'static str, &'static str, [bool; 3]);

#[pyfunction]
fn licences() -> Vec<Row> {
    let profiles = [Profile::Default, Profile::Strict, Profile::MathVerify];
    let row = |rule: &core::Rule| {
        let (gold, answer) = rule.example;
        let allowed = profiles.map(|profile| Licences::of(profile).contains(rule.licence));
        (rule.licence.name(), rule.meaning, gold, answer, allowed)
    };
    core::RULES.iter().map(row).collect()
}

/// Text as UTF-8, without a copy; lone surrogates, which Python allows, become replacement characters.
fn text(value: &Bound<'_, PyString>) -> PyResult<PyBackedStr> {
    PyBackedStr::try_from(value.clone())
        .or_else(|_| PyBackedStr::try_from(PyString::new(value.py(), &value.to_string_lossy())))
}

fn texts(values: &Bound<'_, PyList>, name: &str) -> PyResult<Vec<PyBackedStr>> {
    values
        .iter()
        .enumerate()
        .map(|(index, value)| {
            if let Ok(value) = value.cast::<PyString>() {
                return text(value);
            }
            let kind = value.get_type().name()?.to_string();
            Err(InputError::new_err(format!("{name}[{index}] is of type {kind}: it must be a string")))
        })
        .collect()
}

#[pyfunction]
fn verify(
    py: Python<'_>,
    completion: &Bound<'_, PyString>,
    gold: &Bound<'_, PyString>,
    options: &VerifyOptions,
) -> PyResult<Details> {
    let (completion, gold) = (text(completion)?, text(gold)?);
    Ok(details(py.detach(|| options.gold(&gold).verify(&completion, &options.options))))
}

#[pyfunction]
fn equivalent(
    py: Python<'_>,
    gold: &Bound<'_, PyString>,
    answer: &Bound<'_, PyString>,
    options: &VerifyOptions,
) -> PyResult<bool> {
    let (gold, answer) = (text(gold)?, text(answer)?);
    Ok(py.detach(|| core::equivalent(&gold, &answer, &options.options)))
}

#[pyfunction]
fn gold_parses(py: Python<'_>, gold: &Bound<'_, PyString>, options: &VerifyOptions) -> PyResult<bool> {
    let gold = text(gold)?;
    Ok(py.detach(|| Gold::parse(&gold, &options.options).is_ok()))
}

fn batch(
    py: Python<'_>,
    completions: &Bound<'_, PyList>,
    golds: &Bound<'_, PyList>,
    options: &VerifyOptions,
    threads: Option<usize>,
) -> PyResult<Vec<Verdict>> {
    let (completions, golds) = (texts(completions, "completions")?, texts(golds, "golds")?);
    if completions.len() != golds.len() {
        return Err(InputError::new_err(format!(
            "{} completions but {} golds: give one gold per completion",
            completions.len(),
            golds.len()
        )));
    }
    // A handful of verifications takes less time than waking a pool.
    if completions.len() < 8 {
        return Ok(py.detach(|| core::verify_each(&completions, &golds, &options.options)));
    }
    let pool = pool(threads)?;
    py.detach(|| {
        in_pool(&pool, |stop| core::verify_batch_until(&completions, &golds, &options.options, stop))
    })
}

/// Runs `work` in the pool; a Ctrl-C sets its flag, at which it ends without a result.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method does not have the lifetimes it takes"
)]
fn in_pool<T: Send>(pool: &ThreadPool, work: impl FnOnce(&AtomicBool) -> Option<T> + Send) -> PyResult<T> {
    let stop = AtomicBool::new(false);
    let (sender, receiver) = mpsc::channel();
    pool.in_place_scope(|scope| {
        let stop = &stop;
        scope.spawn(move |_| {
            let _ = sender.send(work(stop));
        });
        loop {
            match receiver.recv_timeout(PATIENCE) {
                Ok(Some(result)) => return Ok(result),
                Err(mpsc::RecvTimeoutError::Timeout) => Python::attach(|py| py.check_signals())
                    .inspect_err(|_| stop.store(true, Ordering::Relaxed))?,
                // Only a panic gets here, and the scope passes that on.
                Ok(None) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(PyRuntimeError::new_err("the verification ended without a result"));
                }
            }
        }
    })
}

#[pyfunction]
fn verify_batch<'py>(
    py: Python<'py>,
    completions: &Bound<'py, PyList>,
    golds: &Bound<'py, PyList>,
    options: &VerifyOptions,
    threads: Option<usize>,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let verdicts = batch(py, completions, golds, options, threads)?;
    let rewards: Vec<f32> =
        verdicts.iter().map(|verdict| f32::from(u8::from(verdict.is_correct()))).collect();
    Ok(rewards.into_pyarray(py))
}

#[pyfunction]
fn verify_batch_details(
    py: Python<'_>,
    completions: &Bound<'_, PyList>,
    golds: &Bound<'_, PyList>,
    options: &VerifyOptions,
    threads: Option<usize>,
) -> PyResult<Vec<Details>> {
    Ok(batch(py, completions, golds, options, threads)?.into_iter().map(details).collect())
}

/// Adds this module's functions and classes to the module.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<VerifyOptions>()?;
    module.add_function(wrap_pyfunction!(verify, module)?)?;
    module.add_function(wrap_pyfunction!(equivalent, module)?)?;
    module.add_function(wrap_pyfunction!(gold_parses, module)?)?;
    module.add_function(wrap_pyfunction!(licences, module)?)?;
    module.add_function(wrap_pyfunction!(verify_batch, module)?)?;
    module.add_function(wrap_pyfunction!(verify_batch_details, module)?)?;
    Ok(())
}
