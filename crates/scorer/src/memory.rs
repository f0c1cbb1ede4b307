//! The memory that a study needs on a processor, estimated from shapes before it starts.

use adaplace_backbone::Backbone;
use adaplace_search_space::Count;
use adaplace_task::{Examples, ProblemKind, Task};

use crate::directions::MAPS;
use crate::engine::{LOGITS_ON_PROCESSOR, TOKENS_PER_SHARD};
use crate::gradient_sums::{MOST_SUMS, product_rows};
use crate::{JointJudgement, StateCache};

/// The memory in bytes that a study is expected to need on a processor beside the weights as they are stored and the
/// examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedMemory {
    /// The frozen chain and the head over the vocabulary that language modelling needs, prepared for products.
    pub chain: usize,
    /// The cached states of the frozen chain.
    pub states: usize,
    /// The gradient map, which is freed before the trainings.
    pub map: usize,
    /// The steps of trainings side by side.
    pub steps: usize,
}

/// The numbers on which the memory of a study depends in addition to backbone and task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StudySize {
    /// The number of examples in a batch.
    pub batch_size: Count,
    /// The number of connections of the gradient map.
    pub connections: usize,
    /// The largest size of the cached states in bytes.
    pub cache: Option<usize>,
    /// The number of trainings side by side.
    pub workers: usize,
    /// The number of threads.
    pub threads: usize,
}

impl ExpectedMemory {
    /// The memory of a study of this size.
    #[must_use]
    pub fn of(backbone: &Backbone, task: &Task, size: StudySize) -> Self {
        let description = backbone.description();
        let states = |examples: &Examples| StateCache::size(backbone, examples);
        let all_states = states(&task.train) + states(&task.validation);
        let lengths = match description.input.fixed_tokens() {
            Some(tokens) => vec![tokens; task.train.len()],
            None => task.train.lengths(),
        };
        let all_tokens: usize = lengths.iter().sum();
        let tokens = all_tokens * size.batch_size.get() / lengths.len().max(1);
        let longest = lengths.iter().copied().max().unwrap_or_default();
        let bytes_each = bytes_per_token(backbone, longest);
        let (matrix, threads) = (description.width.pow(2), size.threads);

        // Both sides have their sums, and their operands once by shard and once put together.
        let sums = (2 * size.connections * matrix).min(MOST_SUMS);
        let columns = 2 * description.hidden_states * description.width;
        let operands = 2 * product_rows(columns) * columns;
        let directions = 2 * size.connections * JointJudgement::PAIRS * description.width;
        let single = sums.max(directions) + operands + size.connections * MAPS * task.train.len();
        // A decomposition keeps the matrix, its Gram matrix, the vectors and two products with them, and needs as much
        // while it runs.
        let double = threads * 8 * matrix;
        let (head, logits) = match task.problem() {
            ProblemKind::LanguageModelling => {
                let logits = threads * LOGITS_ON_PROCESSOR * size_of::<f32>();
                (backbone.prepared_head_bytes(), logits)
            }
            _ => (0, 0),
        };
        let shards = tokens.min(threads * TOKENS_PER_SHARD) * bytes_each + logits;
        Self {
            chain: backbone.prepared_bytes() + head,
            states: size.cache.map_or(all_states, |cache| cache.min(all_states)),
            map: single * size_of::<f32>() + double * size_of::<f64>() + shards,
            steps: size.workers * tokens * bytes_each + logits,
        }
    }

    /// The largest amount at a time: the map and the steps follow one another.
    #[must_use]
    pub fn most(&self) -> usize {
        self.chain + self.states + self.map.max(self.steps)
    }
}

/// The approximate number of bytes that a forward and a backward pass need for each token: of every sublayer the hidden
/// layer and the scores, of every state its values, normalised ones, two gradients and what its norm keeps, and what
/// passes from one to the next.
fn bytes_per_token(backbone: &Backbone, longest: usize) -> usize {
    let description = backbone.description();
    let hidden = backbone.hidden_widths();
    let widest = hidden.iter().copied().max().unwrap_or_default();
    let scores = description.heads * longest;
    let states = 5 * description.hidden_states * description.width;
    let kept = hidden.iter().sum::<usize>() + description.blocks * scores + states;
    let passing = 6 * description.width + 3 * scores + 2 * widest;
    (kept + passing) * size_of::<f32>()
}

#[cfg(test)]
mod tests {
    use adaplace_testkit::TextTask;

    use super::*;
    use crate::support::{tiny_bert, tiny_task};

    /// The tiny backbone has 2 blocks of width 32 with an MLP of 64: 2 (4 x 32^2 + 2 x 32 x 64) weights.
    #[test]
    fn the_parts_are_those_of_the_shapes() {
        let backbone = tiny_bert();
        let task = tiny_task(&TextTask::default());
        let of = |connections, cache| {
            let size = StudySize {
                batch_size: Count::of(8),
                connections,
                cache,
                workers: 2,
                threads: 2,
            };
            ExpectedMemory::of(&backbone, &task, size)
        };
        let whole = of(25, None);
        assert_eq!(whole.chain, 2 * (4 * 1024 + 2 * 2048) * 2 * 4);
        let tokens: usize = task.train.lengths().iter().sum::<usize>()
            + task.validation.lengths().iter().sum::<usize>();
        assert_eq!(whole.states, tokens * 32 * 5 * 4);
        assert_eq!(of(25, Some(1000)).states, 1000);
        // Of a token, the hidden layers of both blocks are 96 and 64 wide, and there are 5 states.
        let longest = task.train.lengths().into_iter().max().unwrap();
        let scores = 4 * longest;
        let kept = 2 * (96 + 64 + scores) + 25 * 32;
        let bytes = (kept + 6 * 32 + 3 * scores + 2 * 96) * 4;
        let tokens = task.train.lengths().iter().sum::<usize>() * 8 / task.train.len();
        assert_eq!(whole.steps, 2 * tokens * bytes);
        let fewer = whole.map - of(15, None).map;
        assert_eq!(fewer, 10 * (2 * 1024 + MAPS * task.train.len()) * 4);
        assert_eq!(
            whole.most(),
            whole.chain + whole.states + whole.map.max(whole.steps)
        );
    }
}
