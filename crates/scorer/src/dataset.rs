use adaplace_arithmetic::{Arithmetic, Cpu};
use adaplace_task::Examples;

use crate::StateCache;

/// Examples to train or evaluate on, with their frozen states if these are cached.
#[derive(Debug)]
pub struct Dataset<'a, A: Arithmetic = Cpu> {
    /// The examples themselves.
    pub examples: &'a Examples,
    /// The cached frozen states. Without them every batch starts at the embedding.
    pub cache: Option<&'a StateCache<A>>,
}

impl<A: Arithmetic> Clone for Dataset<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Arithmetic> Copy for Dataset<'_, A> {}

impl<'a, A: Arithmetic> From<&'a Examples> for Dataset<'a, A> {
    fn from(examples: &'a Examples) -> Self {
        Self {
            examples,
            cache: None,
        }
    }
}
