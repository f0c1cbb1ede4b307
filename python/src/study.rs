use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use adaplace_backbone::{Backbone as FrozenBackbone, Device};
use adaplace_files::write_atomically;
use adaplace_report::study_report;
use adaplace_scorer::Resources;
use adaplace_study::{
    Event, Phase, Prepared, Record, StudyConfiguration, StudyError, StudyFolder, Summary,
    TrialResult, Workers, backbone_reference, run,
};
use adaplace_task::Task as Encoded;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;

use crate::backbone::Backbone;
use crate::convert::to_python;
use crate::error::{OrRaise, raise};
use crate::gradient_map::GradientMap;
use crate::interrupt::interruptible;
use crate::placement::Placement;
use crate::score::{Score, Trial};
use crate::scorer::Scorer;
use crate::task::Task;

/// What :class:`adaplace.Study` is built on: a study in its folder, by ask and tell.
#[pyclass(frozen, subclass, module = "adaplace._adaplace")]
pub(crate) struct Study {
    state: Mutex<Option<State>>,
    prepared: Prepared,
    configuration: StudyConfiguration,
    backbone: Arc<FrozenBackbone>,
    device: Device,
    /// The folder from which the backbone was read.
    backbone_folder: PathBuf,
    task: Arc<Encoded>,
    folder: StudyFolder,
}

struct State {
    study: adaplace_study::Study,
    /// The trials that `ask` handed out.
    given: BTreeSet<usize>,
}

#[pymethods]
impl Study {
    #[new]
    #[pyo3(signature = (folder, backbone, task, configuration, cache_memory = None))]
    fn new(
        py: Python<'_>,
        folder: PathBuf,
        backbone: &Backbone,
        task: &Task,
        configuration: &str,
        cache_memory: Option<usize>,
    ) -> PyResult<Self> {
        let configuration: StudyConfiguration = toml::from_str(configuration).or_raise()?;
        let resources = backbone.resources(cache_memory);
        let read = (&backbone.inner, &task.inner);
        let (prepared, folder, study) = interruptible(py, &AtomicBool::new(false), || {
            open(&folder, read, &configuration, resources).or_raise()
        })??;
        Ok(Self {
            state: Mutex::new(Some(State {
                study,
                given: BTreeSet::new(),
            })),
            prepared,
            configuration,
            backbone: Arc::clone(&backbone.inner),
            device: backbone.device,
            backbone_folder: backbone.folder.clone(),
            task: Arc::clone(&task.inner),
            folder,
        })
    }

