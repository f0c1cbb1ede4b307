use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use adaplace_backbone::{Backbone as FrozenBackbone, Device, Pooling, Precision};
use adaplace_scorer::{
    LinearProbe, ProxyScorer, Resources, ScoreError, Scorer as _, TrainingSettings,
};
use adaplace_search_space::{Count, Fidelity, Positive};
use adaplace_study::{default_cache_memory, load_backbone};
use adaplace_task::Task as Encoded;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::ThreadPoolBuilder;
use serde::{Deserialize, Serialize};

use crate::backbone::Backbone;
use crate::convert::checked;
use crate::error::{AdaplaceError, DivergedError, OrRaise, raise};
use crate::interrupt::interruptible;
use crate::placement::Placement;
use crate::score::Score;
use crate::task::Task;

/// The built-in scorer: a short training that starts from the linear probe.
///
/// It can be pickled once, with weights, encoded task and probe. The copy computes the same scores.
///
/// Args:
///     backbone: The frozen model.
///     task: The task to learn.
///     batch_size: The number of examples in a batch.
///     learning_rate: The highest learning rate of the adapters.
///     head_learning_rate: The highest learning rate of the head.
///     seed: The seed of all random choices.
///
/// Raises:
///     AdaplaceError: If the probe cannot be fitted.
#[pyclass(frozen, module = "adaplace")]
pub(crate) struct Scorer {
    pub(crate) inner: Arc<ProxyScorer>,
    pub(crate) backbone: Arc<FrozenBackbone>,
    pub(crate) task: Arc<Encoded>,
    /// The backbone's folder, which is pickled with the scorer. `None` for an unpickled scorer.
    pub(crate) folder: Option<PathBuf>,
    pub(crate) settings: TrainingSettings,
    pub(crate) seed: u64,
    pub(crate) device: Device,
}

/// A pickled scorer, with everything on which its scores depend.
#[derive(Serialize, Deserialize)]
struct Pickled {
    /// The names and contents of the files from which the backbone is read.
    files: Vec<(String, Vec<u8>)>,
    pooling: Pooling,
    precision: Precision,
    /// The name of the device.
    device: String,
    task: Encoded,
    /// The probe as JSON, whose evaluations are written by name.
    probe: String,
    settings: TrainingSettings,
    seed: u64,
}

#[pymethods]
impl Scorer {
    #[new]
    #[pyo3(signature = (backbone, task, *, batch_size = 32, learning_rate = 3e-3, head_learning_rate = 1e-3, seed = 0))]
    fn new(
        py: Python<'_>,
        backbone: &Backbone,
        task: &Task,
        batch_size: usize,
        learning_rate: f64,
        head_learning_rate: f64,
        seed: u64,
    ) -> PyResult<Self> {
        let settings = TrainingSettings {
            batch_size: checked("batch_size", Count::new(batch_size))?,
            adapter_learning_rate: checked("learning_rate", Positive::new(learning_rate))?,
            head_learning_rate: checked("head_learning_rate", Positive::new(head_learning_rate))?,
            ..TrainingSettings::default()
        };
        let made = interruptible(py, &AtomicBool::new(false), || {
            ProxyScorer::with_resources(
                Arc::clone(&backbone.inner),
                Arc::clone(&task.inner),
                settings,
                seed,
                backbone.resources(None),
            )
            .or_raise()
        });
        Ok(Self {
            inner: Arc::new(made??),
            backbone: Arc::clone(&backbone.inner),
            task: Arc::clone(&task.inner),
            folder: Some(backbone.folder.clone()),
            settings,
            seed,
            device: backbone.device,
        })
    }

