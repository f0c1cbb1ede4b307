//! Reads a task folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::listed;
use crate::fingerprint::fingerprint;
use crate::image_folder::list_images;
use crate::layout::{Layout, is_parquet};
use crate::rows::{RawPart, Row, UNLABELLED, read_text};
use crate::split::{split_validation, stratified_subset};
use crate::{Columns, Encoder, Examples, Inputs, Part, TaskError, parquet};

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
    /// The names of the columns of rows, or `None` for the default names. They do not apply to pictures in folders.
    pub columns: Option<&'a Columns>,
}

impl Default for TaskOptions<'_> {
    fn default() -> Self {
        TaskOptions {
            parts: &[Part::Train, Part::Validation],
            train_examples: None,
            seed: 0,
            columns: None,
        }
    }
}

/// A classification task, encoded for one backbone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The name of the task folder, or of the dataset if the folder is in the cache of the hub.
    pub name: String,
    /// The labels of the training part, sorted as numbers if all are integers, else as text. The labels of examples are
    /// indices into this list.
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
    /// only one class or has a label that train does not have, or if a row or picture cannot be read or encoded. The
    /// error is that of the first such row in the order of the folder.
    pub fn load(
        folder: &Path,
        encoder: &Encoder,
        options: &TaskOptions<'_>,
    ) -> Result<Task, TaskError> {
        let layout = Layout::of(folder)?;
        let rows = layout.rows(Part::Train);
        let images = layout.pictures(Part::Train).is_some();
        let owned = folder.to_owned();
        let usual = Columns::default();
        let columns = options.columns.unwrap_or(&usual);
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
                let encode = |rows: &[&Row<_>]| encoder.encode(rows).map(Inputs::Text);
                load_parts(folder, &layout, options, read, encode)
            }
            Encoder::Image(encoder) => {
                warn_of_texts(&layout);
                let read = |part| {
                    let read = |file: &Path| parquet::read_pictures(file, part, columns);
                    let files = layout.rows(part).filter(|files| is_parquet(&files[0]));
                    let folder = layout.pictures(part).map(|path| list_images(path, part));
                    folder.or_else(|| files.map(|files| RawPart::of_files(files, part, read)))
                };
                let encode = |rows: &[&Row<_>]| encoder.encode(rows).map(Inputs::Images);
                load_parts(folder, &layout, options, read, encode)
            }
        }
    }
}

/// Loads a task of one kind. `read` returns the rows of an existing part, and `encode` turns them into inputs.
fn load_parts<Content>(
    folder: &Path,
    layout: &Layout,
    options: &TaskOptions<'_>,
    read: impl Fn(Part) -> Option<Result<RawPart<Content>, TaskError>>,
    encode: impl Fn(&[&Row<Content>]) -> Result<Inputs, TaskError>,
) -> Result<Task, TaskError> {
    let Some(train) = read(Part::Train).transpose()? else {
        return Err(TaskError::MissingTrainPart {
            folder: folder.to_owned(),
            found: layout.ignored.clone(),
        });
    };
    warn_of_ignored(folder, &layout.ignored);
    check_classes(&train)?;
    let classes = class_names(&train.rows);
    let mut train_labels = labels(&train.rows, &classes)?;
    let mut train_rows: Vec<&Row<Content>> = train.rows.iter().collect();

    let validation = read(Part::Validation).transpose()?;
    let (validation_rows, validation_labels) = match &validation {
        Some(validation) => {
            let labels = checked_labels(validation, &classes)?;
            (validation.rows.iter().collect(), labels)
        }
        None => {
            let (kept, split_off) = split_validation(&train_labels, classes.len());
            let validation_labels = at(&train_labels, &split_off);
            if validation_labels.iter().collect::<BTreeSet<_>>().len() < 2 {
                let folder = folder.to_owned();
                return Err(TaskError::TooSmallToSplit { folder });
            }
            tracing::info!(
                "`{}` has no validation part, so {} of {} training examples are used as one",
                folder.display(),
                split_off.len(),
                train_labels.len()
            );
            let validation_rows = at(&train_rows, &split_off);
            train_rows = at(&train_rows, &kept);
            train_labels = at(&train_labels, &kept);
            (validation_rows, validation_labels)
        }
    };
    if let Some(size) = options.train_examples {
        let chosen = stratified_subset(&train_labels, classes.len(), size, options.seed);
        train_rows = at(&train_rows, &chosen);
        train_labels = at(&train_labels, &chosen);
    }
    let train = Examples {
        inputs: encode(&train_rows)?,
        labels: train_labels,
    };
    let validation = Examples {
        inputs: encode(&validation_rows)?,
        labels: validation_labels,
    };
    let test = match options.parts.contains(&Part::Test) {
        true => read(Part::Test).transpose()?,
        false => None,
    };
    let test = match test.filter(|test| is_labelled(test, &classes)) {
        Some(test) => Some(Examples {
            labels: checked_labels(&test, &classes)?,
            inputs: encode(&test.rows.iter().collect::<Vec<_>>())?,
        }),
        None => None,
    };
    Ok(Task {
        name: folder_name(folder),
        fingerprint: fingerprint(&classes, &[&train, &validation]),
        classes,
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

/// Whether any example of a test part has a label. Test parts of contests often have none.
fn is_labelled<Content>(test: &RawPart<Content>, classes: &[String]) -> bool {
    let unlabelled = !test.rows.is_empty()
        && test.rows.iter().all(|row| row.label == UNLABELLED)
        && !classes.iter().any(|class| class == UNLABELLED);
    if unlabelled {
        tracing::warn!(
            "the test part `{}` has no labels and is not used",
            test.path.display()
        );
    }
    !unlabelled
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

fn at<T: Clone>(values: &[T], indices: &[usize]) -> Vec<T> {
    indices.iter().map(|&index| values[index].clone()).collect()
}

/// The distinct labels, sorted as numbers if all are integers.
fn class_names<Content>(rows: &[Row<Content>]) -> Vec<String> {
    let names: BTreeSet<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let numbers: Option<Vec<i128>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut numbered: Vec<(i128, String)> = numbers.into_iter().zip(names).collect();
        numbered.sort();
        names = numbered.into_iter().map(|(_, name)| name).collect();
    }
    names
}

fn check_classes<Content>(part: &RawPart<Content>) -> Result<(), TaskError> {
    let (name, path) = (part.part, part.path.clone());
    let Some(first) = part.rows.first() else {
        return Err(TaskError::EmptyPart { part: name, path });
    };
    if part.rows.iter().all(|row| row.label == first.label) {
        return Err(TaskError::OneClass {
            part: name,
            path,
            class: first.label.clone(),
        });
    }
    Ok(())
}

/// The labels as indices into `classes`, after the part has been checked by itself. A label that train does not have is
/// reported before the lack of a second class.
fn checked_labels<Content>(
    part: &RawPart<Content>,
    classes: &[String],
) -> Result<Vec<u32>, TaskError> {
    let labels = labels(&part.rows, classes)?;
    check_classes(part)?;
    Ok(labels)
}

fn labels<Content>(rows: &[Row<Content>], classes: &[String]) -> Result<Vec<u32>, TaskError> {
    let indices: BTreeMap<&str, u32> = classes.iter().map(String::as_str).zip(0..).collect();
    let index = |row: &Row<Content>| {
        let found = indices.get(row.label.as_str()).copied();
        found.ok_or_else(|| TaskError::UnknownLabel {
            place: row.place.clone(),
            label: row.label.clone(),
            classes: classes.to_vec(),
        })
    };
    rows.iter().map(index).collect()
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
