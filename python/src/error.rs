use std::error::Error;

use pyo3::exceptions::PyException;
use pyo3::{PyErr, PyResult, create_exception};

create_exception!(
    adaplace,
    AdaplaceError,
    PyException,
    "An error of the engine. The message says what is wrong and what to do next."
);
create_exception!(
    adaplace,
    DivergedError,
    AdaplaceError,
    "The loss of a training is not finite. This is a failed trial, not a failed study."
);

/// The Python exception for an error of the engine, with all its causes that the message does not already contain.
pub(crate) fn raise(error: &dyn Error) -> PyErr {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        source = cause.source();
    }
    AdaplaceError::new_err(message)
}

pub(crate) trait OrRaise<T> {
    /// The value, or the exception for the error.
    fn or_raise(self) -> PyResult<T>;
}

impl<T, E: Error + 'static> OrRaise<T> for Result<T, E> {
    fn or_raise(self) -> PyResult<T> {
        self.map_err(|error| raise(&error))
    }
}
