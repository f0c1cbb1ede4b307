//! Custom loops over a study.

use std::path::Path;

use adaplace_scorer::{Score, Scorer};
use adaplace_study::{Ranking, Study, StudyConfiguration, StudyError, Trial, TrialResult};
use adaplace_synthetic::{Synthetic, all_configurations, configuration, finished, lines, open};

fn result(scorer: &Synthetic, trial: &Trial) -> TrialResult {
    let score = scorer.score(
        &trial.training.placement,
        trial.training.steps,
        trial.training.repetition,
    );
    TrialResult::Score(score.unwrap())
}

/// Tells every group of trials in reverse order, until `trials` of them are told.
fn backwards(study: &mut Study, scorer: &Synthetic, trials: usize) -> Result<(), StudyError> {
    let mut told = 0;
    while told < trials {
        let asked = study.ask(&mut |_| {})?;
        if asked.is_empty() {
            break;
        }
        for trial in asked.iter().rev().take(trials - told) {
            study.tell(trial.number, result(scorer, trial), 0.5, &mut |_| {})?;
            told += 1;
        }
    }
    Ok(())
}

fn to_the_end(folder: &Path, configuration: &StudyConfiguration) -> Ranking {
    let mut study = open(folder, configuration).unwrap();
    backwards(&mut study, &Synthetic::closed_form(), usize::MAX).unwrap();
    study.ranking().cloned().unwrap()
}

#[test]
fn results_told_backwards_give_the_journal_of_a_run() {
    for configuration in all_configurations() {
        let folder = tempfile::tempdir().unwrap();
        let (run, told) = (folder.path().join("run"), folder.path().join("told"));
        let expected = finished(
            Synthetic::closed_form()
                .run(&run, &configuration, 1)
                .unwrap(),
        );
        assert_eq!(to_the_end(&told, &configuration), expected);
        assert_eq!(lines(&told), lines(&run));
    }
}

#[test]
fn a_study_dropped_anywhere_resumes_behind_its_journal() {
    let configuration = configuration("evolution", None);
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let expected = finished(
        Synthetic::closed_form()
            .run(&run, &configuration, 1)
            .unwrap(),
    );
    for trials in [1, 3, 7, 15] {
        let told = folder.path().join(trials.to_string());
        let mut study = open(&told, &configuration).unwrap();
        backwards(&mut study, &Synthetic::closed_form(), trials).unwrap();
        drop(study);
        assert!(lines(&told).len() <= trials);
        assert_eq!(to_the_end(&told, &configuration), expected);
        assert_eq!(lines(&told), lines(&run));
    }
}

#[test]
fn a_trial_is_told_once_and_only_when_it_was_asked_for() {
    let configuration = configuration("random", None);
    let folder = tempfile::tempdir().unwrap();
    let scorer = Synthetic::closed_form();
    let mut study = open(folder.path(), &configuration).unwrap();
    let trials = study.ask(&mut |_| {}).unwrap();
    let [first, second, ..] = trials.as_slice() else {
        panic!("one proposal holds several trials")
    };
    let tell =
        |study: &mut Study, number| study.tell(number, result(&scorer, first), 0.5, &mut |_| {});
    tell(&mut study, second.number).unwrap();
    for number in [second.number, trials.len()] {
        let error = tell(&mut study, number).unwrap_err();
        assert!(matches!(error, StudyError::NotAsked { trial } if trial == number));
    }
    // A result told before its turn is neither written yet nor asked for again.
    assert!(study.records().is_empty());
    let again = study.ask(&mut |_| {}).unwrap();
    assert_eq!(again.len(), trials.len() - 1);
    assert!(!again.contains(second));
    tell(&mut study, first.number).unwrap();
    assert_eq!(study.records().len(), 2);
}

/// Such a score would damage the journal; the trial is not lost.
#[test]
fn a_score_that_is_no_number_is_refused() {
    let configuration = configuration("random", None);
    let folder = tempfile::tempdir().unwrap();
    let scorer = Synthetic::closed_form();
    let mut study = open(folder.path(), &configuration).unwrap();
    let first = study.ask(&mut |_| {}).unwrap().remove(0);
    let good = scorer
        .score(
            &first.training.placement,
            first.training.steps,
            first.training.repetition,
        )
        .unwrap();
    let bad = Score {
        validation_loss: f64::NAN,
        ..good
    };
    let error = study.tell(0, TrialResult::Score(bad), 0.5, &mut |_| {});
    assert!(matches!(
        error,
        Err(StudyError::NotFinite { trial: 0, quantity: "validation loss", value }) if value.is_nan()
    ));
    assert_eq!((study.records(), study.best()), (&[][..], None));
    study
        .tell(0, TrialResult::Score(good), 0.5, &mut |_| {})
        .unwrap();
    assert_eq!(study.best(), Some(first.training.placement));
}
