//! The searches of a comparison. As many run in parallel as keep the workers busy.

use std::sync::Arc;

use adaplace_strategy::ConnectionProxy;
use adaplace_study::{Asks, Event, StudyError, Training, Trainings, TrialResult, sort_by_target};

use super::judgements::Judgements;
use super::search::{Next, Planned, Searched, Searching};

/// One competitor with one seed.
pub(super) enum Entry<'a> {
    /// Its search has not started.
    Planned(Planned<'a>),
    /// Its search is running.
    Searching(Box<Searching<'a>>),
    /// It has chosen its placement.
    Done(Searched),
}

/// The searches of a comparison, in the order in which they start. A search starts when those before it leave a worker
/// idle, so that an unfinished comparison can be compared seed by seed.
pub(super) struct Contest<'a, 'n> {
    pub(super) entries: Vec<Entry<'a>>,
    pub(super) trainings: Trainings,
    /// The proxy that scores connections.
    pub(super) proxy: Arc<dyn ConnectionProxy + 'a>,
    pub(super) judgements: Arc<Judgements>,
    pub(super) notify: &'n mut dyn FnMut(Event<'_>),
}

impl Contest<'_, '_> {
    /// Advances the search of an entry as far as the finished trainings allow. A search that has not started stays
    /// unchanged.
    fn advance(&mut self, entry: usize) -> Result<(), StudyError> {
        while let Entry::Searching(searching) = &mut self.entries[entry] {
            let Some(done) = self.trainings.get_all(searching.waits_for()) else {
                break;
            };
            match searching.advance(&done)? {
                Next::Trainings(mut wanted) => {
                    sort_by_target(&mut wanted);
                    self.trainings.want(&wanted, &mut |record| {
                        (self.notify)(Event::Done {
                            record,
                            replayed: true,
                        });
                    })?;
                }
                Next::Over(searched) => self.entries[entry] = Entry::Done(searched),
            }
        }
        Ok(())
    }
}

impl Asks for Contest<'_, '_> {
    type Training = Training;
    type Outcome = Result<TrialResult, StudyError>;

    fn ask(&mut self, workers: usize) -> Result<Vec<(usize, Training)>, StudyError> {
        for entry in 0..self.entries.len() {
            self.advance(entry)?;
        }
        for entry in 0..self.entries.len() {
            if self.trainings.untold().count() >= workers {
                break;
            }
            if let Entry::Planned(planned) = &self.entries[entry] {
                let (proxy, judgements) = (Arc::clone(&self.proxy), Arc::clone(&self.judgements));
                let searching = planned.clone().begin(proxy, judgements)?;
                self.entries[entry] = Entry::Searching(Box::new(searching));
                self.advance(entry)?;
            }
        }
        let untold = self.trainings.untold();
        Ok(untold
            .map(|(number, training)| (number, training.clone()))
            .collect())
    }

    fn tell(
        &mut self,
        number: usize,
        outcome: Self::Outcome,
        seconds: f64,
    ) -> Result<(), StudyError> {
        self.trainings
            .tell(number, outcome?, seconds, &mut |record| {
                (self.notify)(Event::Done {
                    record,
                    replayed: false,
                });
            })
    }
}
