//! Statistics that compare the gradients of different examples. They measure how well a connection's gradient on some
//! examples predicts its effect on others.

use adaplace_arithmetic::Arithmetic;
use adaplace_search_space::Connection;
use adaplace_task::{Examples, evaluation_batches};

use crate::directions::{Directions, LEADING};
use crate::engine::shards_of;
use crate::evaluation::features;
use crate::example_gradients::example_gradients;
use crate::gradient_sums::{Side, Summed, for_connections};
use crate::singular_values::{Decomposition, cosine};
use crate::{
    Dataset, GradientMapSettings, JointJudgement, LinearProbe, Model, ScoreError, Statistic,
    Statistics,
};

/// The cross-fitted statistics of the connections of a map, in their order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CrossFit {
    validation_alignment: Vec<f64>,
    /// The joint judgement, which exists only at the frozen model.
    joint: Option<JointJudgement>,
    /// The statistics of the halves, which exist only if one of them was asked for.
    halves: Option<Halves>,
}

/// The statistics that compare the two halves of the training examples.
#[derive(Debug, Clone, PartialEq)]
struct Halves {
    alignment: Vec<f64>,
    agreement: Vec<f64>,
}

/// The results for a connection from its gradient matrices on the training and the validation part.
struct OfParts {
    singular_values: Vec<f64>,
    validation_alignment: f64,
    /// The leading directions of the training part.
    directions: Directions,
    /// The derivatives of the validation loss along the first of these directions.
    validation: Vec<f64>,
}

/// Runs one more forward and backward pass over the training examples, along the directions of their gradients.
fn joint<A: Arithmetic>(
    model: &Model<'_, A>,
    train: &Examples,
    connections: &[Connection],
    settings: &GradientMapSettings,
    of_parts: &[OfParts],
) -> Result<JointJudgement, ScoreError> {
    let directions: Vec<&Directions> = of_parts.iter().map(|one| &one.directions).collect();
    let batches = evaluation_batches(&train.lengths(), settings.batch_size.get());
    let data = Dataset::from(train);
    let shards = shards_of(model.backbone(), data, &batches)?;
    let examples = example_gradients(connections, &directions, model, &shards)?;
    let validation = of_parts.iter().flat_map(|one| {
        let rest = -one.validation_alignment - one.validation.iter().sum::<f64>();
        one.validation.iter().copied().chain([rest])
    });
    let validation = validation.collect();
    Ok(JointJudgement::new(
        connections.to_vec(),
        examples,
        validation,
    ))
}

impl CrossFit {
    /// The statistics of `model` that are among `statistics`, and the singular values of its map on `train`.
    pub(crate) fn compute<A: Arithmetic>(
        model: &Model<'_, A>,
        (train, validation): (&Examples, &Examples),
        connections: &[Connection],
        settings: &GradientMapSettings,
        statistics: &Statistics,
    ) -> Result<(Self, Vec<Vec<f64>>), ScoreError> {
        let sides = [(model, train), (model, validation)];
        let of_parts = on_both(sides, connections, settings, |[a, b]| {
            let of_train = Decomposition::of(a.sums)?;
            Ok(OfParts {
                singular_values: of_train.singular_values(),
                validation_alignment: step(&of_train, b)?,
                directions: of_train.directions(JointJudgement::PAIRS),
                validation: of_train
                    .directions(LEADING)
                    .decreases(b.sums, b.predictions),
            })
        })?;
        let joint = match model.parameters().placement().is_empty() {
            true => Some(joint(model, train, connections, settings, &of_parts)?),
            false => None,
        };
        let (sums, validation_alignment): (Vec<Vec<f64>>, Vec<f64>) = of_parts
            .into_iter()
            .map(|of_part| (of_part.singular_values, of_part.validation_alignment))
            .unzip();
        let compare_halves = statistics
            .as_slice()
            .iter()
            .any(|statistic| matches!(statistic, Statistic::Alignment | Statistic::Agreement));
        let halves = match compare_halves {
            true => Some(Halves::compute(
                model,
                (train, validation),
                connections,
                settings,
            )?),
            false => None,
        };
        let count = train.len() as f64;
        let singular_values = sums
            .into_iter()
            .map(|values| values.into_iter().map(|s| s / count).collect())
            .collect();
        let fit = Self {
            validation_alignment,
            joint,
            halves,
        };
        Ok((fit, singular_values))
    }

