//! Placements without a search: adapters at fixed connections, and those from the gradient map.

use adaplace_search_space::{AdapterSpec, Connection, ConnectionTable, Placement, SearchSpace};

/// An adapter of the space's largest rank at every sublayer, which reads the state `offset` after its input.
pub(crate) fn everywhere(space: &SearchSpace, offset: u16) -> Placement {
    let largest = space.adapters().last();
    let adapters = largest.into_iter().cycle().copied();
    every_sublayer(space, offset).zip(adapters).collect()
}

/// The connections of [`everywhere`].
pub(super) fn every_sublayer(
    space: &SearchSpace,
    offset: u16,
) -> impl Iterator<Item = Connection> + use<> {
    let sublayers = space.shape().hidden_states - 1;
    (0..sublayers).map(move |sublayer| Connection::new(sublayer + offset, sublayer + 1))
}

/// Sequential connections after the second sublayer of every block: `2l -> 2l` for l = 1 .. L.
///
/// The places of Adapter+ (Steitz and Roth 2024, "Adapters Strike Back", arXiv 2406.06820). Unlike Adapter+, the
/// adapter here normalises its input.
pub(super) fn after_each_block(space: &SearchSpace) -> impl Iterator<Item = Connection> + use<> {
    let last = space.shape().hidden_states - 1;
    (2..=last)
        .step_by(2)
        .map(|state| Connection::new(state, state))
}

/// Adapters on all of `connections` with as many parameters in total as the largest placement of the space: its largest
/// number of adapters at its largest rank, or its limit of parameters if that is lower.
///
/// At width d, n adapters whose ranks sum to R have (2d + 1) R + n d parameters, and each `more` that do not grow with
/// its rank. R is the largest sum within the limit. It is split evenly, with the remainder to the first connections.
/// `None` if R < n.
pub(super) fn of_equal_parameters(
    space: &SearchSpace,
    connections: impl Iterator<Item = Connection>,
    more: u32,
) -> Option<Placement> {
    let connections: Vec<Connection> = connections.collect();
    let (width, count) = (space.shape().width, connections.len() as u64);
    let largest = space.adapters().last()?;
    let affordable = space.largest_size() as u64 * largest.parameters(width);
    let limit = space.budget().parameters.unwrap_or(affordable);
    let width = u64::from(width);
    let whatever_the_rank = count * (width + u64::from(more));
    let for_ranks = affordable.min(limit).checked_sub(whatever_the_rank)?;
    let rank_sum = for_ranks / (2 * width + 1);
    let (rank, one_more) = (rank_sum / count, rank_sum % count);
    (0..)
        .zip(connections)
        .map(|(index, connection)| {
            let rank = rank + u64::from(index < one_more);
            let adapter = AdapterSpec::new(u16::try_from(rank).ok()?, largest.scale).ok()?;
            Some((connection, adapter))
        })
        .collect()
}

/// The connections with the largest gradients, as many as the space allows; the first ones win ties. `norms` holds the
/// Frobenius norm of every connection's gradient matrix: rows are sources, columns are targets.
///
/// The squared gradients of a matrix sum to the square of its norm. This is the criterion of SPT (He et al. 2023,
/// "Sensitivity-Aware Visual Parameter-Efficient Fine-Tuning", arXiv 2303.08566), applied to connections.
pub(super) fn largest_gradients(space: &SearchSpace, norms: &ConnectionTable) -> Option<Placement> {
    let connections = space.connections().iter();
    let mut ranked: Vec<(Connection, f64)> = connections
        .map(|connection| Some((*connection, norms.get(*connection)?)))
        .collect::<Option<_>>()?;
    // Stable: ties stay in ascending order.
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let size = space.largest_size();
    let mut placement = Placement::new();
    for (connection, _) in ranked {
        if placement.len() == size {
            break;
        }
        // Skip what the budget does not allow beside the larger ones.
        if let Some(adapter) = space.even_split(&placement, connection, size) {
            placement = placement.with(connection, adapter);
        }
    }
    Some(placement)
}

#[cfg(test)]
mod tests {
    use adaplace_search_space::{ChainShape, SpaceDescription};

    use super::*;

    const WIDTH: u32 = 384;

    /// Thirteen states, all connections.
    fn space(adapter: &str, budget: &str) -> SearchSpace {
        let description = format!(
            "[connections]\nkinds = ['sequential', 'parallel', 'long-range', 'recurrent']\n[adapter]\n{adapter}\n\
             [budget]\n{budget}"
        );
        let shape = ChainShape {
            hidden_states: 13,
            width: WIDTH,
            tokens: 10,
            sublayer_flops: vec![1_000_000; 12],
        };
        SearchSpace::resolve(&SpaceDescription::from_toml(&description).unwrap(), &shape).unwrap()
    }

    fn pairs(connections: impl Iterator<Item = Connection>) -> Vec<(u16, u16)> {
        connections.map(|c| (c.source, c.target)).collect()
    }

    fn ranks(placement: &Placement) -> Vec<u16> {
        placement.iter().map(|(_, adapter)| adapter.rank).collect()
    }

    fn parameters(placement: &Placement) -> u64 {
        placement
            .iter()
            .map(|(_, adapter)| adapter.parameters(WIDTH))
            .sum()
    }

