use std::path::PathBuf;

use adaplace_search_space::{SearchSpace as Resolved, SpaceDescription};
use adaplace_study::chain_shape;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::backbone::Backbone;
use crate::convert::to_python;
use crate::error::OrRaise;
use crate::placement::Placement;
use crate::task::Task;

/// The set of allowed placements, resolved for a backbone and a task.
///
/// Args:
///     path: ``"extended"``, ``"parallel"``, ``"sequential"``, ``"long-range"``, ``"recurrent"``, ``"single"``, or a file.
///     backbone: The backbone, which determines hidden states and width.
///     task: The task, which determines the number of tokens of a typical example, for which costs are counted.
///
/// Raises:
///     AdaplaceError: If the file is missing or damaged, or no placement meets its budget.
#[pyclass(frozen, module = "adaplace")]
pub(crate) struct SearchSpace {
    pub(crate) inner: Resolved,
}

#[pymethods]
impl SearchSpace {
    #[new]
    fn new(path: PathBuf, backbone: &Backbone, task: &Task) -> PyResult<Self> {
        let named = path.to_str().and_then(SpaceDescription::named);
        let description = match named {
            Some(description) => description,
            None => SpaceDescription::read(&path).or_raise()?,
        };
        let shape = chain_shape(&backbone.inner, &task.inner);
        let resolved = Resolved::resolve(&description, &shape);
        let inner = resolved.map_err(|error| error.in_file(&path)).or_raise()?;
        Ok(Self { inner })
    }

    /// The space described by a text in TOML.
    #[staticmethod]
    fn from_toml(text: &str, backbone: &Backbone, task: &Task) -> PyResult<Self> {
        let description = SpaceDescription::from_toml(text).or_raise()?;
        let shape = chain_shape(&backbone.inner, &task.inner);
        let inner = Resolved::resolve(&description, &shape).or_raise()?;
        Ok(Self { inner })
    }

    /// All pairs (source, target) that may carry an adapter.
    #[getter]
    fn connections(&self) -> Vec<(u16, u16)> {
        let pairs = self.inner.connections().iter();
        pairs.map(|pair| (pair.source, pair.target)).collect()
    }

    /// The adapters that a connection may carry: their ``rank``, their ``scale`` and their number of trained
    /// ``parameters``.
    #[getter]
    fn adapters<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let width = self.inner.shape().width;
        let adapters = self.inner.adapters().iter();
        adapters
            .map(|adapter| {
                let entry = PyDict::new(py);
                entry.set_item("rank", adapter.rank)?;
                entry.set_item("scale", adapter.scale)?;
                entry.set_item("parameters", adapter.parameters(width))?;
                Ok(entry)
            })
            .collect()
    }

    /// The limits of a placement, all inclusive: at most ``adapters`` and at least ``min_adapters`` of them, at most so
    /// many ``parameters`` and ``extra_flops``, where None is no limit.
    #[getter]
    fn budget<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let budget = self.inner.budget();
        let limits = PyDict::new(py);
        limits.set_item("adapters", budget.adapters)?;
        limits.set_item("min_adapters", budget.min_adapters)?;
        limits.set_item("parameters", budget.parameters)?;
        limits.set_item("extra_flops", budget.extra_flops)?;
        Ok(limits)
    }

    /// The number of placements in the space, a float because there can be very many.
    #[getter]
    fn size(&self) -> f64 {
        self.inner.approximate_count()
    }

    /// A placement drawn uniformly, within the budget.
    #[pyo3(signature = (seed = 0))]
    fn sample(&self, seed: u64) -> Placement {
        Placement {
            inner: self.inner.sample(&mut ChaCha8Rng::seed_from_u64(seed)),
        }
    }

    fn __contains__(&self, placement: &Placement) -> bool {
        self.inner.contains(&placement.inner)
    }

    /// The cost of a placement: its ``adapters``, its ``parameters``, and its ``extra_flops`` per example as a share of
    /// the frozen forward pass.
    fn cost<'py>(&self, py: Python<'py>, placement: &Placement) -> PyResult<Bound<'py, PyAny>> {
        placement.check_range(self.inner.shape().hidden_states)?;
        to_python(py, &self.inner.cost(&placement.inner))
    }

    fn __repr__(&self) -> String {
        format!(
            "<SearchSpace: {} connections, about {:e} placements>",
            self.inner.connections().len(),
            self.inner.approximate_count()
        )
    }
}
