//! Reads a task folder.

use std::path::Path;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

use crate::error::listed;
use crate::fingerprint::fingerprint;
use crate::image_folder::list_images;
use crate::labelling::{Labelling, problem_in};
use crate::layout::{Layout, is_parquet};
use crate::rows::{RawPart, Row, read_text};
use crate::selected::{FromTraining, Selected};
use crate::text::Read;
use crate::{
    Encoder, Examples, Inputs, Labels, Part, ProblemKind, Reading, Scale, TaskError, parquet,
};

/// The options for reading a task folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskOptions<'a> {
    /// The parts to read. Train and validation are always read, since classes and fingerprint come from them. The test
    /// part is read only if it is named here.
    pub parts: &'a [Part],
    /// The size of a stratified subset to train on, with at least one example per class if possible. All examples are
    /// used if it is `None` or exceeds their number. The subset is drawn after a validation part has been split off.
    pub train_examples: Option<usize>,
    /// The seed of the subset, which affects nothing else.
    pub seed: u64,
    /// How rows are read, or `None` for the default.
    pub reading: Option<&'a Reading>,
}

/// The weights of the classes in the loss.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    Display,
    EnumMessage,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// Every example counts once.
    #[default]
    Equal,
    /// Every class counts the same: an example or tag of class c counts n / (C n_c), where n_c of the n training examples
    /// or their tags have it, and C classes occur.
    Balanced,
}

impl ClassWeights {
    /// Whether every example counts once.
    #[must_use]
    pub fn are_equal(&self) -> bool {
        *self == Self::Equal
    }
}

impl Default for TaskOptions<'_> {
    fn default() -> Self {
        TaskOptions {
            parts: &[Part::Train, Part::Validation],
            train_examples: None,
            seed: 0,
            reading: None,
        }
    }
}

/// A task, encoded for one backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The name of the task folder, or of the dataset if the folder is in the cache of the hub.
    pub name: String,
    /// The labels of the training part, sorted as numbers if all are integers, else as text. The labels of examples are
    /// indices into this list. It is empty if they are numbers.
    pub classes: Vec<String>,
    /// The examples on which adapters and heads are trained.
    pub train: Examples,
    /// The examples on which placements are compared.
    pub validation: Examples,
    /// The examples of the test part, if it was asked for and the folder has one.
    pub test: Option<Examples>,
    /// The hex SHA-256 of the classes, labels and encoded inputs of `train` and `validation` as they are here. Another
    /// subset, tokenizer or maximum length leads to another fingerprint. The test part does not matter.
    pub fingerprint: String,
}

impl Task {
    /// The kind of problem.
    #[must_use]
    pub fn problem(&self) -> ProblemKind {
        self.train.labels.problem()
    }

