use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use adaplace_files::write_atomically;
use adaplace_report::study_report;
use adaplace_scorer::ProxyScorer;
use adaplace_search_space::SearchSpace;
use adaplace_study::{
    Event, Frozen, FrozenSettings, Record, Session, StudyConfiguration, StudyError, StudyFolder,
    Summary, TrialResult, Workers, backbone_reference, default_cache_memory, run,
};
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use self_cell::self_cell;

use crate::backbone::Backbone;
use crate::convert::to_python;
use crate::error::{OrRaise, raise};
use crate::gradient_map::GradientMap;
use crate::interrupt::interruptible;
use crate::placement::Placement;
use crate::score::{Score, Trial};
use crate::scorer::{Scorer, Subject};
use crate::task::Task;

self_cell!(
    struct OwnedFrozen {
        owner: Subject,
        #[covariant]
        dependent: Frozen,
    }
);

/// What a study's session stands on.
pub(crate) struct Prepared {
    frozen: OwnedFrozen,
    space: SearchSpace,
    pub(crate) configuration: StudyConfiguration,
}

impl Prepared {
    pub(crate) fn scorer(&self) -> &ProxyScorer<'_> {
        &self.frozen.borrow_dependent().scorer
    }

    pub(crate) fn subject(&self) -> &Subject {
        self.frozen.borrow_owner()
    }
}

self_cell!(
    struct OwnedSession {
        owner: Arc<Prepared>,
        #[covariant]
        dependent: Session,
    }
);

/// A study in its folder, by ask and tell.
#[pyclass(frozen, subclass, module = "adaplace._adaplace")]
pub(crate) struct Study {
    state: Mutex<Option<State>>,
    prepared: Arc<Prepared>,
    /// Where the backbone was read from.
    backbone: PathBuf,
    folder: StudyFolder,
}

struct State {
    session: OwnedSession,
    /// Trials that `ask` gave away.
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
        let subject = Subject {
            backbone: Arc::clone(&backbone.inner),
            task: Arc::clone(&task.inner),
        };
        let backbone = backbone.folder.clone();
        let cache_memory = cache_memory.unwrap_or_else(default_cache_memory);
        interruptible(py, &AtomicBool::new(false), || {
            open(&folder, subject, configuration, cache_memory).or_raise()
        })?
        .map(|(prepared, folder, session)| Self {
            state: Mutex::new(Some(State {
                session,
                given: BTreeSet::new(),
            })),
            prepared,
            backbone,
            folder,
        })
    }

    #[getter]
    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The content of `study.toml`.
    #[getter]
    fn configuration<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &self.prepared.configuration)
    }

    #[getter]
    fn gradient_map(&self) -> GradientMap {
        GradientMap {
            inner: self.prepared.frozen.borrow_dependent().file.clone(),
        }
    }

    /// The built-in scorer, with the frozen states that the study keeps.
    #[getter]
    fn scorer(&self) -> Scorer {
        Scorer::of_study(Arc::clone(&self.prepared), self.backbone.clone())
    }

    #[pyo3(signature = (n = None))]
    fn ask(&self, py: Python<'_>, n: Option<usize>) -> PyResult<Vec<Trial>> {
        let asked = py.detach(|| {
            let mut guard = self.open()?;
            let State { session, given } = state(&mut guard)?;
            let mut asked = session
                .with_dependent_mut(|_, session| session.ask(&mut |_| {}))
                .or_raise()?;
            asked.retain(|trial| !given.contains(&trial.number));
            asked.truncate(n.unwrap_or(usize::MAX));
            given.extend(asked.iter().map(|trial| trial.number));
            PyResult::Ok(asked)
        });
        Ok(asked?.into_iter().map(Trial::from).collect())
    }

    /// The result of a trial: a score, or why there is none.
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
            let session = &mut state(&mut guard)?.session;
            session
                .with_dependent_mut(|_, session| session.tell(number, result, seconds, &mut |_| {}))
                .map_err(|error| match error {
                    StudyError::NotFinite { .. } => PyValueError::new_err(error.to_string()),
                    other => raise(&other),
                })
        })
    }

    /// `ask` gives the trial away once more: whoever had it could not score it.
    fn give_back(&self, number: usize) -> PyResult<()> {
        state(&mut *self.open()?)?.given.remove(&number);
        Ok(())
    }

    /// Scores all that is left with the built-in scorer; `on_trial` is called with the record of each training.
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
            let State { session, given } = state(&mut guard)?;
            let workers = Workers::new(workers).or_raise()?;
            let scorer = self.prepared.scorer();
            let summary = session.with_dependent_mut(|_, session| {
                run(session, scorer, &workers, &stop, &mut notify)
            });
            given.clear();
            summary.or_raise()
        });
        match raised {
            Some(error) => Err(error),
            None => summary?.map(|_| ()),
        }
    }

    /// Whether nothing is left to be scored: the ranking is written.
    #[getter]
    fn finished(&self, py: Python<'_>) -> PyResult<bool> {
        py.detach(|| {
            let mut guard = self.open()?;
            let session = &mut state(&mut guard)?.session;
            // The last tell finishes a study only when it is asked again.
            let asked = session.with_dependent_mut(|_, session| session.ask(&mut |_| {}));
            asked.or_raise()?;
            Ok(session.borrow_dependent().ranking().is_some())
        })
    }

    /// All trainings so far.
    #[getter]
    fn records<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let records: Vec<Record> = py.detach(|| {
            let mut guard = self.open()?;
            let session = &state(&mut guard)?.session;
            PyResult::Ok(session.borrow_dependent().records().to_vec())
        })?;
        to_python(py, &records)
    }

    /// The content of `ranking.json`; none before the study is finished.
    #[getter]
    fn ranking<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let ranking = py.detach(|| {
            let mut guard = self.open()?;
            let session = &state(&mut guard)?.session;
            PyResult::Ok(session.borrow_dependent().ranking().cloned())
        })?;
        to_python(py, &ranking)
    }

    /// The placement of the first place.
    #[getter]
    fn best(&self, py: Python<'_>) -> PyResult<Placement> {
        let best = py.detach(|| {
            let mut guard = self.open()?;
            let session = &state(&mut guard)?.session;
            PyResult::Ok(session.borrow_dependent().best())
        })?;
        best.map(|inner| Placement { inner }).ok_or_else(|| {
            PyValueError::new_err("no trial of a complete placement has a score yet")
        })
    }

    /// Writes `report.html` anew.
    fn report(&self, py: Python<'_>) -> PyResult<PathBuf> {
        py.detach(|| {
            let folder = self.folder.path();
            let page = study_report(folder).or_raise()?;
            let path = StudyFolder::report(folder);
            write_atomically(&path, page.as_bytes()).or_raise()?;
            Ok(path)
        })
    }

    /// Leaves the folder to other processes; what was told is in its journal.
    fn close(&self) -> PyResult<()> {
        self.open()?.take();
        Ok(())
    }
}