    /// Twelve sublayers are six blocks of two.
    #[test]
    fn places_of_each_rule_by_hand() {
        let space = space("ranks = [4, 8]", "adapters = 3");
        let parallel = [
            (0, 1),
            (1, 2),
            (2, 3),
            (3, 4),
            (4, 5),
            (5, 6),
            (6, 7),
            (7, 8),
            (8, 9),
            (9, 10),
            (10, 11),
            (11, 12),
        ];
        assert_eq!(pairs(every_sublayer(&space, 0)), parallel);
        let sequential = parallel.map(|(_, target)| (target, target));
        assert_eq!(pairs(every_sublayer(&space, 1)), sequential);
        let blocks = [(2, 2), (4, 4), (6, 6), (8, 8), (10, 10), (12, 12)];
        assert_eq!(pairs(after_each_block(&space)), blocks);
        assert_eq!(ranks(&everywhere(&space, 0)), [8; 12]);
        assert_eq!(pairs(everywhere(&space, 0).connections()), parallel);
    }

    /// Three adapters of rank 8 have 3 (8 * 769 + 384) = 19,608 parameters. Twelve biases of 384 leave 15,000, ranks
    /// that sum to 19; six leave 17,304, ranks that sum to 22.
    #[test]
    fn ranks_of_equal_parameters_by_hand() {
        let space = space("ranks = [8, 4]\nscale = 0.5", "adapters = 3");
        let everywhere = of_equal_parameters(&space, every_sublayer(&space, 0), 0).unwrap();
        assert_eq!(ranks(&everywhere), [2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1]);
        assert_eq!(parameters(&everywhere), 12 * 384 + 19 * 769);
        assert!(everywhere.iter().all(|(_, adapter)| adapter.scale == 0.5));
        let blocks = of_equal_parameters(&space, after_each_block(&space), 0).unwrap();
        assert_eq!(ranks(&blocks), [4, 4, 4, 4, 3, 3]);
        assert_eq!(parameters(&blocks), 6 * 384 + 22 * 769);
        // Six scales of 384 are three ranks fewer: 15,000 parameters are left.
        let scaled = of_equal_parameters(&space, after_each_block(&space), 384).unwrap();
        assert_eq!(ranks(&scaled), [4, 3, 3, 3, 3, 3]);
    }

    /// No more parameters than those of the largest placement, and too few left for one rank more.
    #[test]
    fn parameters_are_equal_to_within_one_rank() {
        for (adapters, rank) in [(2, 16), (3, 8), (5, 5), (12, 8), (16, 4), (30, 64)] {
            let space = space(
                &format!("ranks = [{rank}]"),
                &format!("adapters = {adapters}"),
            );
            let budget = adapters * AdapterSpec::new(rank, 1.0).unwrap().parameters(WIDTH);
            let rules = [
                of_equal_parameters(&space, every_sublayer(&space, 0), 0),
                of_equal_parameters(&space, every_sublayer(&space, 1), 0),
                of_equal_parameters(&space, after_each_block(&space), 0),
            ];
            for placement in rules.into_iter().map(Option::unwrap) {
                let left = budget.checked_sub(parameters(&placement)).unwrap();
                assert!(
                    left < u64::from(2 * WIDTH + 1),
                    "{adapters} of {rank}: {left}"
                );
            }
        }
        // With as many adapters as sublayers it is the same as everywhere.
        let space = space("ranks = [8]", "adapters = 12");
        let equal = of_equal_parameters(&space, every_sublayer(&space, 0), 0);
        assert_eq!(equal, Some(everywhere(&space, 0)));
    }

    /// The limit allows 3 adapters of rank 4, not of rank 8: 15,000 - 12 * 384 is enough for ranks that sum to 13.
    #[test]
    fn a_limit_of_parameters_counts() {
        let space = space("ranks = [4, 8]", "adapters = 3\nparameters = 15000");
        let placement = of_equal_parameters(&space, every_sublayer(&space, 0), 0).unwrap();
        assert_eq!(ranks(&placement), [2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]);
    }

    /// One adapter of rank 8 has 6,536 parameters: ranks that sum to 2 at twelve sublayers, to 5 after six blocks.
    #[test]
    fn what_no_rank_fits_is_no_placement() {
        let space = space("ranks = [8]", "adapters = 1");
        assert_eq!(
            of_equal_parameters(&space, every_sublayer(&space, 0), 0),
            None
        );
        assert_eq!(
            of_equal_parameters(&space, after_each_block(&space), 0),
            None
        );
    }

    /// Norms of 1 but for these.
    fn norms(states: u16, of: &[((u16, u16), f64)]) -> ConnectionTable {
        let all = Connection::all(states).into_iter().map(|one| (one, 1.0));
        let of = of
            .iter()
            .map(|&((i, j), norm)| (Connection::new(i, j), norm));
        ConnectionTable::new(states.into(), all.chain(of))
    }

    #[test]
    fn the_largest_gradients_are_taken_and_of_equal_ones_the_first() {
        let norms = norms(
            13,
            &[((9, 2), 7.0), ((3, 3), 8.0), ((12, 12), 3.0), ((5, 6), 3.0)],
        );
        let space = space("ranks = [4, 8]", "adapters = 3");
        let chosen = largest_gradients(&space, &norms).unwrap();
        assert_eq!(pairs(chosen.connections()), [(3, 3), (5, 6), (9, 2)]);
        assert_eq!(ranks(&chosen), [8; 3]);
        assert_eq!(largest_gradients(&space, &self::norms(12, &[])), None);
    }

    /// A second pass from state 2 costs 10 / 12 of the frozen forward pass, more than the limit; one from state 9 does
    /// not.
    #[test]
    fn what_the_budget_does_not_admit_is_passed_over() {
        let norms = norms(13, &[((9, 2), 7.0), ((10, 9), 6.0), ((4, 5), 5.0)]);
        let space = space("ranks = [1]", "adapters = 2\nextra_flops = 0.5");
        let chosen = largest_gradients(&space, &norms).unwrap();
        assert_eq!(pairs(chosen.connections()), [(4, 5), (10, 9)]);
    }
}
