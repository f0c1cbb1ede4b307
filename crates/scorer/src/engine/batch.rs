use adaplace_backbone::{Backbone, Inputs};

use super::workspace::State;
use crate::evaluation::inputs;
use crate::{Dataset, ScoreError};

/// The approximate number of tokens in a shard: enough for the products to run at full speed, few enough for what the
/// backward pass needs to stay in the caches.
const TOKENS_PER_SHARD: usize = 256;

/// The number of shards is a multiple of this, so two threads have equal amounts of work.
const SHARDS_TOGETHER: usize = 2;

/// Whole examples that one thread processes together.
pub(crate) struct Shard<'a> {
    /// The row at which each example starts, followed by the number of rows.
    pub(crate) examples: Vec<usize>,
    /// The offsets that the examples would have if each of them had a single row.
    pub(super) singles: Vec<usize>,
    /// The class of each example.
    pub(crate) labels: Vec<u32>,
    source: Source<'a>,
}

/// The origin of the frozen states.
enum Source<'a> {
    Inputs(Inputs),
    Dataset {
        data: Dataset<'a>,
        rows: &'a [usize],
    },
}

impl<'a> Shard<'a> {
    /// The examples of `data` at `rows`.
    pub(crate) fn of_dataset(backbone: &Backbone, data: Dataset<'a>, rows: &'a [usize]) -> Self {
        let fixed = backbone.description().input.fixed_tokens();
        let lengths = rows
            .iter()
            .map(|&row| fixed.unwrap_or_else(|| data.examples.length(row)));
        Self {
            examples: offsets(lengths),
            singles: (0..=rows.len()).collect(),
            labels: rows.iter().map(|&row| data.examples.labels[row]).collect(),
            source: Source::Dataset { data, rows },
        }
    }

    /// A batch that was put together elsewhere.
    pub(crate) fn of_inputs(backbone: &Backbone, inputs: Inputs, labels: Vec<u32>) -> Self {
        let lengths: Vec<usize> = match inputs.mask() {
            Some(mask) => {
                let (rows, _) = mask.shape();
                let real = |row| mask.row(row).iter().filter(|&&keep| keep != 0).count();
                (0..rows).map(real).collect()
            }
            None => {
                let fixed = backbone.description().input.fixed_tokens();
                vec![fixed.unwrap_or_default(); labels.len()]
            }
        };
        Self {
            singles: (0..=lengths.len()).collect(),
            examples: offsets(lengths.into_iter()),
            labels,
            source: Source::Inputs(inputs),
        }
    }

    /// The number of rows of a state.
    pub(crate) fn rows(&self) -> usize {
        self.examples.last().copied().unwrap_or_default()
    }

    /// Fetches the highest state up to h_n that is available without computing a sublayer, and returns its index. The
    /// state `computed` is in `frozen` already, and a higher one is stored there. The embedding is always available.
    pub(super) fn fetch(
        &self,
        backbone: &Backbone,
        n: usize,
        computed: Option<usize>,
        frozen: &mut [State],
    ) -> Result<usize, ScoreError> {
        let length = self.rows() * backbone.description().width;
        if let Source::Dataset { data, rows } = &self.source
            && let Some(cache) = data.cache
            && let Some(state) = cache.state(n)?
        {
            state.gather(rows, frozen[n].write(length));
            return Ok(n);
        }
        if let Some(computed) = computed {
            return Ok(computed);
        }
        let embedded = match &self.source {
            Source::Inputs(inputs) => backbone.embed_rows(inputs)?,
            Source::Dataset { data, rows } => {
                backbone.embed_rows(&inputs(&data.examples.batch(rows))?)?
            }
        };
        frozen[0].write(length).copy_from_slice(&embedded);
        Ok(0)
    }
}

fn offsets(lengths: impl Iterator<Item = usize>) -> Vec<usize> {
    let mut end = 0;
    let ends = lengths.map(|length| {
        end += length;
        end
    });
    std::iter::once(0).chain(ends.collect::<Vec<_>>()).collect()
}

/// The examples of `data` at `rows`, cut into shards with about the same number of tokens.
pub(crate) fn shards<'a>(
    backbone: &Backbone,
    data: Dataset<'a>,
    rows: &'a [usize],
) -> Vec<Shard<'a>> {
    let cut = shard_rows(backbone, data, rows).into_iter();
    cut.map(|rows| Shard::of_dataset(backbone, data, rows))
        .collect()
}

/// The rows of each shard, as cut by [`shards`].
pub(crate) fn shard_rows<'a>(
    backbone: &Backbone,
    data: Dataset<'_>,
    rows: &'a [usize],
) -> Vec<&'a [usize]> {
    let fixed = backbone.description().input.fixed_tokens();
    let length = |row: usize| fixed.unwrap_or_else(|| data.examples.length(row));
    let tokens: usize = rows.iter().map(|&row| length(row)).sum();
    let count = tokens.div_ceil(SHARDS_TOGETHER * TOKENS_PER_SHARD) * SHARDS_TOGETHER;
    let mut cut = Vec::with_capacity(count);
    let (mut begin, mut sum) = (0, 0);
    for (index, &row) in rows.iter().enumerate() {
        sum += length(row);
        // A shard ends with the first example that reaches its share.
        if sum * count >= tokens * (cut.len() + 1) {
            cut.push(&rows[begin..=index]);
            begin = index + 1;
        }
    }
    cut
}
