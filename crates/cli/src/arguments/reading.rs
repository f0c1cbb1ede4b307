//! How a task is read.

use adaplace_task::{ClassWeights, Columns, ProblemKind, Reading};
use clap::Args;

use super::values::named;

/// How the rows of a task are read.
#[derive(Debug, Args)]
pub(crate) struct ReadingOptions {
    /// Column or key with the text, or with its words [default: text, else tokens]
    #[arg(long, value_name = "NAME")]
    text_column: Option<String>,
    /// Column or key with the second text of a pair [default: text_pair, if there is one]
    #[arg(long, value_name = "NAME")]
    pair_column: Option<String>,
    /// Column or key with the class, the number, or the tags of the words [default: label, else tags or spans]
    #[arg(long, value_name = "NAME")]
    label_column: Option<String>,
    /// Column with encoded pictures in Parquet [default: image, or the only column with pictures]
    #[arg(long, value_name = "NAME")]
    image_column: Option<String>,
    /// What is predicted [default: what `task.toml` in the task says, else completions of prompts, tags for
    /// lists of words, several classes for lists, a number for numbers with fractions, and one class]
    #[arg(long, value_name = "KIND", value_parser = named::<ProblemKind>())]
    problem: Option<ProblemKind>,
    /// How much the examples of each class, or the words with each tag, count in the loss
    #[arg(long, value_name = "WEIGHTS", default_value = "equal", value_parser = named::<ClassWeights>())]
    class_weights: ClassWeights,
}

impl ReadingOptions {
    /// What was given, with defaults for the rest.
    pub(crate) fn reading(&self) -> Reading {
        let usual = Columns::default();
        let or = |given: &Option<String>, usual| given.clone().unwrap_or(usual);
        let columns = Columns {
            text: or(&self.text_column, usual.text),
            pair: or(&self.pair_column, usual.pair),
            label: or(&self.label_column, usual.label),
            image: or(&self.image_column, usual.image),
        };
        Reading {
            columns,
            problem: self.problem,
            class_weights: self.class_weights,
        }
    }
}
