//! Loops of one's own over a session.

use std::path::Path;

use adaplace_scorer::{Score, Scorer};
use adaplace_study::{Ranking, Session, StudyConfiguration, StudyError, Trial, TrialResult};

use crate::support::{Synthetic, all_configurations, configuration, finished, lines, with_session};

fn result(scorer: &Synthetic, trial: &Trial) -> TrialResult {
    let score = scorer.score(&trial.placement, trial.steps, trial.repetition);
    TrialResult::Score(score.unwrap())
}

/// Tells every group of trials backwards, until `trials` of them are told.
fn backwards(
    session: &mut Session<'_>,
    scorer: &Synthetic,
    trials: usize,
) -> Result<(), StudyError> {
    let mut told = 0;
    while told < trials {
        let asked = session.ask(&mut |_| {})?;
        if asked.is_empty() {
            break;
        }
        for trial in asked.iter().rev().take(trials - told) {
            session.tell(trial.number, result(scorer, trial), 0.5, &mut |_| {})?;
            told += 1;
        }
    }
    Ok(())
}

fn to_the_end(folder: &Path, configuration: &StudyConfiguration) -> Ranking {
    let ranking = with_session(folder, configuration, |mut session| {
        backwards(&mut session, &Synthetic::closed_form(), usize::MAX)?;
        Ok(session.ranking().cloned())
    });
    ranking.unwrap().unwrap()
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
fn a_session_dropped_anywhere_goes_on_behind_its_journal() {
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
        with_session(&told, &configuration, |mut session| {
            backwards(&mut session, &Synthetic::closed_form(), trials)
        })
        .unwrap();
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
    with_session(folder.path(), &configuration, |mut session| {
        let trials = session.ask(&mut |_| {})?;
        let [first, second, ..] = trials.as_slice() else {
            panic!("one proposal holds several trials")
        };
        let tell = |session: &mut Session<'_>, number| {
            session.tell(number, result(&scorer, first), 0.5, &mut |_| {})
        };
        tell(&mut session, second.number)?;
        for number in [second.number, trials.len()] {
            let error = tell(&mut session, number).unwrap_err();
            assert!(matches!(error, StudyError::NotAsked { trial } if trial == number));
        }
        // What was told ahead of its turn is neither written yet nor asked for again.
        assert!(session.records().is_empty());
        let again = session.ask(&mut |_| {})?;
        assert_eq!(again.len(), trials.len() - 1);
        assert!(!again.contains(second));
        tell(&mut session, first.number)?;
        assert_eq!(session.records().len(), 2);
        Ok(())
    })
    .unwrap();
}

/// Such a score would damage the journal; the trial is not lost.
#[test]
fn a_score_that_is_no_number_is_refused() {
    let configuration = configuration("random", None);
    let folder = tempfile::tempdir().unwrap();
    let scorer = Synthetic::closed_form();
    with_session(folder.path(), &configuration, |mut session| {
        let first = session.ask(&mut |_| {})?.remove(0);
        let good = scorer.score(&first.placement, first.steps, first.repetition)?;
        let bad = Score {
            validation_loss: f64::NAN,
            ..good
        };
        let error = session.tell(0, TrialResult::Score(bad), 0.5, &mut |_| {});
        assert!(matches!(
            error,
            Err(StudyError::NotFinite { trial: 0, quantity: "validation loss", value }) if value.is_nan()
        ));
        assert_eq!((session.records(), session.best()), (&[][..], None));
        session.tell(0, TrialResult::Score(good), 0.5, &mut |_| {})?;
        assert_eq!(session.best(), Some(first.placement));
        Ok(())
    })
    .unwrap();
}
