use std::path::PathBuf;
use std::sync::Arc;

use adaplace_hub::task_folder;
use adaplace_study::encoder;
use adaplace_task::{ClassWeights, Columns, ProblemKind, Reading, Task as Encoded, TaskOptions};
use pyo3::prelude::*;

use crate::backbone::Backbone;
use crate::error::OrRaise;

/// A task, encoded for a backbone: its training and validation part. The test part is never read.
///
/// Args:
///     folder: A folder with ``{train,validation}.jsonl``, ``.csv`` or ``.parquet``, or with
///         ``{train,validation}/CLASS/*.png``; or ``org/name[:subset][@revision]``, a dataset of the Hugging Face hub.
///     backbone: The backbone that reads the task.
///     max_length: The number of tokens to which texts are cut. The default is 128, or the backbone's longest.
///     train_examples: The size of a stratified subset of the training examples. By default all are used.
///     seed: The seed with which the subset is drawn.
///     text_column: The column or key of a text, ``text`` by default.
///     pair_column: The column or key of the second text of a pair. The default is ``text_pair``, if there is one.
///     label_column: The column or key of the class, ``label`` by default.
///     image_column: The column of encoded pictures in Parquet. The default is ``image``, or the only column with pictures.
///     problem: ``classification``, ``regression``, ``multi-label``, ``token-classification`` or ``language-modelling``. By
///         default ``task.toml`` in the folder says it, or else the rows: completions of prompts, tags of words, lists,
///         numbers with fractions, or classes.
///     class_weights: ``equal``, the default, or ``balanced``: every class counts the same in the loss.
///
/// Raises:
///     AdaplaceError: If the folder is missing or damaged, or the backbone cannot read it.
#[pyclass(frozen, module = "adaplace")]
pub(crate) struct Task {
    pub(crate) inner: Arc<Encoded>,
    pub(crate) folder: PathBuf,
    pub(crate) max_length: Option<usize>,
    /// The requested size of the subset of the training examples.
    pub(crate) subset: Option<usize>,
    /// The seed of that subset.
    pub(crate) seed: u64,
    pub(crate) reading: Reading,
}

#[pymethods]
impl Task {
    #[new]
    #[pyo3(signature = (
        folder, backbone, *, max_length = None, train_examples = None, seed = 0, text_column = None, pair_column = None,
        label_column = None, image_column = None, problem = None, class_weights = None
    ))]
    #[expect(clippy::too_many_arguments, reason = "each is a keyword in Python")]
    fn new(
        py: Python<'_>,
        folder: PathBuf,
        backbone: &Backbone,
        max_length: Option<usize>,
        train_examples: Option<usize>,
        seed: u64,
        text_column: Option<String>,
        pair_column: Option<String>,
        label_column: Option<String>,
        image_column: Option<String>,
        problem: Option<&str>,
        class_weights: Option<&str>,
    ) -> PyResult<Self> {
        let usual = Columns::default();
        let columns = Columns {
            text: text_column.unwrap_or(usual.text),
            pair: pair_column.unwrap_or(usual.pair),
            label: label_column.unwrap_or(usual.label),
            image: image_column.unwrap_or(usual.image),
        };
        let reading = Reading {
            columns,
            problem: problem.map(|name| name.parse().or_raise()).transpose()?,
            class_weights: match class_weights {
                None => ClassWeights::default(),
                Some(name) => name.parse().or_raise()?,
            },
        };
        py.detach(|| {
            let (encoder, max_length) =
                encoder(&backbone.folder, &backbone.inner, max_length).or_raise()?;
            let found = task_folder(&folder).or_raise()?;
            let options = TaskOptions {
                train_examples,
                seed,
                reading: Some(&reading),
                ..TaskOptions::default()
            };
            Ok(Self {
                inner: Arc::new(Encoded::load(&found, &encoder, &options).or_raise()?),
                folder,
                max_length,
                subset: train_examples,
                seed,
                reading,
            })
        })
    }

    /// The name of the task: that of its folder.
    #[getter]
    fn name(&self) -> &str {
        &self.inner.name
    }

    /// The folder or the name on the hub, as given.
    #[getter]
    fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// The kind of problem: ``classification``, ``regression``, ``multi-label``, ``token-classification`` or
    /// ``language-modelling``.
    #[getter]
    fn problem(&self) -> &'static str {
        self.inner.problem().name()
    }

    /// The mean and the standard deviation by which the numbers of a regression are standardised, else None.
    #[getter]
    fn scale(&self) -> Option<(f64, f64)> {
        self.inner
            .scale()
            .map(|scale| (scale.mean, scale.deviation))
    }

    /// The labels, in the order of a head's logits. There are none for a regression.
    #[getter]
    fn classes(&self) -> Vec<String> {
        self.inner.classes.clone()
    }

    /// The number of training examples.
    #[getter]
    fn train_examples(&self) -> usize {
        self.inner.train.len()
    }

    /// The number of validation examples.
    #[getter]
    fn validation_examples(&self) -> usize {
        self.inner.validation.len()
    }

    /// The number of tokens to which texts are cut, None for pictures.
    #[getter]
    fn max_length(&self) -> Option<usize> {
        self.max_length
    }

    /// The hash of the encoded examples of both parts.
    #[getter]
    fn fingerprint(&self) -> &str {
        &self.inner.fingerprint
    }

    fn __repr__(&self) -> String {
        format!(
            "<Task `{}`: {}, {} training and {} validation examples>",
            self.inner.name,
            match self.inner.problem() {
                ProblemKind::Classification => format!("{} classes", self.inner.classes.len()),
                ProblemKind::Regression => "numbers".to_owned(),
                ProblemKind::MultiLabel => format!("any of {} classes", self.inner.classes.len()),
                ProblemKind::TokenClassification =>
                    format!("{} tags of words", self.inner.classes.len()),
                ProblemKind::LanguageModelling => "completions of prompts".to_owned(),
            },
            self.inner.train.len(),
            self.inner.validation.len()
        )
    }
}
