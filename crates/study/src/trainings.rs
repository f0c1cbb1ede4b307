//! Trainings, each done once, with the journal that keeps them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use adaplace_search_space::{Fidelity, Placement, PlacementHash};

use crate::{Asks, Journal, Line, Phase, Record, StudyError, TrialResult};

/// A requested training.
#[derive(Debug, Clone, PartialEq)]
pub struct Training {
    /// Its phase of the study.
    pub phase: Phase,
    /// The placement.
    pub placement: Placement,
    /// Optimiser steps.
    pub steps: Fidelity,
    /// Repetition of the placement, which determines the initial adapters and the order of the examples. In a study 0
    /// is the search, followed by the race and the repetitions of finalists and baseline.
    pub repetition: u32,
}

/// A line of a journal that keeps a training.
pub trait TrainingLine: Line + Clone {
    /// A requested training.
    type Training: Clone;
    /// The result of a training.
    type Result;
    /// The identity of a training.
    type Key: Ord + Copy;

    /// The key of a requested training.
    fn key_of(training: &Self::Training) -> Self::Key;

    /// The key of the training that the line keeps.
    fn key(&self) -> Self::Key;

    /// Whether the line was written for the same request.
    fn is_for(&self, training: &Self::Training) -> bool;

    /// The line `number`, from 0, for a finished training.
    fn new(number: usize, training: Self::Training, result: Self::Result, seconds: f64) -> Self;
}

impl TrainingLine for Record {
    type Training = Training;
    type Result = TrialResult;
    type Key = (PlacementHash, Fidelity, u32);

    fn key_of(training: &Training) -> Self::Key {
        (
            training.placement.hash(),
            training.steps,
            training.repetition,
        )
    }

    fn key(&self) -> Self::Key {
        (self.hash, self.steps, self.repetition)
    }

    fn is_for(&self, training: &Training) -> bool {
        self.phase == training.phase
    }

    fn new(number: usize, training: Training, result: TrialResult, seconds: f64) -> Self {
        Self {
            trial: number,
            phase: training.phase,
            hash: training.placement.hash(),
            placement: training.placement,
            steps: training.steps,
            repetition: training.repetition,
            result,
            seconds,
        }
    }
}

/// The order in which the lines of a journal may be requested again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaying {
    /// The whole journal, in its order, before any new training: a single search wrote it.
    InOrder,
    /// Any order, and not necessarily all lines: the settings of the search may have changed since.
    InAnyOrder,
}

/// All trainings so far, those of the journal first, and the requested ones.
///
/// Results may be told in any order. The journal is written in the order of the numbers, so that it does not depend on
/// the number of workers. A result that is told before that of an earlier training waits for it, and is lost if the
/// process ends first.
#[derive(Debug)]
pub struct Trainings<L: TrainingLine = Record> {
    journal: Journal<L>,
    lines: Vec<L>,
    by_key: BTreeMap<L::Key, usize>,
    /// Number of lines in the journal at the start.
    loaded: usize,
    replaying: Replaying,
    /// The lines present at the start that were requested again.
    taken: BTreeSet<usize>,
    /// Trainings whose results are missing, from the next line of the journal on.
    open: VecDeque<L::Training>,
    /// Results told before their turn, by the numbers of their trainings.
    early: BTreeMap<usize, (L::Result, f64)>,
}

impl<L: TrainingLine> Trainings<L> {
    /// Continues after the lines of the journal.
    #[must_use]
    pub fn new(journal: Journal<L>, lines: Vec<L>, replaying: Replaying) -> Self {
        let mut trainings = Self {
            journal,
            loaded: lines.len(),
            replaying,
            taken: BTreeSet::new(),
            lines: Vec::new(),
            by_key: BTreeMap::new(),
            open: VecDeque::new(),
            early: BTreeMap::new(),
        };
        for line in lines {
            trainings.push(line);
        }
        trainings
    }

    /// All lines, including those of the journal that were not requested yet.
    #[must_use]
    pub fn lines(&self) -> &[L] {
        &self.lines
    }

    /// Requests `trainings`. Those that are neither in the journal nor requested before become open. `replayed` is
    /// called with the lines of those in the journal.
    ///
    /// # Errors
    /// [`StudyError::Journal`] if the journal must be replayed in order and has another line here.
    pub fn want(
        &mut self,
        trainings: &[L::Training],
        replayed: &mut dyn FnMut(&L),
    ) -> Result<(), StudyError> {
        let mut keys: BTreeSet<L::Key> = self.open.iter().map(L::key_of).collect();
        let mut missing = Vec::new();
        for training in trainings {
            match self.by_key.get(&L::key_of(training)).copied() {
                Some(line) if line < self.loaded => self.take(line, training, replayed)?,
                Some(_) => {}
                // A finalist can be the baseline, and two searches can request the same training.
                None if !keys.insert(L::key_of(training)) => {}
                None => missing.push(training.clone()),
            }
        }
        if !missing.is_empty() {
            self.check_replayed()?;
        }
        self.open.extend(missing);
        Ok(())
    }