    /// The folder of the study.
    #[getter]
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The content of ``study.toml``.
    #[getter]
    fn configuration<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.configuration)
    }

    /// The kind of problem that the task is, such as ``classification``.
    #[getter]
    fn problem(&self) -> &'static str {
        self.task.problem().name()
    }

    /// The gradient map of the frozen model.
    #[getter]
    fn gradient_map(&self) -> GradientMap {
        GradientMap {
            inner: self.prepared.map_file.clone(),
        }
    }

    /// The built-in scorer, with the frozen states that the study caches.
    #[getter]
    fn scorer(&self) -> Scorer {
        Scorer {
            inner: Arc::clone(&self.prepared.scorer),
            backbone: Arc::clone(&self.backbone),
            task: Arc::clone(&self.task),
            folder: Some(self.backbone_folder.clone()),
            settings: self.configuration.training,
            seed: self.configuration.search.seed.get(),
            device: self.device,
        }
    }

    /// Hands out at most ``n`` trials, each once.
    #[pyo3(signature = (n = None))]
    fn ask(&self, py: Python<'_>, n: Option<usize>) -> PyResult<Vec<Trial>> {
        let asked = py.detach(|| {
            let mut guard = self.open()?;
            let State { study, given } = state(&mut guard)?;
            let mut asked = study.ask(&mut |_| {}).or_raise()?;
            asked.retain(|trial| !given.contains(&trial.number));
            asked.truncate(n.unwrap_or(usize::MAX));
            given.extend(asked.iter().map(|trial| trial.number));
            PyResult::Ok(asked)
        });
        Ok(asked?.into_iter().map(Trial::from).collect())
    }

    /// Records the result of a trial: a score, or the reason why there is none.
    #[pyo3(signature = (number, score, failed, seconds))]
    fn record(
        &self,
        py: Python<'_>,
        number: usize,
        score: Option<Score>,
        failed: Option<String>,
        seconds: f64,
    ) -> PyResult<()> {
        let result = match (score, failed) {
            (Some(score), None) => TrialResult::Score(score.into()),
            (None, Some(reason)) => TrialResult::Failed(reason),
            _ => {
                return Err(PyValueError::new_err(
                    "a trial has either a score or a reason why it failed",
                ));
            }
        };
        py.detach(|| {
            let mut guard = self.open()?;
            let study = &mut state(&mut guard)?.study;
            study
                .tell(number, result, seconds, &mut |_| {})
                .map_err(|error| match error {
                    StudyError::NotFinite { .. } => PyValueError::new_err(error.to_string()),
                    other => raise(&other),
                })
        })
    }

    /// Returns a trial that could not be scored, so that ``ask`` hands it out again.
    fn give_back(&self, number: usize) -> PyResult<()> {
        state(&mut *self.open()?)?.given.remove(&number);
        Ok(())
    }

    /// Runs the remaining trainings with the built-in scorer. ``on_trial`` is called with the record of each training.
    #[pyo3(signature = (workers, on_trial = None))]
    fn train(&self, py: Python<'_>, workers: usize, on_trial: Option<Py<PyAny>>) -> PyResult<()> {
        let stop = AtomicBool::new(false);
        let mut raised: Option<PyErr> = None;
        let mut notify = |event: Event<'_>| {
            let (Event::Done { record, .. }, Some(call)) = (event, &on_trial) else {
                return;
            };
            let called = Python::attach(|py| call.call1(py, (to_python(py, record)?,)).map(|_| ()));
            if let Err(error) = called {
                stop.store(true, Ordering::Relaxed);
                raised.get_or_insert(error);
            }
        };
        let summary = interruptible(py, &stop, || -> PyResult<Summary> {
            let mut guard = self.open()?;
            let State { study, given } = state(&mut guard)?;
            let workers = Workers::new(workers).or_raise()?;
            let summary = run(study, &*self.prepared.scorer, &workers, &stop, &mut notify);
            given.clear();
            summary.or_raise()
        });
        match raised {
            Some(error) => Err(error),
            None => summary?.map(|_| ()),
        }
    }

    /// Whether nothing is left to be scored and the ranking is written.
    #[getter]
    fn finished(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| {
            let mut guard = self.open()?;
            let study = &mut state(&mut guard)?.study;
            // After the last result, a study only finishes when it is asked again.
            study.ask(&mut |_| {}).or_raise()?;
            Ok(study.ranking().is_some())
        })
    }

    /// All trainings so far, as in the journal.
    #[getter]
    fn records<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let records: Vec<Record> = py.detach(|| {
            let mut guard = self.open()?;
            let study = &state(&mut guard)?.study;
            PyResult::Ok(study.records().to_vec())
        })?;
        to_python(py, &records)
    }

    /// The content of ``ranking.json``, or None before the study is finished.
    #[getter]
    fn ranking<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let ranking = py.detach(|| {
            let mut guard = self.open()?;
            let study = &state(&mut guard)?.study;
            PyResult::Ok(study.ranking().cloned())
        })?;
        to_python(py, &ranking)
    }

    /// The best placement: the best finalist once the study is finished, the best complete trial before.
    ///
    /// Raises:
    ///     ValueError: If no complete trial has a score yet.
    #[getter]
    fn best(&self, py: Python<'_>) -> PyResult<Placement> {
        let best = py.detach(|| {
            let mut guard = self.open()?;
            let study = &state(&mut guard)?.study;
            PyResult::Ok(study.best())
        })?;
        best.map(|inner| Placement { inner }).ok_or_else(|| {
            PyValueError::new_err("no trial of a complete placement has a score yet")
        })
    }

    /// Writes ``report.html`` again and returns its path.
    fn report(&self, py: Python<'_>) -> PyResult<PathBuf> {
        py.detach(|| {
            let folder = self.folder.path();
            let page = study_report(folder).or_raise()?;
            let path = StudyFolder::report(folder);
            write_atomically(&path, page.as_bytes()).or_raise()?;
            Ok(path)
        })
    }

    /// Releases the folder for other processes. What was told is in its journal.
    fn close(&self) -> PyResult<()> {
        self.open()?.take();
        Ok(())
    }

    fn __repr__(&self) -> String {
        let progress = match self.open() {
            // It must not wait for the thread that trains.
            Err(_) => "in use".to_owned(),
            Ok(guard) => match guard.as_ref() {
                None => "closed".to_owned(),
                Some(State { study, .. }) if study.ranking().is_some() => "finished".to_owned(),
                Some(State { study, .. }) => {
                    let records = study.records().iter();
                    let searched = records.filter(|record| record.phase == Phase::Search);
                    let trials = self.configuration.search.trials;
                    format!("{} of {trials} trials", searched.count())
                }
            },
        };
        format!(
            "<Study `{}`: {} on `{}`, {progress}>",
            self.folder.path().display(),
            self.configuration.strategy.name(),
            self.task.name
        )
    }
}

impl Study {
    /// Another thread may use the study for a long time, so this does not wait for it.
    fn open(&self) -> PyResult<MutexGuard<'_, Option<State>>> {
        self.state.try_lock().map_err(|_| {
            PyRuntimeError::new_err("the study is in use by another thread; wait for it")
        })
    }
}

fn state(guard: &mut Option<State>) -> PyResult<&mut State> {
    guard
        .as_mut()
        .ok_or_else(|| PyRuntimeError::new_err("the study is closed; open its folder again"))
}

/// Opens the folder, fits the probe and computes the map. All checks happen before anything is written.
fn open(
    folder: &Path,
    read: (&Arc<FrozenBackbone>, &Arc<Encoded>),
    configuration: &StudyConfiguration,
    resources: Resources,
) -> Result<(Prepared, StudyFolder, adaplace_study::Study), StudyError> {
    let (backbone, task) = read;
    configuration.check_backbone(&backbone_reference(backbone))?;
    configuration.check_task(&task.fingerprint)?;
    StudyFolder::check(folder, configuration)?;
    let space = Arc::new(configuration.resolve_space(backbone, task, None)?);
    let (prepared, opened) = Prepared::open(folder, configuration, &space, read, resources)?;
    let folder = opened.folder.clone();
    let study = prepared.study(configuration, &space, opened)?;
    Ok((prepared, folder, study))
}
