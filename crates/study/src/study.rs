//! A study by ask and tell, driven by [`crate::run()`] or by a custom loop.

use std::sync::Arc;

use adaplace_scorer::{GradientMap, Score};
use adaplace_search_space::{BackboneReference, Placement, SearchSpace};
use adaplace_strategy::Strategy;

use crate::finalists::{Repeated, parallel_baseline};
use crate::race::repetitions;
use crate::ranking::Ended;
use crate::results::write_results;
use crate::{
    Event, Opened, Phase, ProbeQuality, Ranking, Record, Replaying, Search, SearchRules,
    StudyConfiguration, StudyError, StudyFolder, Training, Trainings, TrialResult, sort_by_target,
};

/// The parts of a study.
pub struct StudyParts {
    /// The content of `study.toml`.
    pub configuration: StudyConfiguration,
    /// The resolved search space.
    pub space: Arc<SearchSpace>,
    /// The strategy, in its initial state.
    pub strategy: Box<dyn Strategy>,
    /// The linear probe that every training starts from.
    pub probe: ProbeQuality,
    /// The map of the frozen model, for the coupling of the finalists' connections; none with an external objective.
    pub map: Option<Arc<GradientMap>>,
    /// The backbone that placement files refer to.
    pub backbone: BackboneReference,
    /// The folder of results and the finished trainings.
    pub opened: Opened,
}

/// A training that a study asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Its number in the study, from 0. It is the index of its line in the journal.
    pub number: usize,
    /// The training to run.
    pub training: Training,
}

/// A running study. It asks for trainings, is told their results and keeps them in the journal: first the search, then
/// the race of the best, then the repetitions of finalists and baseline. At the end it writes the ranking.
///
/// Results may be told in any order; [`Trainings`] says what that means for the journal.
pub struct Study {
    configuration: StudyConfiguration,
    space: Arc<SearchSpace>,
    probe: ProbeQuality,
    map: Option<Arc<GradientMap>>,
    backbone: BackboneReference,
    folder: StudyFolder,
    search: Search<'static>,
    trainings: Trainings,
    stage: Stage,
}

enum Stage {
    /// The search and the race, with the trainings that they wait for.
    Search(Vec<Training>),
    /// Repetitions of the placements that the race left, then of the baseline.
    Repetitions {
        finalists: Vec<(usize, Placement)>,
        baseline: Placement,
        trainings: Vec<Training>,
    },
    Finished(Box<Ranking>),
}

impl Study {
    /// A study that continues after the records of its journal.
    #[must_use]
    pub fn new(parts: StudyParts) -> Self {
        let StudyParts {
            configuration,
            space,
            strategy,
            probe,
            map,
            backbone,
            opened,
        } = parts;
        let Opened {
            folder,
            journal,
            records,
        } = opened;
        let replaying = match folder.has_grown() {
            true => Replaying::InAnyOrder,
            false => Replaying::InOrder,
        };
        let settings = &configuration.search;
        let rules = SearchRules {
            metric: settings.metric,
            costs: settings.costs.clone(),
            proposals: settings.proposals.get(),
            finalists: settings.finalists.get(),
            race: settings.race_repetitions(),
            steps: settings.steps,
            // The race has the repetitions after this one.
            repetition: 0,
            first_of_race: 1,
        };
        Self {
            search: Search::new(rules, Arc::clone(&space), strategy),
            trainings: Trainings::new(journal, records, replaying),
            stage: Stage::Search(Vec::new()),
            configuration,
            space,
            probe,
            map,
            backbone,
            folder,
        }
    }

    /// All trainings that can be done now, in the order of their numbers; none when the study is finished. Trainings
    /// without a result are returned again by the next call.
    ///
    /// # Errors
    /// If the journal does not belong to this study, the strategy cannot continue, no placement was found, or the
    /// results cannot be written.
    pub fn ask(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<Vec<Trial>, StudyError> {
        while self.trainings.is_settled() && self.ranking().is_none() {
            self.advance(notify)?;
        }
        let untold = self.trainings.untold();
        Ok(untold
            .map(|(number, training)| Trial {
                number,
                training: training.clone(),
            })
            .collect())
    }

    /// Takes the result of a trial that was asked for, and the seconds that it took.
    ///
    /// # Errors
    /// [`StudyError::NotAsked`] if the trial was not asked for or already has a result; [`StudyError::NotFinite`],
    /// after which it can be told again; [`StudyError::Write`] if the journal cannot be written.
    pub fn tell(
        &mut self,
        number: usize,
        result: TrialResult,
        seconds: f64,
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), StudyError> {
        if !self.trainings.is_untold(number) {
            return Err(StudyError::NotAsked { trial: number });
        }
        if let Some((quantity, value)) = result.score().and_then(|score| self.not_finite(score)) {
            return Err(StudyError::NotFinite {
                trial: number,
                quantity,
                value,
            });
        }
        self.trainings.tell(number, result, seconds, &mut |record| {
            notify(Event::Done {
                record,
                replayed: false,
            });
        })
    }

    /// The part of a score that is not finite: JSON cannot hold it, and it would damage the journal.
    fn not_finite(&self, score: &Score) -> Option<(&'static str, f64)> {
        let metric = self.configuration.search.metric;
        score
            .not_finite()
            .or_else(|| Some((metric.words(), metric.value(score))))
            .filter(|(_, value)| !value.is_finite())
    }

    /// The best placement: the first finalist of a finished study, else the best complete trial.
    #[must_use]
    pub fn best(&self) -> Option<Placement> {
        if let Some(ranking) = self.ranking() {
            let first = ranking.finalists.first();
            return first.map(|finalist| finalist.repeated.placement.clone());
        }
        let told: Vec<Record> = match &self.stage {
            Stage::Search(waited_for) if self.search.race().is_none() => {
                let told = waited_for.iter().filter_map(|one| self.trainings.get(one));
                told.cloned().collect()
            }
            _ => Vec::new(),
        };
        let best = self.search.best(&told);
        best.into_iter().next().map(|(_, placement)| placement)
    }

    /// All trainings done so far, those of the journal included.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        self.trainings.lines()
    }

