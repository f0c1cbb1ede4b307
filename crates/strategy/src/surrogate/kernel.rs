//! The similarity of two placements.

use adaplace_search_space::{Connection, Placement, SearchSpace};
use faer::Mat;

/// The kernel's view of a space: the positions of its connections, their statistics and the ranks to choose from.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionTable {
    /// The connections in the space's order, ascending.
    connections: Vec<Connection>,
    /// The statistics, a row for each connection. Each column has mean 0 and deviation 1 over the connections, and
    /// constant columns are left out.
    features: Vec<Vec<f64>>,
    ranks: Vec<u16>,
}

/// A placement as places in a [`ConnectionTable`], ascending: the connection and the rank of each adapter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Members(Vec<(usize, usize)>);

impl ConnectionTable {
    /// The table of `space`, where `features` holds a row for each connection.
    pub(crate) fn new(space: &SearchSpace, features: &[Vec<f64>]) -> Self {
        let columns = features.first().map_or(0, Vec::len);
        let mut standardised = vec![Vec::new(); space.connections().len()];
        for column in 0..columns {
            let values: Vec<f64> = features.iter().map(|row| row[column]).collect();
            let Some(scale) = Standard::of(&values) else {
                continue;
            };
            for (row, value) in standardised.iter_mut().zip(values) {
                row.push(scale.apply(value));
            }
        }
        ConnectionTable {
            connections: space.connections().to_vec(),
            features: standardised,
            ranks: space.ranks().to_vec(),
        }
    }

    /// The places of a placement's adapters. Adapters that the space does not have are left out.
    pub(crate) fn members(&self, placement: &Placement) -> Members {
        let place = |(connection, adapter): (Connection, adaplace_search_space::AdapterSpec)| {
            let connection = self.connections.binary_search(&connection).ok()?;
            Some((connection, self.ranks.binary_search(&adapter.rank).ok()?))
        };
        Members(placement.iter().filter_map(place).collect())
    }

    /// The sum and the maximum over `members` of each column of the features.
    pub(crate) fn sums_and_maxima(&self, members: &Members) -> Vec<f64> {
        let columns = self.features.first().map_or(0, Vec::len);
        let column = |column: usize| {
            let values = members
                .0
                .iter()
                .map(move |&(c, _)| self.features[c][column]);
            let largest = values.clone().max_by(f64::total_cmp).unwrap_or(0.0);
            [values.sum(), largest]
        };
        (0..columns).flat_map(column).collect()
    }

    /// Whether the connections differ in kind.
    pub(crate) fn has_kinds(&self) -> bool {
        let first = self.connections.first().map(|c| c.kind());
        self.connections.iter().any(|c| Some(c.kind()) != first)
    }

    /// Whether the connections differ in their statistics.
    pub(crate) fn has_features(&self) -> bool {
        self.features.first().is_some_and(|row| !row.is_empty())
    }

    /// Whether the adapters differ in rank.
    pub(crate) fn has_ranks(&self) -> bool {
        self.ranks.len() > 1
    }
}

/// The mean and standard deviation of a column of numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standard {
    mean: f64,
    deviation: f64,
}

impl Standard {
    /// The mean and standard deviation of `values`, or `None` if they are all the same up to rounding.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / count).sqrt();
        let varies = deviation.is_finite() && deviation > 1e-12 * mean.abs() && deviation > 0.0;
        varies.then_some(Standard { mean, deviation })
    }

    /// The standardised value `(value - mean) / deviation`.
    pub(crate) fn apply(self, value: f64) -> f64 {
        (value - self.mean) / self.deviation
    }
}

/// The rates at which the similarity of connections falls with their differences.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SetScales {
    /// The length scale l of source and target, in states.
    pub(crate) states: f64,
    /// The similarity of two connections of different kind, between 0 and 1.
    pub(crate) kinds: f64,
    /// The length scale of the standardised features, per column. It is infinite if they are irrelevant.
    pub(crate) features: f64,
    /// The length scale of the rank, in doublings. It is infinite if the rank is irrelevant.
    pub(crate) ranks: f64,
}