    /// The judgement of sets of connections, if the map was computed at the frozen model.
    pub(crate) fn joint(&self) -> Option<&JointJudgement> {
        self.joint.as_ref()
    }

    /// The values of one statistic, if it was computed.
    pub(crate) fn of(&self, statistic: Statistic) -> Option<&[f64]> {
        match statistic {
            Statistic::Alignment => self.halves.as_ref().map(|halves| &halves.alignment[..]),
            Statistic::ValidationAlignment => Some(&self.validation_alignment),
            Statistic::Agreement => self.halves.as_ref().map(|halves| &halves.agreement[..]),
            Statistic::Rank
            | Statistic::RelativeRank
            | Statistic::EffectiveRank
            | Statistic::StableRank
            | Statistic::NuclearNorm
            | Statistic::FrobeniusNorm
            | Statistic::SpectralNorm => None,
        }
    }
}

impl Halves {
    /// Computes each half's gradients at the linear probe of the other half.
    fn compute<A: Arithmetic>(
        model: &Model<'_, A>,
        (train, validation): (&Examples, &Examples),
        connections: &[Connection],
        settings: &GradientMapSettings,
    ) -> Result<Self, ScoreError> {
        let halves = [0, 1].map(|first| {
            let rows: Vec<usize> = (first..train.len()).step_by(2).collect();
            train.select(&rows)
        });
        let fitted = |half: &Examples| fitted_to(model, half, validation, settings);
        let (first, second) = (fitted(&halves[0])?, fitted(&halves[1])?);
        let crossed = [(&first, &halves[1]), (&second, &halves[0])];
        let of_halves = on_both(crossed, connections, settings, |[a, b]| {
            let (of_a, of_b) = (Decomposition::of(a.sums)?, Decomposition::of(b.sums)?);
            let both_ways = (step(&of_a, b)? + step(&of_b, a)?) / 2.0;
            Ok((both_ways, cosine(a.sums, b.sums)))
        })?;
        let (alignment, agreement) = of_halves.into_iter().unzip();
        Ok(Self {
            alignment,
            agreement,
        })
    }
}

/// <U V^T, G'> with G = U S V^T. The first factor does not depend on the number of examples, and the second is their
/// mean.
fn step(of: &Decomposition, on: Summed<'_>) -> Result<f64, String> {
    Ok(of.alignment(on.sums)? / on.predictions as f64)
}

/// The model's adapters with the linear probe that was fitted to its features on some examples.
fn fitted_to<'a, A: Arithmetic>(
    model: &Model<'a, A>,
    examples: &Examples,
    validation: &Examples,
    settings: &GradientMapSettings,
) -> Result<Model<'a, A>, ScoreError> {
    let classes = model.parameters().classes();
    if classes == 0 {
        // The head over the vocabulary is not fitted.
        return Ok(model.clone());
    }
    let of = |examples| features(model, Dataset::from(examples), settings.batch_size.get());
    let probe = LinearProbe::fit(&of(examples)?, &of(validation)?, classes)?;
    let parameters = model.parameters().clone().with_head(&probe.head());
    Model::new(model.backbone(), parameters)
}

/// The results of `work` on the gradient matrices of two models, each on its own examples.
fn on_both<T: Send, A: Arithmetic>(
    sides: [(&Model<'_, A>, &Examples); 2],
    connections: &[Connection],
    settings: &GradientMapSettings,
    work: impl Fn([Summed<'_>; 2]) -> Result<T, String> + Sync,
) -> Result<Vec<T>, ScoreError> {
    let batches = sides
        .map(|(_, examples)| evaluation_batches(&examples.lengths(), settings.batch_size.get()));
    let cut = |side: usize| {
        let (model, examples) = sides[side];
        shards_of(model.backbone(), Dataset::from(examples), &batches[side])
    };
    let cut = [cut(0)?, cut(1)?];
    let side = |side: usize| Side {
        model: sides[side].0,
        shards: &cut[side],
    };
    for_connections(&[side(0), side(1)], connections, |matrices| {
        work([matrices[0], matrices[1]])
    })
}
