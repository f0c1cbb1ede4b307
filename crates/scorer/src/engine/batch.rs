use std::ops::Range;

#[cfg(test)]
use adaplace_arithmetic::TargetValues;
use adaplace_arithmetic::{Arithmetic, Targets};
#[cfg(test)]
use adaplace_backbone::Inputs;
use adaplace_backbone::{Backbone, FeatureRows, InputDescription};
use adaplace_task::ProblemKind;
use rayon::prelude::*;

use super::workspace::{State, Workspace};
use crate::inputs::inputs;
use crate::row_loss::targets;
use crate::{Dataset, ScoreError};

/// The approximate number of tokens in a shard: enough for the products to run at full speed, few enough for what the
/// backward pass needs to stay in the caches.
pub(crate) const TOKENS_PER_SHARD: usize = 256;

/// The number of shards is a multiple of this, so two threads have equal amounts of work.
const SHARDS_TOGETHER: usize = 2;

/// The approximate number of tokens that a device processes at once where no batch says how many.
pub(crate) const TOKENS_ON_DEVICE: usize = 16_384;

/// Whole examples that one thread processes together.
pub(crate) struct Shard<'a, A: Arithmetic> {
    /// The row at which each example starts, followed by the number of rows: the examples for the first model, then the
    /// same ones for the second.
    pub(crate) examples: A::Rows,
    /// The offsets that the examples would have if each of them had a single row.
    pub(super) singles: A::Rows,
    /// The offsets of the examples for a single model, if there are several.
    of_one: Option<A::Rows>,
    /// The rows at which each example is read, followed by the number of rows: those of the first model, then those of the
    /// second. `None` if examples are pooled.
    read: Option<A::Rows>,
    /// What the logits should be.
    pub(super) targets: Vec<TargetBlock<A>>,
    /// The number of predictions for the examples of a single model.
    pub(crate) predictions: usize,
    /// The number of examples.
    pub(crate) count: usize,
    /// The number of models.
    models: usize,
    source: Source<'a, A>,
}

/// Some of a shard's predictions, whose logits are in memory at the same time: all of them with a trained head, and few over
/// a vocabulary.
pub(super) struct TargetBlock<A: Arithmetic> {
    /// The predictions for a single model.
    pub(super) predictions: Range<usize>,
    pub(super) targets: A::Targets,
}

/// The approximate number of logits over a vocabulary in memory at a time: 16 MiB for each thread of a processor, and 256 MiB
/// on a device.
pub(crate) const LOGITS_ON_PROCESSOR: usize = 4 << 20;
const LOGITS_ON_DEVICE: usize = 64 << 20;

/// The origin of the frozen states.
enum Source<'a, A: Arithmetic> {
    #[cfg(test)]
    Inputs(Inputs),
    Dataset {
        data: Dataset<'a, A>,
        rows: &'a [usize],
    },
}

impl<'a, A: Arithmetic> Shard<'a, A> {
    /// The examples of `data` at `rows`, for each of several models.
    pub(crate) fn of_dataset(
        backbone: &Backbone<A>,
        data: Dataset<'a, A>,
        rows: &'a [usize],
        models: usize,
    ) -> Result<Self, ScoreError> {
        let fixed = backbone.description().input.fixed_tokens();
        let length = |&row: &usize| fixed.unwrap_or_else(|| data.examples.length(row));
        let offsets = std::iter::once(0).chain(rows.iter().scan(0, |end, row| {
            *end += length(row);
            Some(*end)
        }));
        let offsets: Vec<usize> = offsets.collect();
        let labels = &data.examples.labels;
        let read = rows.iter().zip(&offsets).map(|(&row, start)| {
            let tokens = labels.tokens(row)?.iter();
            Some(tokens.map(move |one| start + one.token as usize))
        });
        let read: Option<Vec<_>> = read.collect();
        let read = read.map(|read| read.into_iter().flatten().collect());
        let most = match (labels.problem(), &backbone.description().input) {
            (ProblemKind::LanguageModelling, InputDescription::Text { vocabulary, .. }) => {
                let logits = match A::ON_PROCESSOR {
                    true => LOGITS_ON_PROCESSOR,
                    false => LOGITS_ON_DEVICE,
                };
                (logits / (vocabulary * models)).max(1)
            }
            _ => usize::MAX,
        };
        let targets = targets(data.examples, rows);
        let source = Source::Dataset { data, rows };
        let arithmetic = backbone.arithmetic();
        Self::new(arithmetic, offsets, (read, targets, most), models, source)
    }

