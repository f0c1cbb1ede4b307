//! Converts values between Rust and Python as JSON.

use adaplace_search_space::OutOfRange;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Converts to dictionaries, lists, numbers and strings, like `json.loads`.
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    value: &impl Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let text =
        serde_json::to_string(value).map_err(|error| PyValueError::new_err(error.to_string()))?;
    py.import("json")?.call_method1("loads", (text,))
}

/// The value of an enum with this name.
pub(crate) fn named<T: DeserializeOwned>(what: &str, name: &str) -> PyResult<T> {
    serde_json::from_value(name.into())
        .map_err(|error| PyValueError::new_err(format!("`{what}`: {error}")))
}

/// A number within its range, or an error that names the argument.
pub(crate) fn checked<T>(what: &str, number: Result<T, OutOfRange>) -> PyResult<T> {
    number.map_err(|error| PyValueError::new_err(format!("`{what}`: {error}")))
}
