use adaplace_experiments::ExperimentError;
use adaplace_study::StudyError;

/// What can go wrong with a report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The study cannot be read.
    #[error(transparent)]
    Study(#[from] StudyError),
    /// From an experiment: its message names the file.
    #[error(transparent)]
    Experiment(#[from] ExperimentError),
    /// The plotting library refused a chart.
    #[error("cannot draw the chart `{chart}`: {reason}")]
    Drawing {
        /// Its title.
        chart: String,
        /// What the library said.
        reason: String,
    },
}
