//! Converts values between Rust and Python as JSON.

use adaplace_search_space::OutOfRange;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyString};
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

/// Converts dictionaries, lists, numbers and strings, like `json.dumps`. Anything else becomes its text.
pub(crate) fn from_python<T: DeserializeOwned>(value: &Bound<'_, PyAny>) -> PyResult<T> {
    let json = value.py().import("json")?;
    let keywords = [("default", value.py().get_type::<PyString>())].into_py_dict(value.py())?;
    let text: String = json
        .call_method("dumps", (value,), Some(&keywords))?
        .extract()?;
    serde_json::from_str(&text).map_err(|error| PyValueError::new_err(error.to_string()))
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
