//! A model that predicts placements that were not tried from the trials.

use adaplace_search_space::Fidelity;
use faer::Mat;

use super::gaussian_process::{Beliefs, GaussianProcess};
use super::hyperparameters::{Fidelities, Hyperparameters};
use super::kernel::{ConnectionTable, Members, SetKernel, SetScales};

/// What is known of a placement without training it.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) members: Members,
    /// The standardised joint score of the placement.
    pub(crate) judged: f64,
    /// The standardised mean distance between two of its connections.
    pub(crate) distance: f64,
    /// The standardised sums and maxima of its connections' statistics.
    pub(crate) statistics: Vec<f64>,
}

/// One training of a placement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Observation<'a> {
    pub(crate) point: &'a Point,
    pub(crate) fidelity: Fidelity,
    /// The score, where larger is better.
    pub(crate) value: f64,
}

/// A Gaussian process over placements that combines trainings of all fidelities and repetitions. Each training is an
/// observation, each fidelity has its own constant, and trainings of the same placement differ by noise.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    hyperparameters: Hyperparameters,
    kernel: SetKernel,
    points: Vec<Point>,
    /// The log2 of the steps of each observation.
    doublings: Vec<f64>,
    /// The log2 of the largest number of steps.
    greatest: f64,
    process: GaussianProcess,
    /// The group of the highest fidelity.
    group: usize,
}

impl Model {
    /// The largest number of observations by which hyperparameters are chosen, an evenly spaced part of all.
    ///
    /// One likelihood of n observations of placements with k adapters takes n^2 k^2 / 2 additions and n^3 / 6
    /// multiply-adds for the decomposition. A choice takes 34 to 100 likelihoods.
    const CHOSEN_BY: usize = 256;

