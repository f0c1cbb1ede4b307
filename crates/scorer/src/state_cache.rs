use adaplace_backbone::{Backbone, TokenMask};
use adaplace_task::{Examples, evaluation_batches};
use candle_core::{Device, Tensor};

use crate::ScoreError;
use crate::evaluation::inputs;
use crate::frozen::Frozen;

/// All hidden states of the frozen backbone for some examples, without padding.
///
/// The backbone never changes, so the states below the earliest target of a placement are the same in every epoch of
/// every trial: they are computed once and looked up ever after.
#[derive(Debug)]
pub struct StateCache {
    width: usize,
    /// Where the tokens of each example begin, and the end of the last one.
    offsets: Vec<usize>,
    /// By state: (tokens of all examples, width), row-major.
    states: Vec<Vec<f32>>,
    /// Whether examples differ in length, so that batches of them are padded.
    padded: bool,
}

impl StateCache {
    /// Runs the backbone once over `examples`, in batches of `batch_size`.
    ///
    /// # Errors
    /// If the inputs are not of the backbone's kind.
    pub fn new(
        backbone: &Backbone,
        examples: &Examples,
        batch_size: usize,
    ) -> Result<Self, ScoreError> {
        let (states, width) = shape(backbone);
        let fixed = backbone.description().input.fixed_tokens();
        let mut offsets = vec![0];
        for length in examples.lengths() {
            let before = offsets[offsets.len() - 1];
            offsets.push(before + fixed.unwrap_or(length));
        }
        let tokens = offsets[offsets.len() - 1];
        let mut cache = Self {
            width,
            offsets,
            states: vec![vec![0.0; tokens * width]; states],
            padded: fixed.is_none(),
        };
        for rows in evaluation_batches(&examples.lengths(), batch_size) {
            let inputs = inputs(&examples.batch(&rows))?;
            let frozen = Frozen::computed(backbone, &inputs);
            for n in 0..states {
                cache.store(n, &rows, &frozen.state(n)?)?;
            }
        }
        Ok(cache)
    }

    /// Bytes that a cache of these examples takes.
    #[must_use]
    pub fn size(backbone: &Backbone, examples: &Examples) -> usize {
        let (states, width) = shape(backbone);
        let fixed = backbone.description().input.fixed_tokens();
        let lengths = examples.lengths().into_iter();
        let tokens: usize = lengths.map(|length| fixed.unwrap_or(length)).sum();
        tokens * width * states * size_of::<f32>()
    }

    /// h_n of the examples at `rows`, (rows, tokens of the longest, width); zeros behind the end of shorter ones.
    pub(crate) fn gather(&self, n: usize, rows: &[usize]) -> Result<Tensor, ScoreError> {
        let longest = self.longest(rows);
        let mut values = Vec::with_capacity(rows.len() * longest * self.width);
        for (place, &row) in rows.iter().enumerate() {
            values.extend_from_slice(&self.states[n][self.range(row)]);
            values.resize((place + 1) * longest * self.width, 0.0);
        }
        let shape = (rows.len(), longest, self.width);
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Which tokens of [`Self::gather`] are real; images have no mask.
    pub(crate) fn mask(&self, rows: &[usize]) -> Option<TokenMask> {
        let longest = self.longest(rows);
        let mut keep = Vec::with_capacity(rows.len() * longest);
        for (place, &row) in rows.iter().enumerate() {
            keep.resize(keep.len() + self.length(row), 1);
            keep.resize((place + 1) * longest, 0);
        }
        self.padded
            .then(|| TokenMask::new(rows.len(), longest, &keep))
    }

    /// Keeps h_n of the examples at `rows`, (rows, tokens, width).
    fn store(&mut self, n: usize, rows: &[usize], state: &Tensor) -> Result<(), ScoreError> {
        let values = state.flatten(1, 2)?.to_vec2::<f32>()?;
        for (&row, values) in rows.iter().zip(&values) {
            let range = self.range(row);
            let length = range.len();
            self.states[n][range].copy_from_slice(&values[..length]);
        }
        Ok(())
    }

    fn longest(&self, rows: &[usize]) -> usize {
        let lengths = rows.iter().map(|&row| self.length(row));
        lengths.max().unwrap_or_default()
    }

    fn length(&self, row: usize) -> usize {
        self.offsets[row + 1] - self.offsets[row]
    }

    fn range(&self, row: usize) -> std::ops::Range<usize> {
        self.offsets[row] * self.width..self.offsets[row + 1] * self.width
    }
}

/// Hidden states and their width.
fn shape(backbone: &Backbone) -> (usize, usize) {
    let description = backbone.description();
    (description.hidden_states, description.width)
}

#[cfg(test)]
mod tests {
    use adaplace_task::BatchInputs;
    use adaplace_testkit::TextTask;

    use super::*;
    use crate::support::{error_by, tiny_bert, tiny_task, values};

    /// Looked up states are those of a forward over the same batch; behind the end of a text they are zero.
    #[test]
    fn states_are_those_of_the_backbone() {
        let backbone = tiny_bert();
        let examples = tiny_task(&TextTask::default()).train;
        let cache = StateCache::new(&backbone, &examples, 7).unwrap();
        let rows = [41, 3, 17, 8, 3];
        let batch = examples.batch(&rows);
        let inputs = inputs(&batch).unwrap();
        let BatchInputs::Text { mask, .. } = &batch.inputs else {
            panic!("this is a text task")
        };
        assert_eq!(cache.mask(&rows).unwrap().values(), &mask[..]);
        let real = inputs.mask().unwrap().to_tensor(&Device::Cpu).unwrap();
        let computed = Frozen::computed(&backbone, &inputs);
        for n in 0..5 {
            let expected = computed.state(n).unwrap();
            let expected = expected.broadcast_mul(&real.unsqueeze(2).unwrap()).unwrap();
            let found = cache.gather(n, &rows).unwrap();
            assert_eq!(found.dims(), expected.dims());
            let error = error_by(&expected, &found, &expected);
            assert!(error < 1e-6, "state {n} is {error:e} off");
            let padding = values(&found)
                .into_iter()
                .zip(mask.iter().flat_map(|m| [m; 32]));
            assert!(
                padding
                    .filter(|(_, mask)| **mask == 0)
                    .all(|(value, _)| value == 0.0)
            );
        }
    }

    #[test]
    fn size_counts_every_value() {
        let backbone = tiny_bert();
        let examples = tiny_task(&TextTask::default()).train;
        let cache = StateCache::new(&backbone, &examples, 16).unwrap();
        let stored: usize = cache.states.iter().map(Vec::len).sum();
        assert_eq!(StateCache::size(&backbone, &examples), 4 * stored);
        let tokens: usize = examples.lengths().iter().sum();
        assert_eq!(stored, tokens * 32 * 5);
    }

    /// States asked for out of order are the same as in order.
    #[test]
    fn the_order_of_asking_changes_nothing() {
        let backbone = tiny_bert();
        let examples = tiny_task(&TextTask::default()).train;
        let inputs = inputs(&examples.batch(&[0, 1, 2])).unwrap();
        let (one, other) = (
            Frozen::computed(&backbone, &inputs),
            Frozen::computed(&backbone, &inputs),
        );
        let forwards: Vec<_> = (0..5).map(|n| values(&one.state(n).unwrap())).collect();
        for n in [3, 1, 4, 0, 2] {
            assert_eq!(values(&other.state(n).unwrap()), forwards[n]);
        }
    }
}