    /// Marks a line of the journal as requested.
    fn take(
        &mut self,
        line: usize,
        training: &L::Training,
        replayed: &mut dyn FnMut(&L),
    ) -> Result<(), StudyError> {
        let held = &self.lines[line];
        let first = !self.taken.contains(&line);
        let next = line == self.taken.len() && held.is_for(training);
        if first && !next && self.replaying == Replaying::InOrder {
            return Err(self.foreign_line());
        }
        if self.taken.insert(line) {
            replayed(held);
        }
        Ok(())
    }

    /// The open trainings without a result, with their numbers, in the order in which to do them.
    pub fn untold(&self) -> impl Iterator<Item = (usize, &L::Training)> {
        let numbered = (self.lines.len()..).zip(&self.open);
        numbered.filter(|(number, _)| !self.early.contains_key(number))
    }

    /// Whether all requested trainings are in the journal.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the training with this number is open and has no result yet.
    pub(crate) fn is_untold(&self, number: usize) -> bool {
        let open = self.lines.len()..self.lines.len() + self.open.len();
        open.contains(&number) && !self.early.contains_key(&number)
    }

    /// Keeps the result of a training and its duration in seconds. `written` is called with each line added to the
    /// journal.
    ///
    /// # Errors
    /// [`StudyError::NotAsked`] if the training is not open or already has a result; [`StudyError::Write`] if the
    /// journal cannot be written.
    pub fn tell(
        &mut self,
        number: usize,
        result: L::Result,
        seconds: f64,
        written: &mut dyn FnMut(&L),
    ) -> Result<(), StudyError> {
        if !self.is_untold(number) {
            return Err(StudyError::NotAsked { trial: number });
        }
        self.early.insert(number, (result, seconds));
        while let Some((result, seconds)) = self.early.remove(&self.lines.len())
            && let Some(training) = self.open.pop_front()
        {
            let line = L::new(self.lines.len(), training, result, seconds);
            self.journal.append(&line)?;
            written(&line);
            self.push(line);
        }
        Ok(())
    }

    /// The line of a finished training.
    #[must_use]
    pub fn get(&self, training: &L::Training) -> Option<&L> {
        let line = self.by_key.get(&L::key_of(training));
        line.map(|&line| &self.lines[line])
    }

    /// The lines of `trainings`; `None` if one is missing.
    #[must_use]
    pub fn get_all(&self, trainings: &[L::Training]) -> Option<Vec<&L>> {
        trainings
            .iter()
            .map(|training| self.get(training))
            .collect()
    }

    /// Checks that the whole journal was requested again, if it must be replayed in order. Only then may new trainings
    /// start.
    ///
    /// # Errors
    /// [`StudyError::Journal`] with the first line that was not requested.
    pub fn check_replayed(&self) -> Result<(), StudyError> {
        if self.replaying == Replaying::InOrder && self.taken.len() < self.loaded {
            return Err(self.foreign_line());
        }
        Ok(())
    }

    fn push(&mut self, line: L) {
        self.by_key.entry(line.key()).or_insert(self.lines.len());
        self.lines.push(line);
    }

    fn foreign_line(&self) -> StudyError {
        StudyError::Journal {
            path: self.journal.path().to_owned(),
            line: self.taken.len() + 1,
            reason: "the study's strategy requests another training here".to_owned(),
        }
    }
}

/// Sorts trainings so that those with the same earliest target are adjacent: they start from the same frozen states.
pub fn sort_by_target(trainings: &mut [Training]) {
    trainings.sort_by_key(|training| training.placement.earliest_target());
}

/// A fixed list of trainings, such as a bench or final trainings. All are requested at once.
pub struct Listed<'a, L: TrainingLine> {
    trainings: Trainings<L>,
    written: &'a mut dyn FnMut(&L),
}

impl<'a, L: TrainingLine> Listed<'a, L> {
    /// The open ones of `trainings`. `written` is called with each line added to the journal.
    #[must_use]
    pub fn new(trainings: Trainings<L>, written: &'a mut dyn FnMut(&L)) -> Self {
        Self { trainings, written }
    }

    /// The trainings with their results.
    #[must_use]
    pub fn into_trainings(self) -> Trainings<L> {
        self.trainings
    }
}

impl<L: TrainingLine> Asks for Listed<'_, L>
where
    L::Training: Send + Sync,
    L::Result: Send,
{
    type Training = L::Training;
    type Outcome = Result<L::Result, StudyError>;

    fn ask(&mut self, _workers: usize) -> Result<Vec<(usize, L::Training)>, StudyError> {
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
        self.trainings.tell(number, outcome?, seconds, self.written)
    }
}
