//! The kind of problem that a task is, and its labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{fs, io};

use serde::Deserialize;

use crate::rows::{Label, RawPart, Row, UNLABELLED};
use crate::{Labels, ProblemKind, Scale, TagScheme, TaskError, TokenLabel};

/// The file beside the data that says what kind of problem the task is.
pub(crate) const TASK_FILE: &str = "task.toml";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    problem: ProblemKind,
}

/// The kind of problem in the `task.toml` of a folder, if there is one.
pub(crate) fn problem_in(folder: &Path) -> Result<Option<ProblemKind>, TaskError> {
    let path = folder.join(TASK_FILE);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(TaskError::Unreadable { path, source }),
    };
    match toml::from_str(&text) {
        Ok(TaskFile { problem }) => Ok(Some(problem)),
        Err(error) => Err(TaskError::InvalidTaskFile {
            path,
            message: error.message().to_owned(),
        }),
    }
}

/// How the labels of rows are read.
pub(crate) struct Labelling {
    kind: ProblemKind,
    /// The names of the classes. There are none for numbers.
    pub(crate) classes: Vec<String>,
}

impl Labelling {
    /// The labelling of a training part. Without a `chosen` kind its labels decide: lists belong to a multi-label
    /// problem, or to a token classification if the text is a list as well, and numbers of which at least one has a
    /// fraction to a regression. All others are classes.
    pub(crate) fn of<Content>(
        train: &RawPart<Content>,
        chosen: Option<ProblemKind>,
    ) -> Result<Self, TaskError> {
        let kind = match chosen {
            Some(kind) => kind,
            None => kind_of(&train.rows)?,
        };
        let labels = train.rows.iter().flat_map(|row| match &row.label {
            Label::One(label) => std::slice::from_ref(label),
            Label::Several(labels) | Label::Tags(labels) => labels,
            Label::Completion => &[],
        });
        let classes = match kind {
            ProblemKind::Regression | ProblemKind::LanguageModelling => Vec::new(),
            ProblemKind::Classification
            | ProblemKind::MultiLabel
            | ProblemKind::TokenClassification => class_names(labels),
        };
        Ok(Labelling { kind, classes })
    }

    /// The labels of a part, which must differ. Numbers are not scaled yet.
    pub(crate) fn read<Content>(&self, part: &RawPart<Content>) -> Result<Labels, TaskError> {
        let indices: BTreeMap<&str, u32> =
            self.classes.iter().map(String::as_str).zip(0..).collect();
        let rows = part.rows.iter();
        let read = match self.kind {
            ProblemKind::Classification => {
                let class = |row| self.class(&indices, row, one(row, SINGLE)?);
                Labels::Classes(rows.map(class).collect::<Result<_, _>>()?)
            }
            ProblemKind::Regression => {
                let number = |row| {
                    let label = one(row, NUMBER)?;
                    number(label).ok_or_else(|| wrong(row, NUMBER))
                };
                Labels::Numbers {
                    numbers: rows.map(number).collect::<Result<_, _>>()?,
                    scale: Scale::UNIT,
                }
            }
            ProblemKind::MultiLabel => {
                let set = |row: &Row<Content>| {
                    let Label::Several(labels) = &row.label else {
                        return Err(wrong(row, LIST));
                    };
                    let classes = labels.iter().map(|label| self.class(&indices, row, label));
                    let set = classes.collect::<Result<BTreeSet<u32>, _>>()?;
                    Ok(set.into_iter().collect())
                };
                Labels::Sets {
                    classes: self.classes.len(),
                    sets: rows.map(set).collect::<Result<_, _>>()?,
                }
            }
            ProblemKind::TokenClassification => {
                let tags = |row: &Row<Content>| {
                    let Label::Tags(tags) = &row.label else {
                        return Err(wrong(row, TAGS));
                    };
                    let tag = |(word, tag): (u32, &String)| {
                        let class = self.class(&indices, row, tag)?;
                        Ok(TokenLabel { token: word, class })
                    };
                    (0..).zip(tags).map(tag).collect()
                };
                Labels::Tags {
                    tags: rows.map(tags).collect::<Result<_, _>>()?,
                    scheme: TagScheme::of(&self.classes),
                }
            }
            ProblemKind::LanguageModelling => {
                let completion = |row: &Row<Content>| match row.label {
                    Label::Completion => Ok(Vec::new()),
                    _ => Err(wrong(row, COMPLETION)),
                };
                Labels::Completions(rows.map(completion).collect::<Result<_, _>>()?)
            }
        };
        self.check(part, &read)?;
        Ok(read)
    }

    fn class<Content>(
        &self,
        indices: &BTreeMap<&str, u32>,
        row: &Row<Content>,
        label: &str,
    ) -> Result<u32, TaskError> {
        let found = indices.get(label).copied();
        found.ok_or_else(|| TaskError::UnknownLabel {
            place: row.place.clone(),
            label: label.to_owned(),
            classes: self.classes.clone(),
        })
    }

