//! A search space: every placement that a description allows on one chain.

use crate::counting::Counts;
use crate::pass_start::PassStarts;
use crate::rank_sums::RankSumLimits;
use crate::{
    AdapterSpec, Budget, ChainShape, Connection, Cost, Placement, SpaceDescription, SpaceError,
};

/// The set of all placements that a [`SpaceDescription`] allows on one [`ChainShape`]; it is never empty.
#[derive(Clone, Debug)]
pub struct SearchSpace {
    description: SpaceDescription,
    shape: ChainShape,
    budget: Budget,
    /// The adapters to choose from, ascending.
    adapters: Vec<AdapterSpec>,
    /// The ranks to choose from, ascending.
    ranks: Vec<u16>,
    /// The connections that may carry an adapter, ascending.
    connections: Vec<Connection>,
    /// The numbers of adapters that a placement may have, ascending and not empty.
    sizes: Vec<usize>,
    pub(crate) starts: PassStarts,
    pub(crate) limits: RankSumLimits,
    pub(crate) counts: Counts,
}

impl SearchSpace {
    /// The largest number of adapters for which tables are built.
    const MOST_ADAPTERS: usize = 1024;

    /// The space that `description` defines on a chain of this shape.
    ///
    /// # Errors
    /// An error of [`SpaceDescription::check`]; [`SpaceError::ChainTooLong`], [`SpaceError::SublayerCount`] or
    /// [`SpaceError::EmptyChain`] for a shape that cannot be used; [`SpaceError::RangeOutsideChain`];
    /// [`SpaceError::NoConnection`]; [`SpaceError::TooFewConnections`], [`SpaceError::ParametersTooTight`] or
    /// [`SpaceError::ExtraFlopsTooTight`] for a budget that admits no placement; [`SpaceError::TooLarge`].
    pub fn resolve(description: &SpaceDescription, shape: &ChainShape) -> Result<Self, SpaceError> {
        description.check()?;
        shape.check()?;
        let connections = connections(description, shape)?;
        let mut ranks = description.adapter.ranks.clone();
        ranks.sort_unstable();
        let adapters = ranks
            .iter()
            .map(|&rank| AdapterSpec::new(rank, description.adapter.scale))
            .collect::<Result<Vec<_>, _>>()?;
        let rules = &description.budget;
        let budget = Budget {
            adapters: rules.adapters,
            min_adapters: rules.min_adapters.unwrap_or(rules.adapters),
            parameters: rules.parameters,
            extra_flops: rules.extra_flops,
        };
        let too_large = || SpaceError::TooLarge {
            adapters: budget.adapters,
            connections: connections.len(),
            ranks: ranks.len(),
        };
        let starts = PassStarts::new(&connections);
        check_cheapest(&budget, shape, &starts, connections.len(), ranks[0])?;
        let most = usize::from(budget.adapters).min(connections.len());
        if most > Self::MOST_ADAPTERS {
            return Err(too_large());
        }
        let limits = RankSumLimits::new(shape, &budget, &starts, &ranks, most);
        let admissible = |&size: &usize| {
            let latest = starts.latest_of_size(size);
            latest.is_some_and(|start| limits.limit(size, start).is_some())
        };
        let sizes: Vec<usize> = (usize::from(budget.min_adapters)..=most)
            .filter(admissible)
            .collect();
        let counts = Counts::new(&starts, &limits, &ranks, &sizes).ok_or_else(too_large)?;
        Ok(SearchSpace {
            description: description.clone(),
            shape: shape.clone(),
            budget,
            adapters,
            ranks,
            connections,
            sizes,
            starts,
            limits,
            counts,
        })
    }

    /// The description from which this space was resolved.
    pub fn description(&self) -> &SpaceDescription {
        &self.description
    }

    /// The shape of the chain on which this space was resolved.
    pub fn shape(&self) -> &ChainShape {
        &self.shape
    }

    /// The limits on the cost of a placement.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// The connections that may carry an adapter, ascending and not empty.
    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// The ranks to choose from, ascending and not empty.
    pub fn ranks(&self) -> &[u16] {
        &self.ranks
    }

