use adaplace_task::Examples;

use crate::StateCache;

/// Examples to train or evaluate on, with their frozen states if these are cached.
#[derive(Debug, Clone, Copy)]
pub struct Dataset<'a> {
    /// The examples themselves.
    pub examples: &'a Examples,
    /// The cached frozen states. Without them every batch starts at the embedding.
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
