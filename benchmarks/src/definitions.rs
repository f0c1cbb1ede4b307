//! The definitions of the works by name.

use std::path::Path;

use adaplace_scorer::TrainingSettings;
use adaplace_search_space::{ChainShape, Placement, SearchSpace, SpaceDescription};
use anyhow::Result;
use clap::ValueEnum;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::source::Source;
use crate::work::{Kind, Pair};

/// The seed of placements, initial adapters, example order and the choice of examples.
pub(crate) const SEED: u64 = 0;
/// The rank of every adapter.
pub(crate) const RANK: u16 = 8;

const EXTENDED: &str = include_str!("../../search-spaces/extended.toml");

/// The name of a work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WorkName {
    /// Training steps, MiniLM, 32 x 64 tokens, connections 0->1 3->6 5->6
    #[value(name = "step-64")]
    Step64,
    /// Training steps, MiniLM, 32 x 16 tokens, connections 0->1 3->6 5->6
    #[value(name = "step-16")]
    Step16,
    /// A study of 64 random placements of 3 adapters, MiniLM, TREC-6
    #[value(name = "random-64")]
    Random64,
    /// A study of all 169 single connections, MiniLM, TREC-6
    #[value(name = "single-169")]
    Single169,
    /// A study of 16 random placements of 3 adapters, DINOv2-S, sign digits
    #[value(name = "vit-16")]
    Vit16,
    /// The gradient map, MiniLM, 512 questions of TREC-6
    #[value(name = "gradient-map")]
    GradientMap,
    /// Training steps, MiniLM, 32 x 16 tokens, with the only target at about 20 % of the chain
    #[value(name = "chain-20")]
    Chain20,
    /// Training steps, MiniLM, 32 x 16 tokens, with the only target at about 50 % of the chain
    #[value(name = "chain-50")]
    Chain50,
    /// Training steps, MiniLM, 32 x 16 tokens, with the only target at about 80 % of the chain
    #[value(name = "chain-80")]
    Chain80,
}

/// The choice of the placements of a work.
pub(crate) enum Placements {
    Given(Vec<Pair>),
    /// This many placements drawn from the extended search space, with three connections each.
    Random(usize),
    /// Every connection alone.
    Single,
    /// No placement, only the frozen model.
    Frozen,
}

/// The definition of a work, before anything is read.
pub(crate) struct Definition {
    pub(crate) kind: Kind,
    pub(crate) source: Source,
    pub(crate) placements: Placements,
    pub(crate) steps: u32,
    pub(crate) warm_ups: usize,
    pub(crate) repeats: usize,
}

impl WorkName {
    /// The definition of this work, for the folder `shared` that contains backbones/ and data/.
    pub(crate) fn definition(self, shared: &Path) -> Definition {
        match self {
            Self::Step64 => steps(shared, 64, &[(0, 1), (3, 6), (5, 6)]),
            Self::Step16 => steps(shared, 16, &[(0, 1), (3, 6), (5, 6)]),
            Self::Chain20 => steps(shared, 16, &[(1, 2)]),
            Self::Chain50 => steps(shared, 16, &[(5, 6)]),
            Self::Chain80 => steps(shared, 16, &[(9, 10)]),
            Self::Random64 => study(text(shared, 500, None), Placements::Random(64)),
            Self::Single169 => study(text(shared, 500, None), Placements::Single),
            Self::Vit16 => study(images(shared, 500), Placements::Random(16)),
            Self::GradientMap => Definition {
                kind: Kind::GradientMap,
                source: text(shared, 512, None),
                placements: Placements::Frozen,
                steps: 0,
                warm_ups: 1,
                repeats: 1,
            },
        }
    }
}

impl Placements {
    pub(crate) fn pairs(&self, shape: &ChainShape) -> Result<Vec<Vec<Pair>>> {
        let pairs = |placement: &Placement| {
            let connections = placement.connections();
            connections
                .map(|connection| (connection.source, connection.target))
                .collect()
        };
        Ok(match self {
            Self::Given(connections) => vec![connections.clone()],
            Self::Random(count) => {
                let space = SearchSpace::resolve(&SpaceDescription::from_toml(EXTENDED)?, shape)?;
                let mut random = ChaCha8Rng::seed_from_u64(SEED);
                let samples = (0..*count).map(|_| pairs(&space.sample(&mut random)));
                samples.collect()
            }
            Self::Single => {
                let states = 0..shape.hidden_states;
                let row = |source| states.clone().map(move |target| vec![(source, target)]);
                states.clone().flat_map(row).collect()
            }
            Self::Frozen => Vec::new(),
        })
    }
}

/// The training settings of all works, which are the program's defaults.
pub(crate) fn settings() -> TrainingSettings {
    TrainingSettings::default()
}

/// A training of one epoch of 8 batches, run six times, the first of which is not timed.
fn steps(shared: &Path, tokens: usize, connections: &[Pair]) -> Definition {
    const STEPS: u32 = 8;
    let examples = settings().batch_size.get() * STEPS as usize;
    Definition {
        kind: Kind::Steps,
        source: text(shared, examples, Some(tokens)),
        placements: Placements::Given(connections.to_vec()),
        steps: STEPS,
        warm_ups: 1,
        repeats: 5,
    }
}

fn study(source: Source, placements: Placements) -> Definition {
    Definition {
        kind: Kind::Study,
        source,
        placements,
        steps: 64,
        warm_ups: 0,
        repeats: 1,
    }
}

fn text(shared: &Path, train_examples: usize, tokens: Option<usize>) -> Source {
    Source {
        backbone: shared.join("backbones/minilm-l6"),
        task: shared.join("data/text/trec6"),
        train_examples,
        tokens,
    }
}

fn images(shared: &Path, train_examples: usize) -> Source {
    Source {
        backbone: shared.join("backbones/dinov2-s-98"),
        task: shared.join("data/images/signdigits"),
        train_examples,
        tokens: None,
    }
}
