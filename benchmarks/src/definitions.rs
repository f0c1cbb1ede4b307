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
    /// Training steps, ViT-B/16, 32 pictures of 224 pixels, six connections
    #[value(name = "vit-b-step")]
    VitBStep,
    /// A study of 64 random placements of 6 adapters, ViT-B/16, 1000 pictures
    #[value(name = "vit-b-64")]
    VitB64,
    /// The gradient map, ViT-B/16, 512 pictures
    #[value(name = "vit-b-map")]
    VitBMap,
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
    /// Placements drawn from the extended search space with this number of adapters at most.
    Random {
        count: usize,
        adapters: u16,
    },
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
            Self::Step64 => text_steps(shared, 64, &[(0, 1), (3, 6), (5, 6)]),
            Self::Step16 => text_steps(shared, 16, &[(0, 1), (3, 6), (5, 6)]),
            Self::Chain20 => text_steps(shared, 16, &[(1, 2)]),
            Self::Chain50 => text_steps(shared, 16, &[(5, 6)]),
            Self::Chain80 => text_steps(shared, 16, &[(9, 10)]),
            Self::Random64 => study(text(shared, 500, None), random(64, 3)),
            Self::Single169 => study(text(shared, 500, None), Placements::Single),
            Self::Vit16 => study(dinov2(shared, 500), random(16, 3)),
            Self::VitBStep => {
                let connections = [(0, 1), (2, 8), (8, 8), (6, 12), (12, 18), (17, 24)];
                steps(vit_b(shared, EXAMPLES_OF_STEPS), &connections)
            }
            Self::VitB64 => study(vit_b(shared, 1000), random(64, 6)),
            Self::VitBMap => gradient_map(vit_b(shared, 512)),
            Self::GradientMap => gradient_map(text(shared, 512, None)),
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
            Self::Random { count, adapters } => {
                let mut description = SpaceDescription::from_toml(EXTENDED)?;
                description.budget.adapters = *adapters;
                let space = SearchSpace::resolve(&description, shape)?;
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

/// The number of steps of a training that is timed by steps.
const STEPS: u32 = 8;
/// The number of its examples, 32 for each step.
const EXAMPLES_OF_STEPS: usize = 32 * STEPS as usize;

fn text_steps(shared: &Path, tokens: usize, connections: &[Pair]) -> Definition {
    steps(text(shared, EXAMPLES_OF_STEPS, Some(tokens)), connections)
}

/// A training of one epoch, run six times, the first of which is not timed.
fn steps(source: Source, connections: &[Pair]) -> Definition {
    Definition {
        kind: Kind::Steps,
        source,
        placements: Placements::Given(connections.to_vec()),
        steps: STEPS,
        warm_ups: 1,
        repeats: 5,
    }
}

fn gradient_map(source: Source) -> Definition {
    Definition {
        kind: Kind::GradientMap,
        source,
        placements: Placements::Frozen,
        steps: 0,
        warm_ups: 1,
        repeats: 1,
    }
}

fn random(count: usize, adapters: u16) -> Placements {
    Placements::Random { count, adapters }
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

/// Written by `pytorch/random_models.py`.
fn vit_b(shared: &Path, train_examples: usize) -> Source {
    Source {
        backbone: shared.join("backbones/vit-b"),
        task: shared.join("data/images/waves"),
        train_examples,
        tokens: None,
    }
}

fn dinov2(shared: &Path, train_examples: usize) -> Source {
    Source {
        backbone: shared.join("backbones/dinov2-s-98"),
        task: shared.join("data/images/signdigits"),
        train_examples,
        tokens: None,
    }
}
