use std::collections::BTreeMap;
use std::path::PathBuf;

use adaplace_scorer::{Metadata, Parameters};
use adaplace_task::{ProblemKind, Scale};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::error::OrRaise;
use crate::placement::Placement;

/// Trained adapters and their head, as ``adapters.safetensors`` holds them.
#[pyclass(frozen, module = "adaplace._adaplace")]
pub(crate) struct AdapterFile {
    path: PathBuf,
    parameters: Parameters,
    metadata: Metadata,
}

type Tensor<'py> = (String, Vec<usize>, Bound<'py, PyBytes>);

#[pymethods]
impl AdapterFile {
    /// Reads the file of a placement's adapters at this width, with or without a head.
    ///
    /// Raises:
    ///     AdaplaceError: If the file is damaged, has other tensors than the placement, or a value that is not finite.
    #[staticmethod]
    fn read(py: Python<'_>, path: PathBuf, placement: &Placement, width: usize) -> PyResult<Self> {
        py.detach(|| {
            let (parameters, metadata) =
                Parameters::read(&placement.inner, width, &path).or_raise()?;
            Ok(Self {
                path,
                parameters,
                metadata,
            })
        })
    }

    /// Writes the adapters of a placement, completely or not at all. ``tensors`` maps their names, and those of the head
    /// if there is one, to their values: f32, little-endian, in row-major order.
    ///
    /// Raises:
    ///     AdaplaceError: If a value is not finite, or the file cannot be written.
    ///     ValueError: If a tensor is missing, has another size, or does not belong to the placement.
    #[staticmethod]
    #[pyo3(signature = (
        path, placement, width, tensors, *, weights_sha256, classes = None, max_length = None, problem = None, scale = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword in Python")]
    fn write(
        path: PathBuf,
        placement: &Placement,
        width: usize,
        mut tensors: BTreeMap<String, PyBackedBytes>,
        weights_sha256: String,
        classes: Option<Vec<String>>,
        max_length: Option<usize>,
        problem: Option<&str>,
        scale: Option<(f64, f64)>,
    ) -> PyResult<()> {
        let rows = tensors.get("head.bias").map_or(0, |bias| bias.len() / 4);
        let parameters = Parameters::from_tensors(&placement.inner, width, rows, |name, shape| {
            let bytes = tensors.remove(name);
            let (values, rest) = bytes.as_deref().unwrap_or_default().as_chunks::<4>();
            if values.len() != shape.iter().product::<usize>() || !rest.is_empty() {
                let message = format!("tensor `{name}` is not f32 of shape {shape:?}");
                return Err(PyValueError::new_err(message));
            }
            let values = values.iter().map(|&value| f32::from_le_bytes(value));
            Ok(values.collect())
        })?;
        if let Some(name) = tensors.keys().next() {
            let message = format!("the placement has no tensor `{name}`");
            return Err(PyValueError::new_err(message));
        }
        let metadata = Metadata {
            placement: Some(placement.inner.hash()),
            weights_sha256: Some(weights_sha256),
            classes,
            problem: problem.map(|name| name.parse().or_raise()).transpose()?,
            scale: scale.map(|(mean, deviation)| Scale { mean, deviation }),
            max_length,
        };
        parameters.write(&metadata, &path).or_raise()
    }

    /// Checks that the adapters were trained for this placement and these weights, as far as the header tells.
    ///
    /// Raises:
    ///     AdaplaceError: If they were not.
    fn check_origin(&self, placement: &Placement, weights_sha256: &str) -> PyResult<()> {
        let hash = placement.inner.hash();
        let checked = self.metadata.check_origin(hash, weights_sha256, &self.path);
        checked.or_raise()
    }

    /// The name, shape and values of each tensor: f32, little-endian, in row-major order.
    #[getter]
    fn tensors<'py>(&self, py: Python<'py>) -> Vec<Tensor<'py>> {
        let tensors = self.parameters.tensors().into_iter();
        tensors
            .map(|tensor| {
                let values = tensor.values.iter();
                let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
                (tensor.name, tensor.shape, PyBytes::new(py, &bytes))
            })
            .collect()
    }

    /// The number of rows of the head, 0 without one.
    #[getter]
    fn num_classes(&self) -> usize {
        self.parameters.classes()
    }

    /// The names of the head's rows, if the header has them.
    #[getter]
    fn classes(&self) -> Option<Vec<String>> {
        self.metadata.classes.clone()
    }

    /// The kind of problem that the head is for: ``classification``, ``regression``, ``multi-label``,
    /// ``token-classification`` or ``language-modelling``.
    #[getter]
    fn problem(&self) -> &'static str {
        let problem = self.metadata.problem;
        problem.unwrap_or(ProblemKind::Classification).name()
    }

    /// The mean and the standard deviation of the training labels of a regression, by which the head's output has to be
    /// multiplied and moved; None for others.
    #[getter]
    fn scale(&self) -> Option<(f64, f64)> {
        let scale = self.metadata.scale?;
        Some((scale.mean, scale.deviation))
    }

    /// The number of tokens to which texts were cut, if the header has it.
    #[getter]
    fn max_length(&self) -> Option<usize> {
        self.metadata.max_length
    }
}
