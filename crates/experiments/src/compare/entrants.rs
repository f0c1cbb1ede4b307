//! The competitors that can take part, and how each chooses its placements.

use std::sync::Arc;

use adaplace_search_space::{ConnectionKind, ConnectionTable, Placement, SearchSpace, SpaceError};
use adaplace_strategy::StrategyDescription;

use super::rules::largest_gradients;
use super::{Baseline, ComparisonConfiguration, Competitor};

/// A competitor that takes part.
pub(super) struct Entrant<'a> {
    pub(super) competitor: Competitor,
    pub(super) course: Course<'a>,
}

/// How a competitor chooses its placements.
pub(super) enum Course<'a> {
    /// The same placement with every seed.
    Fixed(Placement),
    /// The same placement with every seed, from the gradient map of the frozen model.
    FromMap(Placement),
    /// A search.
    Search {
        space: &'a Arc<SearchSpace>,
        strategy: StrategyDescription,
        trials: usize,
        /// Number of placements that race at its end; 1 for no race.
        finalists: usize,
    },
}

/// The competitors of `configuration` that can take part in `space`. The reasons for omitting the others are logged.
///
/// `parallel` is the space with only its parallel connections. `gradient_norms` holds the Frobenius norms of the
/// connections' gradient matrices, if known.
pub(super) fn entrants<'a>(
    configuration: &ComparisonConfiguration,
    space: &'a Arc<SearchSpace>,
    parallel: Result<&'a Arc<SearchSpace>, &SpaceError>,
    gradient_norms: Option<&ConnectionTable>,
) -> Vec<Entrant<'a>> {
    let settings = &configuration.comparison;
    let course = |competitor: &Competitor| -> Result<Course<'a>, String> {
        Ok(match competitor {
            Competitor::Baseline(Baseline::LargestGradients, _) => {
                let norms =
                    gradient_norms.ok_or("the gradient map was made without `frobenius-norm`")?;
                let placement = largest_gradients(space, norms);
                Course::FromMap(placement.ok_or("the gradient map is of another backbone")?)
            }
            Competitor::Baseline(Baseline::BestRandomParallel, trials) => Course::Search {
                space: parallel.map_err(ToString::to_string)?,
                strategy: StrategyDescription::Random {},
                trials: *trials,
                finalists: 1,
            },
            Competitor::Baseline(Baseline::BestRandom, trials) => Course::Search {
                space,
                strategy: StrategyDescription::Random {},
                trials: *trials,
                finalists: 1,
            },
            Competitor::Strategy(strategy) => Course::Search {
                space,
                strategy: strategy.clone(),
                trials: settings.trials(),
                finalists: settings.finalists(),
            },
            Competitor::Baseline(fixed, _) => {
                let placement = fixed.fixed(space);
                Course::Fixed(placement.ok_or(
                    "the space's budget has too few parameters for rank 1 at each of its connections",
                )?)
            }
        })
    };
    let all = configuration.competitors().into_iter();
    all.filter_map(|competitor| match course(&competitor) {
        Ok(course) => Some(Entrant { competitor, course }),
        Err(reason) => {
            tracing::warn!("`{competitor}` does not take part: {reason}");
            None
        }
    })
    .collect()
}

/// The space with only its parallel connections.
///
/// # Errors
/// If no parallel connection is left.
pub(super) fn parallel_space(space: &SearchSpace) -> Result<Arc<SearchSpace>, SpaceError> {
    let mut description = space.description().clone();
    description.connections.kinds = vec![ConnectionKind::Parallel];
    description.connections.min_span = None;
    description.connections.max_span = None;
    SearchSpace::resolve(&description, space.shape()).map(Arc::new)
}