    /// The adapters to choose from, one for each rank, ascending and not empty.
    pub fn adapters(&self) -> &[AdapterSpec] {
        &self.adapters
    }

    /// The numbers of adapters that a placement may have, ascending and not empty. The largest is below
    /// [`Budget::adapters`] if the space has fewer connections or another limit is reached first.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The largest number of adapters that a placement may have.
    pub fn largest_size(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// The number of placements, or `None` if it exceeds `u128::MAX`.
    pub fn count(&self) -> Option<u128> {
        self.counts.total().exact
    }

    /// The number of placements, rounded. It is always finite.
    pub fn approximate_count(&self) -> f64 {
        self.counts.total().approximate
    }

    /// The cost of `placement` on this chain. The placement need not belong to this space.
    pub fn cost(&self, placement: &Placement) -> Cost {
        Cost::of_rank_sum(
            &self.shape,
            placement.len(),
            rank_sum(placement),
            placement.earliest_recurrent_target(),
        )
    }

    /// Whether `placement` belongs to this space: its connections and adapters, its size and its cost.
    pub fn contains(&self, placement: &Placement) -> bool {
        self.sizes.binary_search(&placement.len()).is_ok()
            && self.completable(placement, placement.len())
    }

    /// Whether every connection and every adapter of `placement` belongs to this space.
    pub(crate) fn knows(&self, placement: &Placement) -> bool {
        placement.iter().all(|(connection, adapter)| {
            self.connections.binary_search(&connection).is_ok()
                && self.adapters.binary_search(&adapter).is_ok()
        })
    }
}

/// The sum of the ranks of all adapters.
pub(crate) fn rank_sum(placement: &Placement) -> u64 {
    placement
        .iter()
        .map(|(_, adapter)| u64::from(adapter.rank))
        .sum()
}

fn connections(
    description: &SpaceDescription,
    shape: &ChainShape,
) -> Result<Vec<Connection>, SpaceError> {
    let rules = &description.connections;
    let hidden_states = shape.hidden_states;
    for (field, range) in [("sources", rules.sources), ("targets", rules.targets)] {
        if let Some([from, to]) = range.filter(|&[_, to]| to >= hidden_states) {
            return Err(SpaceError::RangeOutsideChain {
                field,
                from,
                to,
                last: hidden_states - 1,
            });
        }
    }
    let all = (0..hidden_states)
        .flat_map(|source| (0..hidden_states).map(move |target| Connection { source, target }));
    let connections: Vec<Connection> = all.filter(|&connection| rules.allow(connection)).collect();
    if connections.is_empty() {
        return Err(SpaceError::NoConnection { hidden_states });
    }
    Ok(connections)
}

/// Checks that the budget admits the cheapest placement, and reports the limit that does not.
///
/// The cheapest placement has the fewest adapters, all of the smallest rank, and its second pass starts as late as
/// possible. It is the cheapest by every measure, so the space is empty only if a limit refuses it.
fn check_cheapest(
    budget: &Budget,
    shape: &ChainShape,
    starts: &PassStarts,
    connections: usize,
    rank: u16,
) -> Result<(), SpaceError> {
    let adapters = budget.min_adapters;
    let Some(start) = starts.latest_of_size(usize::from(adapters)) else {
        return Err(SpaceError::TooFewConnections {
            adapters,
            connections,
        });
    };
    let second_pass = starts.target(start);
    let sum = u64::from(adapters) * u64::from(rank);
    let cost = Cost::of_rank_sum(shape, usize::from(adapters), sum, second_pass);
    if let Some(limit) = budget.parameters.filter(|&limit| cost.parameters > limit) {
        return Err(SpaceError::ParametersTooTight {
            limit,
            adapters,
            rank,
            needed: cost.parameters,
        });
    }
    if let Some(limit) = budget.extra_flops.filter(|&limit| cost.extra_flops > limit) {
        let needed = cost.extra_flops;
        return Err(SpaceError::ExtraFlopsTooTight {
            limit,
            adapters,
            rank,
            second_pass,
            needed,
        });
    }
    Ok(())
}