    /// The number of logits of a trained head: one for each class, or a single one for numbers. It is 0 for language
    /// modelling, for which the backbone has a head of its own.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self.problem() {
            ProblemKind::Classification
            | ProblemKind::MultiLabel
            | ProblemKind::TokenClassification => self.classes.len(),
            ProblemKind::Regression => 1,
            ProblemKind::LanguageModelling => 0,
        }
    }

    /// What the numbers of a regression were standardised by.
    #[must_use]
    pub fn scale(&self) -> Option<Scale> {
        match self.train.labels {
            Labels::Numbers { scale, .. } => Some(scale),
            _ => None,
        }
    }

    /// The same task, whose numbers are standardised by another scale: that of the head that predicts them.
    #[must_use]
    pub fn rescaled(mut self, scale: Scale) -> Self {
        let parts = [&mut self.train, &mut self.validation];
        for part in parts.into_iter().chain(self.test.as_mut()) {
            part.labels = part.labels.clone().rescaled(scale);
        }
        self
    }

    /// The examples of a part. `None` for a test part that was not read or that the folder does not have.
    pub fn part(&self, part: Part) -> Option<&Examples> {
        match part {
            Part::Train => Some(&self.train),
            Part::Validation => Some(&self.validation),
            Part::Test => self.test.as_ref(),
        }
    }

    /// Reads and encodes a task folder.
    ///
    /// If there is no validation part, 20 % of the training examples of every class are used as one: always the same
    /// ones, whatever the options are.
    ///
    /// # Errors
    /// If the folder or its training part is missing, if the task is not of the encoder's kind, if a part is empty, has
    /// only one label or one that train does not have, if labels are of two kinds, or if a row or picture cannot be read
    /// or encoded. The error is that of the first such row in the order of the folder.
    pub fn load(
        folder: &Path,
        encoder: &Encoder,
        options: &TaskOptions<'_>,
    ) -> Result<Task, TaskError> {
        let layout = Layout::of(folder)?;
        let rows = layout.rows(Part::Train);
        let images = layout.pictures(Part::Train).is_some();
        let owned = folder.to_owned();
        let usual = Reading::default();
        let reading = options.reading.unwrap_or(&usual);
        let columns = &reading.columns;
        match encoder {
            Encoder::Text(_) if images && rows.is_none() => {
                Err(TaskError::TextBackboneImageTask { folder: owned })
            }
            Encoder::Image(_) if !images && rows.is_some_and(|rows| !is_parquet(&rows[0])) => {
                Err(TaskError::ImageBackboneTextTask { folder: owned })
            }
            Encoder::Text(encoder) => {
                let read = |part| {
                    let read = |file: &Path| match is_parquet(file) {
                        true => parquet::read_text(file, part, columns),
                        false => read_text(file, part, columns),
                    };
                    layout
                        .rows(part)
                        .map(|files| RawPart::of_files(files, part, read))
                };
                let encode = |rows: &[&Row<_>]| {
                    let (texts, read) = encoder.encode(rows)?;
                    Ok((Inputs::Text(texts), read))
                };
                load_parts((folder, &layout), options, reading, read, encode)
            }
            Encoder::Image(encoder) => {
                warn_of_texts(&layout);
                let read = |part| {
                    let read = |file: &Path| parquet::read_pictures(file, part, columns);
                    let files = layout.rows(part).filter(|files| is_parquet(&files[0]));
                    let folder = layout.pictures(part).map(|path| list_images(path, part));
                    folder.or_else(|| files.map(|files| RawPart::of_files(files, part, read)))
                };
                let encode = |rows: &[&Row<_>]| {
                    let images = Inputs::Images(encoder.encode(rows)?);
                    Ok((images, vec![Read::Whole; rows.len()]))
                };
                load_parts((folder, &layout), options, reading, read, encode)
            }
        }
    }
}

/// Loads a task of one kind. `read` returns the rows of an existing part, and `encode` turns them into inputs.
fn load_parts<Content>(
    (folder, layout): (&Path, &Layout),
    options: &TaskOptions<'_>,
    reading: &Reading,
    read: impl Fn(Part) -> Option<Result<RawPart<Content>, TaskError>>,
    encode: impl Fn(&[&Row<Content>]) -> Result<(Inputs, Vec<Read>), TaskError>,
) -> Result<Task, TaskError> {
    let Some(train) = read(Part::Train).transpose()? else {
        return Err(TaskError::MissingTrainPart {
            folder: folder.to_owned(),
            found: layout.ignored.clone(),
        });
    };
    warn_of_ignored(folder, &layout.ignored);
    let chosen = match reading.problem {
        Some(problem) => Some(problem),
        None => problem_in(folder)?,
    };
    let labelling = Labelling::of(&train, chosen)?;
    let classes = labelling.classes.len();
    let all = Selected::of(&train, &labelling)?;
    let validation = read(Part::Validation).transpose()?;
    let (mut train, validation) = match &validation {
        Some(validation) => (all, Selected::of(validation, &labelling)?),
        None => all.split(folder, classes)?,
    };
    let test = match options.parts.contains(&Part::Test) {
        true => read(Part::Test).transpose()?,
        false => None,
    };
    let test = test.filter(|test| labelling.is_labelled(test, &train.labels));
    if let Some(size) = options.train_examples {
        train = train.subset(classes, size, options.seed);
    }
    let decided = FromTraining::of(&train.labels, classes, (folder, reading.class_weights))?;
    let examples = |selected: Selected<'_, Content>| {
        let (inputs, read) = encode(&selected.rows)?;
        Ok(Examples {
            labels: decided.scaled(selected.labels).placed(&inputs, &read),
            class_weights: decided.class_weights.clone(),
            inputs,
        })
    };
    let (train, validation) = (examples(train)?, examples(validation)?);
    let test = match &test {
        Some(test) => Some(examples(Selected::of(test, &labelling)?)?),
        None => None,
    };
    Ok(Task {
        name: folder_name(folder),
        fingerprint: fingerprint(&labelling.classes, &[&train, &validation]),
        classes: labelling.classes,
        train,
        validation,
        test,
    })
}