impl Study {
    /// Another thread may be at work for long: it is not waited for.
    fn open(&self) -> PyResult<MutexGuard<'_, Option<State>>> {
        self.state.try_lock().map_err(|_| {
            PyRuntimeError::new_err("the study is at work in another thread; wait for it")
        })
    }
}

fn state(guard: &mut Option<State>) -> PyResult<&mut State> {
    guard
        .as_mut()
        .ok_or_else(|| PyRuntimeError::new_err("the study is closed; open its folder again"))
}

/// Opens the folder, fits the probe and makes the map; what can be refused is refused before anything is made.
fn open(
    folder: &Path,
    subject: Subject,
    configuration: StudyConfiguration,
    cache_memory: usize,
) -> Result<(Arc<Prepared>, StudyFolder, OwnedSession), StudyError> {
    configuration.check()?;
    configuration.check_backbone(&backbone_reference(&subject.backbone))?;
    configuration.check_task(&subject.task.fingerprint)?;
    StudyFolder::check(folder, &configuration)?;
    let space = configuration.resolve_space(&subject.backbone, &subject.task, None)?;
    let (folder, journal, records) = StudyFolder::open(folder, &configuration)?;
    let frozen = OwnedFrozen::try_new(subject, |Subject { backbone, task }| {
        let search = &configuration.search;
        let settings = FrozenSettings {
            training: configuration.training,
            gradient_map: &configuration.gradient_map,
            statistics: &search.statistic,
            steps: search.steps,
            seed: search.seed,
        };
        Frozen::new(backbone, task, settings, cache_memory)
    })?;
    frozen
        .borrow_dependent()
        .file
        .write(&folder.gradient_map())?;
    let prepared = Arc::new(Prepared {
        frozen,
        space,
        configuration,
    });
    let session = OwnedSession::try_new(Arc::clone(&prepared), |prepared| {
        let Prepared {
            frozen,
            space,
            configuration,
        } = &**prepared;
        let opened = (folder.clone(), journal, records);
        let frozen = frozen.borrow_dependent();
        frozen.session(configuration, space, opened)
    })?;
    Ok((prepared, folder, session))
}
