use adaplace_task::Examples;

use crate::StateCache;

/// Examples to train or evaluate on, with the frozen states where they are kept.
#[derive(Debug, Clone, Copy)]
pub struct Dataset<'a> {
    /// The examples.
    pub examples: &'a Examples,
    /// Their frozen states; without them every batch starts at the embedding.
    pub cache: Option<&'a StateCache>,
}

impl<'a> From<&'a Examples> for Dataset<'a> {
    fn from(examples: &'a Examples) -> Self {
        Self {
            examples,
            cache: None,
        }
    }
}