    /// Refuses a part without examples, or whose examples all have the same label.
    fn check<Content>(&self, part: &RawPart<Content>, read: &Labels) -> Result<(), TaskError> {
        let (name, path) = (part.part, part.path.clone());
        let Some(first) = part.rows.first() else {
            return Err(TaskError::EmptyPart { part: name, path });
        };
        if read.varies() {
            return Ok(());
        }
        let label = first.label.to_string();
        Err(match self.kind {
            ProblemKind::Classification => TaskError::OneClass {
                part: name,
                path,
                class: label,
            },
            _ => TaskError::SameLabels {
                part: name,
                path,
                label,
            },
        })
    }

    /// Whether any example of a test part has a label. Test parts of contests often have none.
    pub(crate) fn is_labelled<Content>(&self, test: &RawPart<Content>, train: &Labels) -> bool {
        let unlabelled = Label::One(UNLABELLED.to_owned());
        let none = !test.rows.is_empty() && test.rows.iter().all(|row| row.label == unlabelled);
        let usual = match train {
            Labels::Numbers { numbers, .. } => numbers.contains(&-1.0),
            _ => self.classes.iter().any(|class| class == UNLABELLED),
        };
        if none && !usual {
            tracing::warn!(
                "the test part `{}` has no labels and is not used",
                test.path.display()
            );
        }
        !none || usual
    }
}

/// What all labels may be, and what one of them may be instead.
const LISTS_OR_NOT: [[&str; 2]; 2] = [
    ["lists of labels", "single labels"],
    ["a list of labels", "one label"],
];
const TAGS_OR_NOT: [[&str; 2]; 2] = [
    ["tags of words", "other labels"],
    ["a tag for each word", "not a tag for each word"],
];
const COMPLETIONS_OR_NOT: [[&str; 2]; 2] = [
    ["completions of prompts", "labels"],
    ["a completion of a prompt", "not a completion"],
];
const NUMBERS_OR_NOT: [[&str; 2]; 2] = [["numbers", "names"], ["a number", "not a number"]];

const SINGLE: &str = "one label (lists are for `--problem multi-label`)";
const NUMBER: &str = "a number for a regression";
const LIST: &str = "a list of labels for a multi-label problem";
const TAGS: &str = "`tokens` with one of the `tags` each for a token classification";
const COMPLETION: &str = "a `prompt` and its `completion` for language modelling";

fn kind_of<Content>(rows: &[Row<Content>]) -> Result<ProblemKind, TaskError> {
    let is_list = |row: &Row<Content>| matches!(row.label, Label::Several(_));
    let is_tagged = |row: &Row<Content>| matches!(row.label, Label::Tags(_));
    let is_completion = |row: &Row<Content>| row.label == Label::Completion;
    let is_number = |row: &Row<Content>| number_of(row).is_some();
    let is_fraction = |row: &Row<Content>| number_of(row).is_some_and(|x| x.fract() != 0.0);
    let two_kinds = |of_kind: &dyn Fn(&Row<Content>) -> bool,
                     [all, one]: [[&'static str; 2]; 2]| {
        let first = rows.first().map(of_kind);
        let other = rows.iter().find(|row| Some(of_kind(row)) != first);
        other.map(|other| TaskError::LabelsOfTwoKinds {
            place: other.place.clone(),
            label: other.label.to_string(),
            kinds: match first {
                Some(true) => [all[0], one[1]],
                _ => [all[1], one[0]],
            },
        })
    };
    if rows.iter().any(is_completion) {
        let mixed = two_kinds(&is_completion, COMPLETIONS_OR_NOT);
        return mixed.map_or(Ok(ProblemKind::LanguageModelling), Err);
    }
    if rows.iter().any(is_tagged) {
        let mixed = two_kinds(&is_tagged, TAGS_OR_NOT);
        return mixed.map_or(Ok(ProblemKind::TokenClassification), Err);
    }
    if rows.iter().any(is_list) {
        let mixed = two_kinds(&is_list, LISTS_OR_NOT);
        return mixed.map_or(Ok(ProblemKind::MultiLabel), Err);
    }
    if rows.iter().any(is_fraction) {
        let mixed = two_kinds(&is_number, NUMBERS_OR_NOT);
        return mixed.map_or(Ok(ProblemKind::Regression), Err);
    }
    Ok(ProblemKind::Classification)
}

fn number_of<Content>(row: &Row<Content>) -> Option<f64> {
    match &row.label {
        Label::One(label) => number(label),
        _ => None,
    }
}

fn number(label: &str) -> Option<f64> {
    label.parse().ok().filter(|number: &f64| number.is_finite())
}

fn one<'a, Content>(row: &'a Row<Content>, expected: &'static str) -> Result<&'a str, TaskError> {
    match &row.label {
        Label::One(label) => Ok(label),
        _ => Err(wrong(row, expected)),
    }
}

fn wrong<Content>(row: &Row<Content>, expected: &'static str) -> TaskError {
    TaskError::WrongLabel {
        place: row.place.clone(),
        expected,
        found: row.label.to_string(),
    }
}

/// The distinct labels, sorted as numbers if all are integers.
fn class_names<'a>(labels: impl Iterator<Item = &'a String>) -> Vec<String> {
    let names: BTreeSet<&str> = labels.map(String::as_str).collect();
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let numbers: Option<Vec<i128>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut numbered: Vec<(i128, String)> = numbers.into_iter().zip(names).collect();
        numbered.sort();
        names = numbered.into_iter().map(|(_, name)| name).collect();
    }
    names
}
