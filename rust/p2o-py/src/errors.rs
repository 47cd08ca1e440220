//! How errors of the core become Python exceptions of `p2o.errors`.

use pyo3::import_exception;

import_exception!(p2o.errors, InputError);
