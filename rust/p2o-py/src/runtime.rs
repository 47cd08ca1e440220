//! The thread pool of the extension.
//!
//! rayon's global pool dies silently in a forked child (its threads do not survive `fork`, jobs queue for ever), and
//! vLLM forks its workers. So the extension owns a pool keyed by process id: a child builds its own and leaks the
//! parent's, because dropping it would join threads that no longer exist.

use std::sync::{Arc, Mutex, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::InputError;

struct Owned {
    process: u32,
    threads: usize,
    pool: Arc<ThreadPool>,
}

static POOL: Mutex<Option<Owned>> = Mutex::new(None);

/// Number of threads when the caller names none: `P2O_NUM_THREADS`, else one per available core.
fn default_threads() -> PyResult<usize> {
    let Some(text) = std::env::var_os("P2O_NUM_THREADS").filter(|text| !text.is_empty()) else {
        return Ok(std::thread::available_parallelism().map_or(1, usize::from));
    };
    let threads = text.to_str().and_then(|text| text.parse().ok()).filter(|&threads| threads > 0);
    threads.ok_or_else(|| {
        InputError::new_err(format!(
            "P2O_NUM_THREADS = {}: write a whole number from 1 on, or unset it",
            text.display()
        ))
    })
}

/// The pool of this process with `threads` threads, built on first use and after a fork.
pub(crate) fn pool(threads: Option<usize>) -> PyResult<Arc<ThreadPool>> {
    let threads = threads.filter(|&count| count > 0).map_or_else(default_threads, Ok)?;
    let process = std::process::id();
    let mut slot = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(owned) = slot.as_ref()
        && owned.process == process
        && owned.threads == threads
    {
        return Ok(Arc::clone(&owned.pool));
    }
    let pool = ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("p2o-{index}"))
        .build()
        .map_err(|error| PyRuntimeError::new_err(format!("cannot start {threads} threads: {error}")))?;
    let pool = Arc::new(pool);
    let replaced = slot.replace(Owned { process, threads, pool: Arc::clone(&pool) });
    if let Some(owned) = replaced
        && owned.process != process
    {
        std::mem::forget(owned);
    }
    Ok(pool)
}