/// The kernel of sets `k(P, Q) = K(P, Q) / sqrt(K(P, P) K(Q, Q))`, where `K(P, Q)` is the mean over all pairs of an
/// adapter of P and one of Q of
///
/// `exp(-(ds^2 + dt^2) / (2 l^2)) * [kinds equal, else a constant] * exp(-|df|^2 / (2 J l_f^2)) * exp(-dr^2 / (2 l_r^2))`
///
/// Here `ds` and `dt` are the differences of source and target, `df` is the difference of the J features and `dr` that
/// of log2 of the rank. The kernel is the cosine of the sets' mean embeddings (Kim et al. 2019, arXiv 1905.09780), so
/// it is positive semi-definite, and 1 for equal sets.
#[derive(Clone, Debug)]
pub(crate) struct SetKernel {
    count: usize,
    /// The factors of every two connections, (connections, connections).
    connections: Vec<f64>,
    levels: usize,
    /// The factors of every two ranks, (ranks, ranks).
    ranks: Vec<f64>,
}

impl SetKernel {
    /// The kernel with the factors of every pair of connections and of ranks computed once.
    pub(crate) fn new(table: &ConnectionTable, scales: SetScales) -> Self {
        let count = table.connections.len();
        let mut connections = vec![1.0; count * count];
        for a in 0..count {
            for b in 0..a {
                let value = between(table, scales, a, b);
                connections[a * count + b] = value;
                connections[b * count + a] = value;
            }
        }
        let doublings = |rank: u16| f64::from(rank).log2();
        let pairs = table.ranks.iter().flat_map(|&a| {
            let other = move |&b: &u16| {
                square_exponential((doublings(a) - doublings(b)).powi(2), scales.ranks)
            };
            table.ranks.iter().map(other)
        });
        SetKernel {
            count,
            connections,
            levels: table.ranks.len(),
            ranks: pairs.collect(),
        }
    }

    /// The similarity `k` of every set of `rows` with every set of `columns`, (rows, columns).
    pub(crate) fn cross(&self, rows: &[&Members], columns: &[&Members]) -> Mat<f64> {
        let lengths = |sets: &[&Members]| -> Vec<f64> {
            sets.iter().map(|set| self.raw(set, set).sqrt()).collect()
        };
        let (of_rows, of_columns) = (lengths(rows), lengths(columns));
        Mat::from_fn(rows.len(), columns.len(), |row, column| {
            ratio(
                self.raw(rows[row], columns[column]),
                of_rows[row] * of_columns[column],
            )
        })
    }

    /// The similarity `k` of every two of `sets`, (sets, sets), symmetric with 1 on the diagonal.
    pub(crate) fn gram(&self, sets: &[&Members]) -> Mat<f64> {
        let lengths: Vec<f64> = sets.iter().map(|set| self.raw(set, set).sqrt()).collect();
        let mut gram = Mat::identity(sets.len(), sets.len());
        for a in 0..sets.len() {
            for b in 0..a {
                let value = ratio(self.raw(sets[a], sets[b]), lengths[a] * lengths[b]);
                gram[(a, b)] = value;
                gram[(b, a)] = value;
            }
        }
        gram
    }

    /// `K` times the number of pairs, a factor that cancels out in `k`.
    fn raw(&self, p: &Members, q: &Members) -> f64 {
        let mut sum = 0.0;
        for &(connection, rank) in &p.0 {
            let row = &self.connections[connection * self.count..][..self.count];
            let of_rank = &self.ranks[rank * self.levels..][..self.levels];
            for &(other, rank) in &q.0 {
                sum += row[other] * of_rank[rank];
            }
        }
        sum
    }
}

fn between(table: &ConnectionTable, scales: SetScales, a: usize, b: usize) -> f64 {
    let (c, d) = (table.connections[a], table.connections[b]);
    let [source, target] = [(c.source, d.source), (c.target, d.target)]
        .map(|(of_c, of_d)| f64::from(of_c.abs_diff(of_d)).powi(2));
    let kinds = if c.kind() == d.kind() {
        1.0
    } else {
        scales.kinds
    };
    let (of_a, of_b) = (&table.features[a], &table.features[b]);
    let squares: f64 = of_a.iter().zip(of_b).map(|(x, y)| (x - y).powi(2)).sum();
    let features = squares / of_a.len().max(1) as f64;
    square_exponential(source + target, scales.states)
        * kinds
        * square_exponential(features, scales.features)
}

/// The factor `exp(-square / (2 length^2))`.
fn square_exponential(square: f64, length: f64) -> f64 {
    (-square / (2.0 * length * length)).exp()
}

/// The quotient of two kernels, 0 for a set without members, which is similar to nothing.
fn ratio(value: f64, by: f64) -> f64 {
    if by > 0.0 { value / by } else { 0.0 }
}