    /// The ranking, once the study is finished.
    #[must_use]
    pub fn ranking(&self) -> Option<&Ranking> {
        match &self.stage {
            Stage::Finished(ranking) => Some(ranking),
            _ => None,
        }
    }

    /// Continues once everything that was asked for has a result.
    fn advance(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), StudyError> {
        match &self.stage {
            Stage::Search(waited_for) => {
                let done = done(&self.trainings, waited_for);
                let raced = self.search.race().is_some();
                let next = self.search.advance(done)?;
                if self.search.race().is_some() && !raced {
                    self.announce_race(notify)?;
                }
                if next.is_empty() {
                    return self.repeat_the_last(notify);
                }
                self.want(&next, notify)?;
                self.stage = Stage::Search(next);
                Ok(())
            }
            Stage::Repetitions {
                finalists,
                baseline,
                trainings,
            } => {
                self.trainings.check_replayed()?;
                let ranking = self.ranked(finalists, baseline, trainings);
                write_results(&self.folder, &self.configuration, &self.backbone, &ranking)?;
                self.stage = Stage::Finished(Box::new(ranking));
                Ok(())
            }
            Stage::Finished(_) => Ok(()),
        }
    }

    /// Announces the end of the search. The best placements race next.
    fn announce_race(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), StudyError> {
        let entrants = self.search.last().len();
        if entrants == 0 {
            self.trainings.check_replayed()?;
            return Err(nothing_found(&self.configuration, self.search.trials()));
        }
        notify(Event::SearchFinished {
            remaining: self.configuration.search.trainings_after_search(entrants),
        });
        Ok(())
    }

    /// After the race, repeats the placements that it left and the baseline on new orders, so that their means are
    /// unbiased.
    fn repeat_the_last(&mut self, notify: &mut dyn FnMut(Event<'_>)) -> Result<(), StudyError> {
        let race = self.search.race().expect("a search ends with its race");
        let search = &self.configuration.search;
        let fresh = repetitions(race.next_repetition(), search.repetitions.get());
        let repeat = |phase, placement: &Placement| {
            let (placement, steps) = (placement.clone(), search.steps);
            fresh.clone().map(move |repetition| Training {
                phase,
                placement: placement.clone(),
                steps,
                repetition,
            })
        };
        let (finalists, baseline) = (race.last(), parallel_baseline(&self.space));
        let mut trainings: Vec<Training> = finalists
            .iter()
            .flat_map(|(_, placement)| repeat(Phase::Finalist, placement))
            .collect();
        trainings.extend(repeat(Phase::Baseline, &baseline));
        self.want(&trainings, notify)?;
        self.stage = Stage::Repetitions {
            finalists,
            baseline,
            trainings,
        };
        Ok(())
    }

    fn ranked(
        &self,
        finalists: &[(usize, Placement)],
        baseline: &Placement,
        trainings: &[Training],
    ) -> Ranking {
        let search = &self.configuration.search;
        let done = done(&self.trainings, trainings);
        let results: Vec<TrialResult> = done.into_iter().map(|record| record.result).collect();
        let mut groups = results.chunks(search.repetitions.get() as usize);
        let mut repeated = |placement: &Placement| {
            let results = groups.next().unwrap_or_default().to_vec();
            Repeated::new(placement.clone(), self.space.cost(placement), results)
        };
        let finalists = finalists
            .iter()
            .map(|(trial, placement)| (*trial, repeated(placement)))
            .collect();
        let ended = Ended {
            records: self.search.trials(),
            race: self.search.race().expect("a search ends with its race"),
            finalists,
            baseline: repeated(baseline),
            joint: self.map.as_ref().and_then(|map| map.joint()),
        };
        Ranking::new(search, self.probe, &self.space, ended)
    }

    fn want(
        &mut self,
        trainings: &[Training],
        notify: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), StudyError> {
        let mut sorted = trainings.to_vec();
        sort_by_target(&mut sorted);
        self.trainings.want(&sorted, &mut |record| {
            notify(Event::Done {
                record,
                replayed: true,
            });
        })
    }
}

/// The records of trainings that have results.
fn done(trainings: &Trainings, asked: &[Training]) -> Vec<Record> {
    let done = trainings.get_all(asked);
    let done = done.expect("every requested training has a result");
    done.into_iter().cloned().collect()
}

fn nothing_found(configuration: &StudyConfiguration, records: &[Record]) -> StudyError {
    let trials = records.len();
    let reason = records.iter().find_map(|record| match &record.result {
        TrialResult::Failed(reason) => Some(reason.clone()),
        TrialResult::Score(_) => None,
    });
    match reason {
        Some(reason) if records.iter().all(|record| record.result.score().is_none()) => {
            StudyError::NothingScored { trials, reason }
        }
        _ => StudyError::NothingComplete {
            strategy: configuration.strategy.name().to_owned(),
            trials,
        },
    }
}
