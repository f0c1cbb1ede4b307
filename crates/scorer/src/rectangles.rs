//! Rectangles of connections, whose gradient matrices are computed in one product.

use std::ops::Range;

use adaplace_search_space::Connection;

/// All connections from neighbouring sources to neighbouring targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rectangle {
    pub(crate) sources: Range<usize>,
    pub(crate) targets: Range<usize>,
}

impl Rectangle {
    /// The number of connections.
    pub(crate) fn len(&self) -> usize {
        self.sources.len() * self.targets.len()
    }

    /// The connections, by target, then source.
    pub(crate) fn connections(&self) -> impl Iterator<Item = Connection> {
        let of = |target| {
            self.sources.clone().map(move |source| Connection {
                source: source as u16,
                target: target as u16,
            })
        };
        self.targets.clone().flat_map(of)
    }

    /// The rectangle cut between targets into parts of at most `most` connections, or of one target.
    fn cut(self, most: usize) -> impl Iterator<Item = Self> {
        let Self { sources, targets } = self;
        let height = (most / sources.len()).max(1);
        targets.clone().step_by(height).map(move |begin| Self {
            sources: sources.clone(),
            targets: begin..targets.end.min(begin + height),
        })
    }
}

/// Disjoint rectangles that cover these connections and no others.
///
/// The sources of each target are cut into runs, and the same run of neighbouring targets is one rectangle.
pub(crate) fn rectangles(connections: &[Connection]) -> Vec<Rectangle> {
    let mut by_target = connections.to_vec();
    by_target.sort_by_key(|connection| (connection.target, connection.source));
    by_target.dedup();
    let mut all: Vec<Rectangle> = Vec::new();
    // The rectangles that the next target may continue.
    let mut open: Vec<Rectangle> = Vec::new();
    for of_target in by_target.chunk_by(|a, b| a.target == b.target) {
        let target = usize::from(of_target[0].target);
        let runs = of_target.chunk_by(|a, b| a.source + 1 == b.source);
        let next = runs.map(|run| {
            let sources = usize::from(run[0].source)..usize::from(run[run.len() - 1].source) + 1;
            let continued = |one: &Rectangle| one.sources == sources && one.targets.end == target;
            let begin = match open.iter().position(continued) {
                Some(index) => open.swap_remove(index).targets.start,
                None => target,
            };
            Rectangle {
                sources,
                targets: begin..target + 1,
            }
        });
        let next: Vec<Rectangle> = next.collect();
        all.append(&mut open);
        open = next;
    }
    all.append(&mut open);
    all
}

/// The rectangles in groups of at most `most` connections, or of one target of one rectangle.
pub(crate) fn groups(rectangles: Vec<Rectangle>, most: usize) -> Vec<Vec<Rectangle>> {
    let mut all: Vec<Vec<Rectangle>> = Vec::new();
    let mut room = 0;
    for part in rectangles.into_iter().flat_map(|one| one.cut(most)) {
        let fits = part.len() <= room;
        room = if fits { room } else { most.max(part.len()) } - part.len();
        match all.last_mut().filter(|_| fits) {
            Some(last) => last.push(part),
            None => all.push(vec![part]),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use adaplace_search_space::ConnectionKind;
    use proptest::prelude::*;

    use super::*;

    fn rectangle(sources: Range<usize>, targets: Range<usize>) -> Rectangle {
        Rectangle { sources, targets }
    }

    #[test]
    fn all_connections_are_one_rectangle() {
        assert_eq!(rectangles(&Connection::all(5)), [rectangle(0..5, 0..5)]);
        assert_eq!(rectangles(&[]), []);
    }

    /// The sequential and parallel connections of a target are neighbours: j - 1 -> j and j -> j.
    #[test]
    fn those_around_the_sublayers_are_one_for_each_target() {
        let near = |one: &Connection| {
            matches!(
                one.kind(),
                ConnectionKind::Sequential | ConnectionKind::Parallel
            )
        };
        let connections: Vec<Connection> = Connection::all(4).into_iter().filter(near).collect();
        let expected = [
            rectangle(0..1, 0..1),
            rectangle(0..2, 1..2),
            rectangle(1..3, 2..3),
            rectangle(2..4, 3..4),
        ];
        assert_eq!(rectangles(&connections), expected);
    }

    #[test]
    fn groups_have_a_target_at_least() {
        let whole = || vec![rectangle(0..4, 0..3)];
        assert_eq!(groups(whole(), 12), [whole()]);
        let parts = [rectangle(0..4, 0..2), rectangle(0..4, 2..3)];
        assert_eq!(groups(whole(), 11), parts.clone().map(|part| vec![part]));
        assert_eq!(groups(whole(), 1).len(), 3);
        let small = vec![
            rectangle(0..2, 0..1),
            rectangle(1..2, 1..2),
            rectangle(0..2, 2..3),
        ];
        let sizes = |most| {
            groups(small.clone(), most)
                .iter()
                .map(Vec::len)
                .collect::<Vec<_>>()
        };
        assert_eq!(sizes(5), [3]);
        assert_eq!(sizes(4), [2, 1]);
        assert_eq!(sizes(2), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn every_connection_is_covered_once(
            chosen in prop::collection::btree_set((0..7_u16, 0..7_u16), 0..49),
            most in 1..60_usize,
        ) {
            let connections: Vec<Connection> =
                chosen.iter().map(|&(source, target)| Connection { source, target }).collect();
            let grouped = groups(rectangles(&connections), most);
            let covered: Vec<Connection> =
                grouped.iter().flatten().flat_map(Rectangle::connections).collect();
            prop_assert_eq!(covered.len(), connections.len());
            let covered: BTreeSet<Connection> = covered.into_iter().collect();
            prop_assert_eq!(covered, connections.into_iter().collect());
            for group in &grouped {
                let size: usize = group.iter().map(Rectangle::len).sum();
                prop_assert!(size <= most || (group.len() == 1 && group[0].targets.len() == 1));
            }
        }
    }
}
