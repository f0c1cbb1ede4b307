//! The progress of a study: a bar in a terminal, occasional lines elsewhere.

use std::io::IsTerminal;
use std::time::Duration;

use adaplace_scorer::Score;
use adaplace_strategy::Merit;
use adaplace_study::{Event, Metric, Phase, Record};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::measures;
use crate::terminal::say;

/// Follows the events of a run.
pub(crate) struct Progress {
    bar: ProgressBar,
    metric: Metric,
    best: Option<(Merit, Score)>,
    /// Total number of expected trainings.
    expected: u64,
    replayed: u64,
}

impl Progress {
    /// Progress of up to `trainings` trainings. A strategy may need fewer.
    pub(crate) fn new(trainings: usize, metric: Metric) -> Self {
        let expected = trainings as u64;
        let bar = ProgressBar::with_draw_target(Some(expected), ProgressDrawTarget::stderr());
        let style =
            ProgressStyle::with_template("{bar:30} {pos}/{len} trainings, {msg}, {eta} left");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message("no score yet");
        bar.enable_steady_tick(Duration::from_secs(1));
        Self {
            bar,
            metric,
            best: None,
            expected,
            replayed: 0,
        }
    }

    /// Updates the progress with an event.
    pub(crate) fn notice(&mut self, event: &Event<'_>) {
        match event {
            Event::Done { record, replayed } => self.done(record, *replayed),
            Event::FinalTrainingDone => {
                self.bar.inc(1);
                self.line_now_and_then("final trainings", false);
            }
            Event::SearchFinished { remaining } => {
                self.expected = self.bar.position() + *remaining as u64;
                self.bar.set_length(self.expected);
            }
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Number of trainings that were read from the journal.
    pub(crate) fn replayed(&self) -> u64 {
        self.replayed
    }

    fn done(&mut self, record: &Record, replayed: bool) {
        if let (Phase::Search, Some(score)) = (record.phase, record.result.score()) {
            let merit = self.metric.merit(record.steps, score);
            if let Some(merit) = merit
                && self.best.is_none_or(|(best, _)| merit > best)
            {
                self.best = Some((merit, *score));
            }
        }
        self.bar.inc(1);
        if replayed {
            // Earlier trainings say nothing about the remaining time.
            self.replayed += 1;
            self.bar.reset_eta();
        }
        let best = self.best.map_or_else(
            || "no score yet".to_owned(),
            |(_, score)| {
                let headline = measures::headline(&score.measures);
                let other = match self.metric.is_of_two(score.measures.problem()) {
                    true => String::new(),
                    false => format!("{} {:.3}, ", self.metric.words(), self.metric.value(&score)),
                };
                format!("best {other}{headline}, loss {:.3}", score.validation_loss)
            },
        );
        self.line_now_and_then(&best, replayed);
        self.bar.set_message(best);
    }

    /// Prints ten lines in total if there is no bar.
    fn line_now_and_then(&self, best: &str, replayed: bool) {
        let (position, every) = (self.bar.position(), (self.expected / 10).max(1));
        if !std::io::stderr().is_terminal() && !replayed && position.is_multiple_of(every) {
            say!("{position}/{} trainings, {best}", self.expected);
        }
    }
}