/// Warns about the parts of an image task that are rows of text, which are not read.
fn warn_of_texts(layout: &Layout) {
    for &part in Part::ALL {
        let rows = layout.rows(part).filter(|rows| !is_parquet(&rows[0]));
        if let (Some(rows), None) = (rows, layout.pictures(part)) {
            tracing::warn!(
                "`{}` contains text, not pictures, and is not read",
                rows[0].display()
            );
        }
    }
}

fn warn_of_ignored(folder: &Path, ignored: &[String]) {
    if ignored.is_empty() {
        return;
    }
    let names: Vec<String> = Part::ALL
        .iter()
        .map(|part| part.names().join(", "))
        .collect();
    tracing::warn!(
        "{} in `{}` are not parts of a task and are ignored; the parts are called {}, or {}",
        listed(ignored),
        folder.display(),
        names[..2].join("; "),
        names[2]
    );
}

/// The last component of the path, also for `.` and `..`. In the cache of the hub, it is the dataset and the subset.
fn folder_name(folder: &Path) -> String {
    if let Some(name) = name_in_cache(folder) {
        return name;
    }
    let absolute = folder.canonicalize();
    let path = match &absolute {
        Ok(absolute) if folder.file_name().is_none() => absolute,
        _ => folder,
    };
    path.file_name().map_or_else(
        || "task".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// The name `name` or `name-subset` for a folder such as `datasets--org--name/snapshots/COMMIT/subset`.
fn name_in_cache(folder: &Path) -> Option<String> {
    let parts: Vec<_> = folder.iter().map(|part| part.to_string_lossy()).collect();
    let at = parts
        .iter()
        .position(|part| part.starts_with("datasets--"))?;
    let (_, name) = parts[at].rsplit_once("--")?;
    match &parts[at + 1..] {
        [snapshots, _, subset]
            if snapshots == "snapshots" && subset != "default" && subset != "data" =>
        {
            Some(format!("{name}-{subset}"))
        }
        [snapshots, ..] if snapshots == "snapshots" => Some(name.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_called_as_its_folder_or_dataset() {
        for (folder, name) in [
            ("data/trec6", "trec6"),
            ("data/trec6/", "trec6"),
            (
                "hub/datasets--nyu-mll--glue/snapshots/c0ffee/sst2",
                "glue-sst2",
            ),
            ("hub/datasets--org--trec/snapshots/c0ffee/default", "trec"),
            ("hub/datasets--org--trec/snapshots/c0ffee/data", "trec"),
            ("hub/datasets--org--trec/snapshots/c0ffee", "trec"),
            ("hub/datasets--org--trec/mine", "mine"),
        ] {
            assert_eq!(folder_name(Path::new(folder)), name);
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(folder_name(Path::new(".")), folder_name(&here));
    }
}