    /// The shard of examples with these offsets. They are read at the given rows, or pooled, and the logits of `most`
    /// predictions at most are in memory at a time.
    fn new(
        arithmetic: &A,
        offsets: Vec<usize>,
        (read, targets, most): (Option<Vec<usize>>, Targets, usize),
        models: usize,
        source: Source<'a, A>,
    ) -> Result<Self, ScoreError> {
        let count = offsets.len() - 1;
        let rows = offsets.last().copied().unwrap_or_default();
        let of_all = |starts: &[usize]| {
            let of_model = |model| starts.iter().map(move |start| model * rows + start);
            let starts = (0..models).flat_map(of_model);
            starts.chain([models * rows]).collect::<Vec<usize>>()
        };
        let predictions = targets.len();
        let blocks = targets.blocks(most).into_iter();
        let block = |(predictions, targets)| {
            Ok(TargetBlock {
                predictions,
                targets: arithmetic.targets(targets)?,
            })
        };
        Ok(Self {
            read: match read {
                Some(read) => Some(arithmetic.rows(of_all(&read))?),
                None => None,
            },
            targets: blocks.map(block).collect::<Result<_, ScoreError>>()?,
            predictions,
            examples: arithmetic.rows(of_all(&offsets[..count]))?,
            singles: arithmetic.rows((0..=models * count).collect())?,
            of_one: match models {
                1 => None,
                _ => Some(arithmetic.rows(offsets)?),
            },
            count,
            models,
            source,
        })
    }

    /// A batch that was put together elsewhere.
    #[cfg(test)]
    pub(crate) fn of_inputs(
        backbone: &Backbone<A>,
        inputs: &Inputs,
        labels: &[u32],
    ) -> Result<Self, ScoreError> {
        let source = Source::Inputs(inputs.clone());
        let offsets = backbone.offsets(inputs);
        let targets = TargetValues::Classes(labels.to_vec()).into();
        let read = (None, targets, usize::MAX);
        Self::new(backbone.arithmetic(), offsets, read, 1, source)
    }

    /// Whether single tokens of examples are read.
    pub(super) fn reads_tokens(&self) -> bool {
        self.read.is_some()
    }

    /// The rows of the last state that become features, where `pooled` are the offsets of its examples.
    pub(super) fn feature_rows<'s>(&'s self, pooled: &'s A::Rows) -> FeatureRows<'s, A::Rows> {
        match &self.read {
            Some(read) => FeatureRows::Each(read),
            None => FeatureRows::Pooled(pooled),
        }
    }

    /// The number of rows of a state for a single model.
    pub(crate) fn rows(&self) -> usize {
        self.examples.last().copied().unwrap_or_default() / self.models
    }

    /// The offsets of the examples for a single model.
    pub(super) fn of_one(&self) -> &A::Rows {
        self.of_one.as_ref().unwrap_or(&self.examples)
    }

