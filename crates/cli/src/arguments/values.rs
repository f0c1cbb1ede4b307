//! Values of options: the libraries' enums by name, and numbers within their range.

use adaplace_backbone::Pooling;
use adaplace_experiments::Baseline;
use adaplace_quickstart::DrawnTask;
use adaplace_scorer::Statistic;
use adaplace_strategy::{CostObjective, FirstPopulation};
use adaplace_study::{Metric, Workers};
use adaplace_task::Part;
use clap::ValueEnum;
use clap::builder::TypedValueParser as _;

/// Defines the command-line names of a library's enum.
macro_rules! argument {
    ($name:ident, $target:ty, { $($(#[$help:meta])* $variant:ident => $value:expr),+ $(,)? }) => {
        #[derive(Debug, Clone, Copy, ValueEnum)]
        pub(crate) enum $name { $($(#[$help])* $variant),+ }

        impl From<$name> for $target {
            fn from(argument: $name) -> Self {
                match argument { $($name::$variant => $value),+ }
            }
        }
    };
}

/// The place where the trials of a search are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorArgument {
    /// On this machine
    Local,
    /// On a Ray cluster
    Ray,
}

argument!(PoolingArgument, Pooling, {
    /// The mean over the real tokens
    Mean => Pooling::Mean,
    /// The first token
    Cls => Pooling::Cls,
});
/// A precision, or the choice of one by the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArgument {
    /// bf16 on a machine with AMX, else f32
    Auto,
    /// Single precision
    F32,
    /// bfloat16: faster on machines that multiply it
    Bf16,
}

/// The library or format to which a placement is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportTarget {
    /// A folder for the library `adapters`: sequential and parallel connections, one at each sublayer
    Adapters,
    /// The library `peft`, which has no such adapters: the command says so
    Peft,
    /// One document for other programs: the placement, and the names and shapes of its tensors
    Json,
}

argument!(DrawnTaskArgument, DrawnTask, {
    /// The number of red objects
    Counting => DrawnTask::Counting,
    /// The cell of a grid in which the red object is
    Location => DrawnTask::Location,
    /// The direction of a pointer
    Orientation => DrawnTask::Orientation,
});
argument!(MetricArgument, Metric, {
    Accuracy => Metric::Accuracy,
    Loss => Metric::Loss,
    Combined => Metric::Combined,
    /// Mean recall of the classes
    BalancedAccuracy => Metric::BalancedAccuracy,
    /// Mean F1 of the classes
    #[value(name = "macro-f1")]
    MacroF1 => Metric::MacroF1,
    /// Matthews correlation
    Matthews => Metric::Matthews,
});
argument!(BaselineArgument, Baseline, {
    /// No adapter
    LinearProbe => Baseline::LinearProbe,
    /// An adapter in parallel at every sublayer
    ParallelEverywhere => Baseline::ParallelEverywhere,
    /// An adapter in sequence after every sublayer
    SequentialEverywhere => Baseline::SequentialEverywhere,
    /// In parallel at every sublayer, with no more parameters than k adapters
    ParallelEverywhereEqual => Baseline::ParallelEverywhereEqual,
    /// In sequence after every sublayer, with no more parameters than k adapters
    SequentialEverywhereEqual => Baseline::SequentialEverywhereEqual,
    /// In sequence after every block with a learned scale per channel, with no more parameters than k adapters
    AdapterPlus => Baseline::AdapterPlus,
    /// The k connections with the largest squared gradients
    LargestGradients => Baseline::LargestGradients,
    /// The best of `--random-parallel` random placements of parallel connections
    BestRandomParallel => Baseline::BestRandomParallel,
    /// The best of `--random-parallel` random placements of the whole space
    BestRandom => Baseline::BestRandom,
});
argument!(CostArgument, CostObjective, {
    /// Trainable parameters
    Parameters => CostObjective::Parameters,
    /// Extra floating-point operations
    ExtraFlops => CostObjective::ExtraFlops,
});
argument!(PartArgument, Part, {
    Train => Part::Train,
    Validation => Part::Validation,
    Test => Part::Test,
});
argument!(FirstPopulationArgument, FirstPopulation, {
    /// Drawn by the softmax of the gradient map
    Gradient => FirstPopulation::Gradient,
    /// Drawn uniformly
    Uniform => FirstPopulation::Uniform,
});
argument!(StatisticArgument, Statistic, {
    /// Singular values above 0.003 of the largest in the whole map
    Rank => Statistic::Rank,
    /// Singular values above 0.01 of the matrix's own largest
    RelativeRank => Statistic::RelativeRank,
    /// Exponential of the entropy of the singular values
    EffectiveRank => Statistic::EffectiveRank,
    /// Squared Frobenius norm over squared spectral norm
    StableRank => Statistic::StableRank,
    NuclearNorm => Statistic::NuclearNorm,
    FrobeniusNorm => Statistic::FrobeniusNorm,
    SpectralNorm => Statistic::SpectralNorm,
    /// How far a step along the gradient of one half of the training examples lowers the loss of the other half
    Alignment => Statistic::Alignment,
    /// How far a step along the gradient of the training examples lowers the loss of the validation part
    ValidationAlignment => Statistic::ValidationAlignment,
    /// Cosine of the gradients of two halves of the training examples
    Agreement => Statistic::Agreement,
});

pub(super) fn count() -> impl clap::builder::TypedValueParser<Value = usize> {
    clap::value_parser!(u32)
        .range(1..)
        .map(|value| value as usize)
}

/// The number of trainings that run in parallel.
pub(super) fn workers() -> impl clap::builder::TypedValueParser<Value = usize> {
    clap::value_parser!(u32)
        .range(1..=Workers::MOST as i64)
        .map(|value| value as usize)
}

pub(super) fn steps() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// A seed, which must be an integer that TOML can hold.
pub(super) fn seed() -> impl clap::builder::TypedValueParser<Value = u64> {
    from(0)
}

/// A number that is parsed as signed, so that a negative number is rejected with the allowed range.
pub(super) fn from(least: i64) -> impl clap::builder::TypedValueParser<Value = u64> {
    clap::value_parser!(i64)
        .range(least..)
        .map(|value| value as u64)
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() && value > 0.0 => Ok(value),
        _ => Err("it must be a number above 0".to_owned()),
    }
}
