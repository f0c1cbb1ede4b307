use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use adaplace_scorer::{GradientMapSettings, Statistic, Statistics, TrainingSettings};
use adaplace_search_space::{Connection, Count, Fidelity, Seed};
use adaplace_study::{
    GradientMapFile, GradientMapSource, MapConnections, PreparationSettings, Prepared,
};
use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;

use crate::backbone::Backbone;
use crate::convert::{checked, named, to_python};
use crate::error::OrRaise;
use crate::interrupt::interruptible;
use crate::task::Task;

/// Statistics of the gradient matrix of every connection, taken at the linear probe of the frozen model.
///
/// ``map["rank"]`` is a square table of floats: rows are sources, columns targets.
#[pyclass(frozen, module = "adaplace")]
pub(crate) struct GradientMap {
    pub(crate) inner: GradientMapFile,
}

#[pymethods]
impl GradientMap {
    /// Fits the probe and computes the gradient on at most ``examples`` training examples.
    ///
    /// The map contains all statistics of singular values, and those cross-fitted ones (``alignment``,
    /// ``validation-alignment``, ``agreement``) that ``statistics`` names. By default it names ``rank`` alone.
    #[staticmethod]
    #[pyo3(signature = (backbone, task, *, statistics = None, examples = 512, batch_size = 32, seed = 0))]
    fn compute(
        py: Python<'_>,
        backbone: &Backbone,
        task: &Task,
        statistics: Option<Vec<String>>,
        examples: usize,
        batch_size: usize,
        seed: u64,
    ) -> PyResult<Self> {
        let statistics = statistics.unwrap_or_else(|| vec!["rank".to_owned()]);
        let statistics = statistics.iter().map(|name| named("statistics", name));
        let statistics = Statistics::new(statistics.collect::<PyResult<_>>()?).or_raise()?;
        let examples = checked("examples", Count::new(examples))?;
        let batch_size = checked("batch_size", Count::new(batch_size))?;
        let states = backbone.inner.description().hidden_states as u16;
        let settings = PreparationSettings {
            training: TrainingSettings {
                batch_size,
                ..TrainingSettings::default()
            },
            gradient_map: GradientMapSource {
                examples,
                connections: MapConnections::All,
                settings: GradientMapSettings {
                    batch_size,
                    ..GradientMapSettings::default()
                },
            },
            connections: Connection::all(states),
            statistics,
            steps: Fidelity::of(1),
            seed: checked("seed", Seed::new(seed))?,
        };
        let made = interruptible(py, &AtomicBool::new(false), || {
            Prepared::new(
                &backbone.inner,
                &task.inner,
                settings,
                backbone.resources(None),
            )
            .map(|prepared| prepared.map_file)
            .or_raise()
        });
        Ok(Self { inner: made?? })
    }

    /// Reads the map in a file, such as ``gradient-map.json`` of a study.
    #[staticmethod]
    fn read(path: PathBuf) -> PyResult<Self> {
        let inner = GradientMapFile::read(&path).or_raise()?;
        Ok(Self { inner })
    }

    /// Writes the map to a file.
    fn write(&self, path: PathBuf) -> PyResult<()> {
        self.inner.write(&path).or_raise()
    }

    /// The number of hidden states, and so of rows and columns.
    #[getter]
    fn hidden_states(&self) -> u16 {
        self.inner.backbone.hidden_states
    }

    /// The number of training examples on which the gradient was computed.
    #[getter]
    fn examples(&self) -> usize {
        self.inner.examples
    }

    /// The name of the task.
    #[getter]
    fn task(&self) -> &str {
        &self.inner.task
    }

    /// The linear probe: its ``l2``, and ``train`` and ``validation`` with ``loss`` and ``accuracy``.
    #[getter]
    fn probe<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.inner.probe)
    }

    /// The statistics in the map.
    #[getter]
    fn statistics<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let names: Vec<&Statistic> = self.inner.statistics.keys().collect();
        to_python(py, &names)
    }

    /// One statistic of every connection, where rows are sources and columns targets. It is ``nan`` for connections that
    /// are not in the map.
    fn __getitem__(&self, statistic: &str) -> PyResult<Vec<Vec<f64>>> {
        let statistic: Statistic = named("statistic", statistic)?;
        let tables: &BTreeMap<_, _> = &self.inner.statistics;
        let table = tables.get(&statistic).ok_or_else(|| {
            PyKeyError::new_err(format!(
                "the map was computed without the {statistic}; name it in `statistics`"
            ))
        })?;
        let numbers =
            |row: &[Option<f64>]| row.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
        Ok(table.rows().map(numbers).collect())
    }

    fn __repr__(&self) -> String {
        let states = self.inner.backbone.hidden_states;
        format!(
            "<GradientMap of `{}`: {states} x {states} connections, {} examples>",
            self.inner.task, self.inner.examples
        )
    }
}
