use adaplace_search_space::Connection;

/// What a pass reuses of the states that its adapters do not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reuse {
    /// States are reused from the frozen backbone and from the previous pass. Fewer sublayers are run, and the results
    /// are the same.
    UnchangedStates,
    /// Every pass has its own states, from h_0 to h_N, each with its gradient.
    Nothing,
}

/// The states that the passes of a placement compute, and which of them need a gradient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The states of each pass. There is one pass, or two with a recurrent connection.
    pub(crate) passes: Vec<Span>,
    reuse: Reuse,
    /// The earliest target that is written to in every pass.
    direct: Option<usize>,
}

/// The states that a pass computes. The first one comes from the frozen backbone or the previous pass, plus adapters,
/// and the others come from their sublayers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) begin: usize,
    pub(crate) end: usize,
}

impl Plan {
    /// The plan for adapters on `connections` over a chain of `last` sublayers.
    pub(crate) fn new(
        connections: impl Iterator<Item = Connection> + Clone,
        last: usize,
        reuse: Reuse,
    ) -> Self {
        let recurrent = connections
            .clone()
            .filter(|connection| connection.is_recurrent());
        let direct = connections
            .filter(|connection| !connection.is_recurrent())
            .map(|connection| usize::from(connection.target))
            .min();
        let target = recurrent
            .clone()
            .map(|connection| usize::from(connection.target))
            .min();
        let source = recurrent
            .map(|connection| usize::from(connection.source))
            .max();
        let passes = match (target.zip(source), reuse) {
            (None, Reuse::UnchangedStates) => vec![Span {
                begin: direct.unwrap_or(last),
                end: last,
            }],
            (None, Reuse::Nothing) => vec![Span {
                begin: 0,
                end: last,
            }],
            (Some((target, source)), Reuse::UnchangedStates) => vec![
                // Nothing reads the first pass after the latest recurrent source.
                Span {
                    begin: direct.unwrap_or(source).min(source),
                    end: source,
                },
                Span {
                    begin: target,
                    end: last,
                },
            ],
            (Some(_), Reuse::Nothing) => vec![
                Span {
                    begin: 0,
                    end: last
                };
                2
            ],
        };
        Self {
            passes,
            reuse,
            direct,
        }
    }

    /// Whether anything at or below state n of a pass is trained.
    pub(crate) fn needs_gradient(&self, pass: usize, n: usize) -> bool {
        self.keeps_all()
            || (pass == 1 && n >= self.passes[1].begin)
            || self.direct.is_some_and(|target| target <= n)
    }

    /// Whether the gradient of every state is needed.
    pub(crate) fn keeps_all(&self) -> bool {
        self.reuse == Reuse::Nothing
    }

    /// The pass that computes state n as `pass` reads it, or `None` for a state of the frozen backbone.
    pub(crate) fn computed_in(&self, pass: usize, n: usize) -> Option<usize> {
        (0..=pass).rev().find(|&pass| n >= self.passes[pass].begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(connections: &[(u16, u16)], reuse: Reuse) -> Vec<(usize, usize)> {
        let connections = connections
            .iter()
            .map(|&(source, target)| Connection { source, target });
        let plan = Plan::new(connections, 4, reuse);
        plan.passes
            .iter()
            .map(|span| (span.begin, span.end))
            .collect()
    }

    /// States that no adapter changes are reused, and the first pass ends at the latest recurrent source.
    #[test]
    fn reuse_makes_fewer_states() {
        assert_eq!(spans(&[(3, 1)], Reuse::Nothing), [(0, 4), (0, 4)]);
        // The first pass reads h_3 from the frozen backbone.
        assert_eq!(spans(&[(3, 1)], Reuse::UnchangedStates), [(3, 3), (1, 4)]);
        assert_eq!(
            spans(&[(3, 1), (0, 2)], Reuse::UnchangedStates),
            [(2, 3), (1, 4)]
        );
        // The second pass reuses h_0 and h_1 of the first.
        assert_eq!(
            spans(&[(3, 2), (0, 0)], Reuse::UnchangedStates),
            [(0, 3), (2, 4)]
        );
    }

    #[test]
    fn one_pass_where_nothing_recurs() {
        assert_eq!(spans(&[], Reuse::Nothing), [(0, 4)]);
        // Only the last state is needed.
        assert_eq!(spans(&[], Reuse::UnchangedStates), [(4, 4)]);
        assert_eq!(spans(&[(0, 3), (2, 4)], Reuse::UnchangedStates), [(3, 4)]);
    }

    #[test]
    fn gradients_stop_below_the_earliest_target() {
        let connections = [(3, 1), (1, 2)].map(|(source, target)| Connection { source, target });
        let plan = Plan::new(connections.into_iter(), 4, Reuse::UnchangedStates);
        let needed = |pass| {
            (0..=4)
                .filter(|&n| plan.needs_gradient(pass, n))
                .collect::<Vec<_>>()
        };
        assert_eq!(needed(0), [2, 3, 4]);
        assert_eq!(needed(1), [1, 2, 3, 4]);
        assert_eq!(plan.computed_in(1, 0), None);
        assert_eq!(plan.computed_in(1, 1), Some(1));
        assert_eq!(plan.computed_in(0, 3), Some(0));
    }
}
