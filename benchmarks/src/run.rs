//! Does a work and times it. The time for reading backbone and examples is not included.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use adaplace_backbone::{Device, Precision};
use adaplace_scorer::{GradientMapSettings, Resources, Score, ScoreError, Scorer};
use adaplace_search_space::{Connection, Fidelity, Placement};
use anyhow::{Context, Result, bail};
use rayon::ThreadPoolBuilder;

use crate::results::{Outcome, Report};
use crate::work::{Kind, Shared, Work};

pub(crate) fn run(
    folder: &Path,
    precision: Precision,
    workers: usize,
    resources: Resources,
    limit: Option<usize>,
) -> Result<Report> {
    let work = Work::read(folder)?;
    let mut problem = work.source.load(work.seed)?;
    problem.backbone = problem.backbone.with_precision(precision);
    if resources.device == Device::CPU {
        // Packing the weights is part of loading them.
        problem.backbone.chain()?;
    }
    let shared = problem.shared();
    let placements = work.placements(limit)?;
    let alone = |(seconds, results)| (seconds, results, 1);
    let (seconds, results, side_by_side) = match work.kind {
        Kind::Steps => alone(steps(&work, &shared, &placements, resources)?),
        Kind::Study => study(&work, &shared, &placements, (workers, resources))?,
        Kind::GradientMap => alone(gradient_map(&work, &shared, resources)?),
    };
    Ok(Report {
        engine: "adaplace",
        work: work.name,
        kind: work.kind,
        precision,
        device: resources.device.to_string(),
        side_by_side,
        seconds,
        results,
    })
}

/// Times `repeat` as often as the work asks for, and returns the seconds and the last result.
fn timed<T>(work: &Work, mut repeat: impl FnMut() -> Result<T>) -> Result<(Vec<f64>, T)> {
    for _ in 0..work.warm_ups {
        repeat()?;
    }
    let (mut seconds, mut last) = (Vec::new(), None);
    for _ in 0..work.repeats {
        let start = Instant::now();
        last = Some(repeat()?);
        seconds.push(start.elapsed().as_secs_f64());
    }
    Ok((seconds, last.context("a work is done at least once")?))
}

/// The seconds per step of whole trainings. The caches of the frozen states are filled before.
fn steps(
    work: &Work,
    shared: &Shared,
    placements: &[Placement],
    resources: Resources,
) -> Result<(Vec<f64>, Vec<Outcome>)> {
    let [placement] = placements else {
        bail!(
            "`{}` has {} placements, steps are timed for one",
            work.name,
            placements.len()
        );
    };
    let fidelity = Fidelity::new(work.steps).context("a training has at least one step")?;
    let scorer = work.scorer(shared, resources)?;
    let (seconds, trained) = timed(work, || Ok(scorer.train(placement, fidelity, 0)?))?;
    let score = scorer.validate(&trained, fidelity)?;
    let per_step = seconds
        .iter()
        .map(|seconds| seconds / f64::from(work.steps));
    Ok((per_step.collect(), vec![outcome(placement, &score)]))
}

/// Times everything from the encoded examples to the scores: frozen states, linear probe and trainings. The last result is
/// the number of trainings at a time.
fn study(
    work: &Work,
    shared: &Shared,
    placements: &[Placement],
    (workers, resources): (usize, Resources),
) -> Result<(Vec<f64>, Vec<Outcome>, usize)> {
    let fidelity = Fidelity::new(work.steps).context("a study trains for at least one step")?;
    let (seconds, (scores, at_once)) = timed(work, || {
        let scorer = work.scorer(shared, resources)?;
        let at_once = scorer.side_by_side();
        let scores = if at_once > 1 {
            let placements: Vec<&Placement> = placements.iter().collect();
            let scores = scorer.score_together(&placements, fidelity, 0).into_iter();
            scores.collect::<Result<Vec<Score>, ScoreError>>()?
        } else {
            let score = |placement: &Placement| scorer.score(placement, fidelity, 0);
            side_by_side(placements, workers, score)?
        };
        Ok((scores, at_once))
    })?;
    let outcomes = placements.iter().zip(&scores);
    let outcomes = outcomes.map(|(placement, score)| outcome(placement, score));
    Ok((seconds, outcomes.collect(), at_once))
}

/// Trains like a study: a single worker uses all cores, and several workers have one thread each.
fn side_by_side(
    placements: &[Placement],
    workers: usize,
    score: impl Fn(&Placement) -> Result<Score, ScoreError> + Sync,
) -> Result<Vec<Score>> {
    if workers == 1 {
        return Ok(placements.iter().map(score).collect::<Result<_, _>>()?);
    }
    let next = AtomicUsize::new(0);
    let scores = Mutex::new(vec![None; placements.len()]);
    std::thread::scope(|scope| -> Result<()> {
        let mut running = Vec::new();
        for _ in 0..workers {
            let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
            let (next, scores, score) = (&next, &scores, &score);
            running.push(scope.spawn(move || -> Result<()> {
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(placement) = placements.get(index)
                {
                    let found = pool.install(|| score(placement))?;
                    scores.lock().expect("no worker panics with the lock")[index] = Some(found);
                }
                Ok(())
            }));
        }
        for worker in running {
            worker.join().expect("a worker returns its errors")?;
        }
        Ok(())
    })?;
    let scores = scores.into_inner().expect("no worker panics with the lock");
    scores
        .into_iter()
        .collect::<Option<_>>()
        .context("a placement was left out")
}

fn gradient_map(
    work: &Work,
    shared: &Shared,
    resources: Resources,
) -> Result<(Vec<f64>, Vec<Outcome>)> {
    let scorer = work.scorer(shared, resources)?;
    let settings = GradientMapSettings {
        batch_size: work.settings.batch_size,
        ..GradientMapSettings::default()
    };
    let train = &shared.1.train;
    let all = Connection::all(shared.0.description().hidden_states as u16);
    let (seconds, map) = timed(work, || {
        Ok(scorer.plain_gradient_map(train, &all, &settings)?)
    })?;
    let outcome = |&connection: &Connection| {
        let values = map.singular_values(connection)?;
        Some(Outcome::Connection {
            connection: (connection.source, connection.target),
            largest: values.first().copied().unwrap_or_default(),
            nuclear: values.iter().sum(),
        })
    };
    Ok((seconds, all.iter().filter_map(outcome).collect()))
}

fn outcome(placement: &Placement, score: &Score) -> Outcome {
    let connections = placement.connections();
    Outcome::Training {
        placement: connections
            .map(|connection| (connection.source, connection.target))
            .collect(),
        validation_accuracy: score.measures.headline(),
        validation_loss: score.validation_loss,
        train_loss: score.train_loss,
    }
}