    /// Trains a placement for some steps and evaluates it on the validation part.
    ///
    /// ``threads`` is the number of threads, by default all cores, and changes no result. Other Python threads run
    /// meanwhile.
    ///
    /// Raises:
    ///     DivergedError: If the loss is not finite.
    ///     AdaplaceError: If a connection is out of the backbone's range.
    #[pyo3(signature = (placement, steps = 64, repetition = 0, *, threads = None))]
    fn score(
        &self,
        py: Python<'_>,
        placement: &Placement,
        steps: u32,
        repetition: u32,
        threads: Option<usize>,
    ) -> PyResult<Score> {
        let fidelity = checked("steps", steps.to_string().parse::<Fidelity>())?;
        let score = || self.inner.score(&placement.inner, fidelity, repetition);
        let result = interruptible(py, &AtomicBool::new(false), || match threads {
            None => Ok(score()),
            Some(threads) => ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .map(|pool| pool.install(score)),
        })?;
        match result.or_raise()? {
            Ok(score) => Ok(score.into()),
            Err(error @ ScoreError::Diverged { .. }) => {
                Err(DivergedError::new_err(error.to_string()))
            }
            Err(error) => Err(raise(&error)),
        }
    }

    /// The validation accuracy of the linear probe, None if the task is not a classification.
    #[getter]
    fn probe_accuracy(&self) -> Option<f64> {
        self.inner.probe().validation.measures.accuracy()
    }

    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<(Bound<'py, PyAny>, (Bound<'py, PyBytes>,))> {
        let folder = self.folder.as_deref().ok_or_else(|| {
            AdaplaceError::new_err(
                "an unpickled scorer cannot be pickled again; pickle the original",
            )
        })?;
        let pickled = Pickled {
            files: files(folder).or_raise()?,
            pooling: self.backbone.description().pooling,
            precision: self.backbone.arithmetic().precision,
            device: self.device.to_string(),
            task: Encoded::clone(&self.task),
            probe: serde_json::to_string(self.inner.probe()).or_raise()?,
            settings: self.settings,
            seed: self.seed,
        };
        let bytes = postcard::to_stdvec(&pickled).or_raise()?;
        let restore = py.get_type::<Self>().getattr("_restore")?;
        Ok((restore, (PyBytes::new(py, &bytes),)))
    }

    #[staticmethod]
    fn _restore(py: Python<'_>, bytes: &Bound<'_, PyBytes>) -> PyResult<Self> {
        let bytes = bytes.as_bytes();
        py.detach(|| {
            let pickled: Pickled = postcard::from_bytes(bytes).or_raise()?;
            let Pickled {
                files,
                pooling,
                precision,
                device,
                task,
                probe,
                settings,
                seed,
            } = pickled;
            let folder = tempfile::tempdir().or_raise()?;
            for (name, content) in files {
                std::fs::write(folder.path().join(name), content).or_raise()?;
            }
            let backbone = load_backbone(folder.path(), Some(pooling)).or_raise()?;
            let backbone = Arc::new(backbone.with_precision(precision));
            let probe: LinearProbe = serde_json::from_str(&probe).or_raise()?;
            let task = Arc::new(task);
            // This process is one of several. With one process for each core, their caches together take as much memory
            // as those of a single study.
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            let device: Device = device.parse().or_raise()?;
            let resources = Resources {
                device,
                cache_memory: default_cache_memory(device.kind, &backbone)
                    .map(|memory| memory / cores),
                side_by_side: None,
            };
            let scorer = ProxyScorer::with_probe(
                Arc::clone(&backbone),
                Arc::clone(&task),
                settings,
                seed,
                resources,
                probe,
            );
            Ok(Self {
                inner: Arc::new(scorer.or_raise()?),
                backbone,
                task,
                folder: None,
                settings,
                seed,
                device: resources.device,
            })
        })
    }
}

/// The files in a backbone's folder from which its chain is read, without those of its tokenizer.
fn files(folder: &Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    const NAMES: [&str; 3] = [
        "config.json",
        "preprocessor_config.json",
        "model.safetensors.index.json",
    ];
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            continue;
        };
        if NAMES.contains(&name) || name.ends_with(".safetensors") {
            files.push((name.to_owned(), std::fs::read(&path)?));
        }
    }
    files.sort();
    Ok(files)
}
