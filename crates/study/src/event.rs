use crate::Record;

/// Progress of a run.
#[derive(Debug)]
pub enum Event<'a> {
    /// A training is done, either now or before this run (`replayed`).
    Done {
        /// Its record.
        record: &'a Record,
        /// Whether it was read from the journal.
        replayed: bool,
    },
    /// A final training of a comparison is done.
    FinalTrainingDone,
    /// The strategy is finished: the race of the best and the repetitions of finalists and baseline follow.
    SearchFinished {
        /// Number of these trainings; smaller if the baseline is among the last of the race.
        remaining: usize,
    },
}
