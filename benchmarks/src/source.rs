//! Where the examples of a work come from.

use std::path::PathBuf;

use adaplace_study::Problem;
use adaplace_task::{Columns, EncodedText, Examples, Inputs};
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// A backbone, and a task folder with what is taken from it. Loading it again gives the same examples.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Source {
    /// Hugging Face model folder.
    pub(crate) backbone: PathBuf,
    pub(crate) task: PathBuf,
    /// Size of the training part.
    pub(crate) train_examples: usize,
    /// Every example has exactly so many tokens, made of several texts.
    pub(crate) tokens: Option<usize>,
}

/// Validation examples of exactly `tokens` tokens: enough to compare the engines, few enough to prepare quickly.
const MOST_CUT_VALIDATION_EXAMPLES: usize = 128;

impl Source {
    pub(crate) fn load(&self, seed: u64) -> Result<Problem> {
        let examples = Some(self.train_examples);
        let mut problem = Problem::for_search(
            (&self.backbone, None),
            (&self.task, &Columns::default()),
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

/// Each text and those behind it, put together and cut to `tokens`, with the label of the first.
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
        labels: examples.labels[..count].to_vec(),
    })
}