    /// Fetches the highest state up to h_n that is available without computing a sublayer, and returns its index. The
    /// state `computed` is in `frozen` already, and a higher one is stored there. The embedding is always available.
    pub(super) fn fetch(
        &self,
        backbone: &Backbone<A>,
        n: usize,
        computed: Option<usize>,
        frozen: &mut [State<A>],
    ) -> Result<usize, ScoreError> {
        match &self.source {
            #[cfg(test)]
            Source::Inputs(_) => {}
            Source::Dataset { data, rows } => {
                if let Some(cache) = data.cache
                    && let Some(state) = cache.state(n)?
                {
                    state.gather(backbone, rows, frozen[n].write())?;
                    return Ok(n);
                }
            }
        }
        if let Some(computed) = computed {
            return Ok(computed);
        }
        let embedded = match &self.source {
            #[cfg(test)]
            Source::Inputs(inputs) => backbone.embed(inputs)?,
            Source::Dataset { data, rows } => backbone.embed(&inputs(data.examples, rows))?,
        };
        let shape = (self.rows(), backbone.description().width);
        let fill = |to: &mut [f32]| to.copy_from_slice(&embedded);
        backbone
            .arithmetic()
            .write(shape, fill, frozen[0].write())?;
        Ok(0)
    }
}

/// The examples of `data` at `rows` for each of several models, cut into shards with about the same number of tokens if
/// the arithmetic wants them.
pub(crate) fn shards<'a, A: Arithmetic>(
    backbone: &Backbone<A>,
    data: Dataset<'a, A>,
    rows: &'a [usize],
    models: usize,
) -> Result<Vec<Shard<'a, A>>, ScoreError> {
    let cut = match A::ON_PROCESSOR {
        true => pieces(backbone, data, rows),
        false => vec![rows],
    };
    let cut = cut.into_iter();
    cut.map(|rows| Shard::of_dataset(backbone, data, rows, models))
        .collect()
}

/// The results of `work` for some batches or shards. A processor computes them in parallel on the current rayon pool, a
/// device one after the other, because each fills it.
pub(crate) fn for_all<A: Arithmetic, I: Sync, T: Send>(
    items: &[I],
    work: impl Fn(&I, &mut Workspace<A>) -> Result<T, ScoreError> + Sync,
) -> Result<Vec<T>, ScoreError> {
    let with_memory = |item: &I| Workspace::with(|workspace| work(item, workspace));
    match A::ON_PROCESSOR {
        true => items.par_iter().map(with_memory).collect(),
        false => items.iter().map(with_memory).collect(),
    }
}

/// The shards of several batches, for a single model.
pub(crate) fn shards_of<'a, A: Arithmetic>(
    backbone: &Backbone<A>,
    data: Dataset<'a, A>,
    batches: &'a [Vec<usize>],
) -> Result<Vec<Shard<'a, A>>, ScoreError> {
    let mut all = Vec::new();
    for rows in batches {
        all.extend(shards(backbone, data, rows, 1)?);
    }
    Ok(all)
}

/// The rows cut into pieces of whole examples that are computed at once: shards, or what a device has room for.
pub(crate) fn pieces<'a, A: Arithmetic>(
    backbone: &Backbone<A>,
    data: Dataset<'_, A>,
    rows: &'a [usize],
) -> Vec<&'a [usize]> {
    let (tokens_each, multiple) = match A::ON_PROCESSOR {
        true => (TOKENS_PER_SHARD, SHARDS_TOGETHER),
        false => (TOKENS_ON_DEVICE, 1),
    };
    let fixed = backbone.description().input.fixed_tokens();
    let length = |row: usize| fixed.unwrap_or_else(|| data.examples.length(row));
    let tokens: usize = rows.iter().map(|&row| length(row)).sum();
    let count = tokens.div_ceil(multiple * tokens_each) * multiple;
    let mut cut = Vec::with_capacity(count);
    let (mut begin, mut sum) = (0, 0);
    for (index, &row) in rows.iter().enumerate() {
        sum += length(row);
        // A piece ends with the first example that reaches its share.
        if sum * count >= tokens * (cut.len() + 1) {
            cut.push(&rows[begin..=index]);
            begin = index + 1;
        }
    }
    cut
}
