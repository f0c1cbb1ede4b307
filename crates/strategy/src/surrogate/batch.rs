//! The choice of the next proposals.

use adaplace_search_space::{Placement, SearchSpace};
use rand_chacha::ChaCha8Rng;

use super::candidates::Candidates;
use super::goal::{Goal, Known, best_first};
use super::judgement::Judgement;
use super::kernel::Members;
use super::model::{Model, Point};
use super::{Chooser, Surrogate};
use crate::StrategyError;

impl Surrogate<'_> {
    /// A placement chosen without the model and marked as seen. `None` if the space is exhausted.
    pub(super) fn free(
        &mut self,
        space: &SearchSpace,
        judgement: &Judgement<'_>,
        chooser: Chooser,
    ) -> Result<Option<Placement>, StrategyError> {
        let temperature = match chooser {
            Chooser::Drawn(temperature) => temperature,
            Chooser::Judgement | Chooser::Model => 0,
        };
        let weights = &judgement.weights[temperature];
        let mut candidates = Candidates::new(space, &self.unseen, weights, &mut self.random);
        let drawn = match chooser {
            Chooser::Drawn(_) => candidates.weighted(1).pop(),
            Chooser::Judgement | Chooser::Model => {
                let mut drawn = candidates.weighted(64);
                drawn.extend(candidates.uniform(32));
                let points = judgement.points(&drawn)?;
                self.best_and_different(judgement, &points)
                    .map(|index| drawn.swap_remove(index))
            }
        };
        match drawn {
            Some(placement) => {
                self.unseen.insert(&placement);
                Ok(Some(placement))
            }
            None => Ok(self.unseen.draw(space, &mut self.random)),
        }
    }

    /// The point with the largest `j + ln(1 - k^2) / 2`, where j is the standardised joint score and k the similarity
    /// to the most similar known point.
    ///
    /// This is what the point adds to the determinant of a kernel with quality e^j (Kulesza and Taskar 2012) if that
    /// known point were the only one.
    fn best_and_different(&self, judgement: &Judgement<'_>, points: &[Point]) -> Option<usize> {
        let known: Vec<&Members> = self.points.values().map(|point| &point.members).collect();
        let members: Vec<&Members> = points.iter().map(|point| &point.members).collect();
        let alike = judgement.kernel.cross(&known, &members);
        let worth = |index: usize| {
            let likest = alike.col(index).iter().copied().fold(0.0, f64::max);
            points[index].judged + 0.5 * (1.0 - likest * likest).max(1e-9).ln()
        };
        first_greatest((0..points.len()).map(worth))
    }

    /// The unseen placements from which the model chooses, with what it knows of them.
    fn candidates(
        &mut self,
        space: &SearchSpace,
        judgement: &Judgement<'_>,
        model: &Model,
        known: &[Known],
        tried: &[Placement],
    ) -> Result<(Vec<Placement>, Vec<Point>), StrategyError> {
        if let Some(all) = Candidates::<ChaCha8Rng>::all(space, &self.unseen, Self::CANDIDATES) {
            let points = judgement.points(&all)?;
            return Ok((all, points));
        }
        let order = best_first(known, self.fidelity);
        let parents: Vec<Placement> = order
            .into_iter()
            .take(Self::PARENTS)
            .map(|index| tried[index].clone())
            .collect();
        let goal = Goal::new(known, &mut self.random);
        let Self {
            unseen,
            random,
            costs,
            ..
        } = self;
        let mut candidates = Candidates::new(space, unseen, &judgement.weights[0], random);
        let share = Self::CANDIDATES / 8;
        let weighted = candidates.weighted(3 * share);
        let mut promising: Vec<(Point, Placement)> = judgement
            .points(&weighted)?
            .into_iter()
            .zip(weighted)
            .collect();
        promising
            .sort_by(|(a, of_a), (b, of_b)| b.judged.total_cmp(&a.judged).then(of_a.cmp(of_b)));
        promising.truncate(share);
        let (mut points, mut placements): (Vec<Point>, Vec<Placement>) =
            promising.into_iter().unzip();
        let mut others = candidates.changes(&parents, 3 * share);
        others.extend(candidates.uniform(share));
        points.extend(judgement.points(&others)?);
        placements.extend(others);

        let of_points: Vec<&Point> = points.iter().collect();
        let beliefs = model.beliefs(&of_points);
        let mut improvements: Vec<(f64, usize)> = (0..points.len())
            .map(|index| {
                let cost = space.cost(&placements[index]);
                let costs: Vec<f64> = costs.iter().map(|objective| objective.of(&cost)).collect();
                let deviation = beliefs.variances[index].sqrt();
                (
                    goal.improvement(beliefs.means[index], deviation, &costs),
                    index,
                )
            })
            .collect();
        improvements.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let parents: Vec<Placement> = improvements
            .into_iter()
            .take(Self::PROMISING)
            .map(|(_, index)| placements[index].clone())
            .collect();
        let near = candidates.changes(&parents, 3 * share);
        points.extend(judgement.points(&near)?);
        placements.extend(near);
        Ok((placements, points))
    }

    /// Fills in the rest of a batch by the model, after some of it was chosen without.
    pub(super) fn fill(
        &mut self,
        space: &SearchSpace,
        judgement: &Judgement<'_>,
        model: &Model,
        batch: &mut [Option<Placement>],
    ) -> Result<(), StrategyError> {
        let tried = self.told.placements();
        let mut known = self.known(space, model, &tried.iter().collect::<Vec<_>>());
        let (mut placements, mut points) =
            self.candidates(space, judgement, model, &known, &tried)?;
        let choices = placements.len();
        let chosen: Vec<Placement> = batch.iter().flatten().cloned().collect();
        points.extend(
            chosen
                .iter()
                .filter_map(|one| self.points.get(one))
                .cloned(),
        );
        placements.extend(chosen);
        let points: Vec<&Point> = points.iter().collect();
        let costs: Vec<Vec<f64>> = placements
            .iter()
            .map(|one| self.costs_of(space, one))
            .collect();
        let mut beliefs = model.beliefs(&points);
        let mut open = vec![true; choices];
        let mut without = choices..placements.len();
        for place in batch {
            let next = match place {
                Some(_) => without.next(),
                None => {
                    let goal = Goal::new(&known, &mut self.random);
                    let improvement = |index: usize| {
                        let deviation = beliefs.variances[index].sqrt();
                        goal.improvement(beliefs.means[index], deviation, &costs[index])
                    };
                    let left: Vec<usize> = (0..choices).filter(|&index| open[index]).collect();
                    let best = first_greatest(left.iter().map(|&index| improvement(index)));
                    best.map(|best| left[best])
                }
            };
            let Some(next) = next else { continue };
            if next < choices {
                open[next] = false;
                self.unseen.insert(&placements[next]);
                *place = Some(placements[next].clone());
            }
            model.believe(&mut beliefs, &points, next);
            known.push(Known {
                mean: beliefs.means[next],
                costs: costs[next].clone(),
            });
        }
        Ok(())
    }
}

/// The first of the largest values, where differences due to rounding do not count: the choice should not depend on the
/// machine.
fn first_greatest(values: impl Iterator<Item = f64>) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (index, value) in values.enumerate() {
        if best.is_none_or(|(_, greatest)| value > greatest + 1e-9 * greatest.abs()) {
            best = Some((index, value));
        }
    }
    best.map(|(index, _)| index)
}
