//! The origin of the examples of a work.

use std::path::PathBuf;

use adaplace_study::Problem;
use adaplace_task::{EncodedText, Examples, Inputs, Reading};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// A backbone and a task folder, with the choice of examples. Loading it again leads to the same examples.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// The Hugging Face model folder of the backbone.
    pub(crate) backbone: PathBuf,
    pub(crate) task: PathBuf,
    /// The size of the training part.
    pub(crate) train_examples: usize,
    /// The number of tokens of every example, if examples are made up of several texts to reach it.
    pub(crate) tokens: Option<usize>,
}

/// The largest number of validation examples with exactly `tokens` tokens: enough to compare the engines, few enough to
/// prepare quickly.
const MOST_CUT_VALIDATION_EXAMPLES: usize = 128;

impl Source {
    pub(crate) fn load(&self, seed: u64) -> Result<Problem> {
        let examples = Some(self.train_examples);
        let mut problem = Problem::for_search(
            (&self.backbone, None),
            (&self.task, &Reading::default()),
            None,
            examples,
            seed,
        )?;
        if let Some(tokens) = self.tokens {
            let task = &mut problem.task;
            task.train = cut(&task.train, tokens, usize::MAX)?;
            task.validation = cut(&task.validation, tokens, MOST_CUT_VALIDATION_EXAMPLES)?;
        }
        Ok(problem)
    }
}

/// Joins each text with the following ones, cuts the result to `tokens`, and uses the label of the first text.
fn cut(examples: &Examples, tokens: usize, most: usize) -> Result<Examples> {
    let Inputs::Text(texts) = &examples.inputs else {
        bail!("only texts can be cut to {tokens} tokens");
    };
    let count = examples.len().min(most);
    let text = |first: usize| EncodedText {
        ids: (texts.texts.iter().cycle().skip(first))
            .flat_map(|text| text.ids.iter().copied())
            .take(tokens)
            .collect(),
        type_ids: vec![0; tokens],
        cut: false,
    };
    let mut chosen = texts.clone();
    chosen.texts = (0..count).map(text).collect();
    Ok(Examples {
        inputs: Inputs::Text(chosen),
        labels: examples.labels.select(&(0..count).collect::<Vec<_>>()),
        class_weights: None,
    })
}