    /// The hyperparameters of the largest marginal likelihood for `observations`, or `None` if nothing can be learnt
    /// from them.
    pub(crate) fn choose(
        table: &ConnectionTable,
        observations: &[Observation<'_>],
    ) -> Option<Hyperparameters> {
        let stride = observations.len().div_ceil(Self::CHOSEN_BY).max(1);
        let rows: Vec<Observation<'_>> = observations.iter().copied().step_by(stride).collect();
        let steps = Steps::of(&rows);
        let values: Vec<f64> = rows.iter().map(|row| row.value).collect();
        let points: Vec<&Point> = rows.iter().map(|row| row.point).collect();
        let members: Vec<&Members> = points.iter().map(|point| &point.members).collect();
        let mut similarities: Vec<(SetScales, Mat<f64>)> = Vec::new();
        Hyperparameters::best(table, steps.fidelities(), |hyperparameters| {
            let scales = hyperparameters.set;
            let known = similarities.iter().position(|(of, _)| *of == scales);
            let index = known.unwrap_or_else(|| {
                let gram = SetKernel::new(table, scales).gram(&members);
                similarities.push((scales, gram));
                similarities.len() - 1
            });
            let alike = &similarities[index].1;
            let covariance = covariance_of_observations(hyperparameters, alike, &points, &steps);
            let process = GaussianProcess::fit(covariance, &steps.groups, &values)?;
            Some(process.log_likelihood())
        })
    }

    /// Fits the model to the observations. `None` if nothing can be learnt from them.
    pub(crate) fn fit(
        table: &ConnectionTable,
        observations: &[Observation<'_>],
        hyperparameters: Hyperparameters,
    ) -> Option<Self> {
        let steps = Steps::of(observations);
        let values: Vec<f64> = observations.iter().map(|row| row.value).collect();
        let points: Vec<&Point> = observations.iter().map(|row| row.point).collect();
        let members: Vec<&Members> = points.iter().map(|point| &point.members).collect();
        let kernel = SetKernel::new(table, hyperparameters.set);
        let alike = kernel.gram(&members);
        let covariance = covariance_of_observations(&hyperparameters, &alike, &points, &steps);
        let process = GaussianProcess::fit(covariance, &steps.groups, &values)?;
        Some(Model {
            hyperparameters,
            kernel,
            points: points.into_iter().cloned().collect(),
            greatest: *steps.distinct.last()?,
            group: steps.distinct.len() - 1,
            doublings: steps.doublings,
            process,
        })
    }

    /// The posterior means of `points` at the highest fidelity observed.
    pub(crate) fn means(&self, points: &[&Point]) -> Vec<f64> {
        self.process.means(&self.cross(points), self.group)
    }

    /// The posterior of `points` at the highest fidelity observed.
    pub(crate) fn beliefs(&self, points: &[&Point]) -> Beliefs {
        let h = &self.hyperparameters;
        let own: Vec<f64> = points
            .iter()
            .map(|point| covariance(h, 1.0, point, point))
            .collect();
        self.process.beliefs(self.cross(points), &own, self.group)
    }

    /// The covariance of the observations with `points`, (observations, points).
    fn cross(&self, points: &[&Point]) -> Mat<f64> {
        let of_observed: Vec<&Members> = self.points.iter().map(|point| &point.members).collect();
        let members: Vec<&Members> = points.iter().map(|point| &point.members).collect();
        let alike = self.kernel.cross(&of_observed, &members);
        let h = &self.hyperparameters;
        Mat::from_fn(self.points.len(), points.len(), |row, column| {
            let fidelity = h.between_fidelities(self.doublings[row] - self.greatest);
            fidelity * covariance(h, alike[(row, column)], &self.points[row], points[column])
        })
    }

    /// Updates the `beliefs` of `points` as if the one at `believed` had been trained and had scored what is believed
    /// of it.
    pub(crate) fn believe(&self, beliefs: &mut Beliefs, points: &[&Point], believed: usize) {
        let members: Vec<&Members> = points.iter().map(|point| &point.members).collect();
        let alike = self.kernel.cross(&members[believed..=believed], &members);
        let h = &self.hyperparameters;
        let prior: Vec<f64> = points
            .iter()
            .enumerate()
            .map(|(column, point)| covariance(h, alike[(0, column)], points[believed], point))
            .collect();
        beliefs.believe(believed, &prior, h.noise);
    }
}

/// The fidelities of the observations.
struct Steps {
    /// The log2 of the steps of each observation.
    doublings: Vec<f64>,
    /// The distinct values among them, ascending.
    distinct: Vec<f64>,
    /// The place of each observation's value in `distinct`.
    groups: Vec<usize>,
}

impl Steps {
    fn of(observations: &[Observation<'_>]) -> Self {
        let doublings: Vec<f64> = observations
            .iter()
            .map(|row| f64::from(row.fidelity.steps()).log2())
            .collect();
        let mut distinct = doublings.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        let group = |doublings: &f64| distinct.partition_point(|other| other < doublings);
        Steps {
            groups: doublings.iter().map(group).collect(),
            doublings,
            distinct,
        }
    }

    fn fidelities(&self) -> Fidelities {
        if self.distinct.len() > 1 {
            Fidelities::Several
        } else {
            Fidelities::One
        }
    }
}

/// The covariance of the observations, including the noise that each training adds.
fn covariance_of_observations(
    h: &Hyperparameters,
    alike: &Mat<f64>,
    points: &[&Point],
    steps: &Steps,
) -> Mat<f64> {
    let mut result = Mat::zeros(points.len(), points.len());
    for a in 0..points.len() {
        for b in 0..=a {
            let fidelity = h.between_fidelities(steps.doublings[a] - steps.doublings[b]);
            let value = fidelity * covariance(h, alike[(a, b)], points[a], points[b]);
            result[(a, b)] = value;
            result[(b, a)] = value;
        }
        result[(a, a)] += h.noise;
    }
    result
}

fn covariance(h: &Hyperparameters, alike: f64, a: &Point, b: &Point) -> f64 {
    let products = a.statistics.iter().zip(&b.statistics).map(|(x, y)| x * y);
    let statistics = products.sum::<f64>() / a.statistics.len().max(1) as f64;
    h.set_covariance(alike)
        + h.judged * a.judged * b.judged
        + h.distance * a.distance * b.distance
        + h.statistics * statistics
}
