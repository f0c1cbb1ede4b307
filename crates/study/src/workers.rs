//! Trainings side by side.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::StudyError;

/// The threads that trainings run on. A single worker uses all cores within its training; of several, each has
/// one thread. Neither changes any result.
#[derive(Debug)]
pub struct Workers {
    /// One pool of one thread for each of several workers; none for a single one.
    pools: Vec<ThreadPool>,
}

impl Workers {
    /// More make no study faster, and no system has threads for any number.
    pub const MOST: usize = 1024;

    /// `count` workers, at least one.
    ///
    /// # Errors
    /// If there are more than [`Self::MOST`], or the system gives no thread.
    pub fn new(count: usize) -> Result<Self, StudyError> {
        if count > Self::MOST {
            return Err(StudyError::Workers {
                workers: count,
                reason: format!("at most {} are possible", Self::MOST),
            });
        }
        let single = || ThreadPoolBuilder::new().num_threads(1).build();
        let pools = match count {
            0 | 1 => Ok(Vec::new()),
            _ => (0..count).map(|_| single()).collect(),
        };
        pools
            .map(|pools| Self { pools })
            .map_err(|error| StudyError::Workers {
                workers: count,
                reason: error.to_string(),
            })
    }

    /// How long one piece of work takes when all workers do it side by side, in seconds: the time divided among them.
    pub fn seconds_each(&self, work: impl Fn() + Sync) -> f64 {
        let jobs = vec![(); self.pools.len().max(1)];
        let start = Instant::now();
        let all = self.for_each(&jobs, &AtomicBool::new(false), |()| work(), |(), ()| Ok(()));
        debug_assert!(all.is_ok());
        start.elapsed().as_secs_f64() / jobs.len() as f64
    }

    /// Runs `work` on every job and calls `done` with the results, in the order of the jobs, on the current thread.
    ///
    /// Once `stop` is set, or `done` fails, no further job is started; those that run are finished, and since jobs start in
    /// order, the results that `done` sees are always those of the first jobs.
    ///
    /// # Errors
    /// The first one of `done`.
    pub(crate) fn for_each<J: Sync, T: Send>(
        &self,
        jobs: &[J],
        stop: &AtomicBool,
        work: impl Fn(&J) -> T + Sync,
        mut done: impl FnMut(&J, T) -> Result<(), StudyError>,
    ) -> Result<(), StudyError> {
        if self.pools.is_empty() {
            for job in jobs {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                done(job, work(job))?;
            }
            return Ok(());
        }
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            for pool in &self.pools {
                let (sender, next, failed, work) = (sender.clone(), &next, &failed, &work);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) && !failed.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(index) else { break };
                        let result = pool.install(|| work(job));
                        if sender.send((index, result)).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let mut waiting = BTreeMap::new();
            let mut expected = 0;
            let mut outcome = Ok(());
            for (index, result) in receiver {
                waiting.insert(index, result);
                while let Some(result) = waiting.remove(&expected) {
                    if outcome.is_ok() {
                        outcome = done(&jobs[expected], result);
                        failed.store(outcome.is_err(), Ordering::Relaxed);
                    }
                    expected += 1;
                }
            }
            outcome
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u64> = (0..40).collect();
        for count in [1, 2, 5] {
            let mut seen = Vec::new();
            let work = |&job: &u64| {
                std::thread::sleep(std::time::Duration::from_micros(job * 37 % 500));
                job * job
            };
            Workers::new(count)
                .unwrap()
                .for_each(&jobs, &AtomicBool::new(false), work, |&job, square| {
                    assert_eq!(square, job * job);
                    seen.push(job);
                    Ok(())
                })
                .unwrap();
            assert_eq!(seen, jobs);
        }
    }

    #[test]
    fn a_stop_leaves_a_beginning_without_gaps() {
        let jobs: Vec<usize> = (0..100).collect();
        for count in [1, 3] {
            let stop = AtomicBool::new(false);
            let mut seen = Vec::new();
            // Jobs behind the one that stops wait for it: else a worker could run many before it is scheduled.
            let work = |&job: &usize| {
                stop.fetch_or(job == 10, Ordering::Relaxed);
                while job > 10 && !stop.load(Ordering::Relaxed) {
                    std::thread::yield_now();
                }
                job
            };
            Workers::new(count)
                .unwrap()
                .for_each(&jobs, &stop, work, |_, job| {
                    seen.push(job);
                    Ok(())
                })
                .unwrap();
            assert!(seen.len() >= 11 && seen.len() < 11 + count);
            assert_eq!(seen, jobs[..seen.len()]);
        }
    }

    #[test]
    fn the_first_error_ends_it() {
        let jobs: Vec<usize> = (0..50).collect();
        let mut calls = 0;
        let result = Workers::new(2).unwrap().for_each(
            &jobs,
            &AtomicBool::new(false),
            |&job| job,
            |_, job| {
                calls += 1;
                match job {
                    7 => Err(StudyError::NothingComplete {
                        strategy: "test".to_owned(),
                        trials: 50,
                    }),
                    _ => Ok(()),
                }
            },
        );
        assert!(result.is_err());
        assert_eq!(calls, 8);
    }

    #[test]
    fn each_of_several_workers_has_one_thread() {
        let jobs = [(); 6];
        let threads = |()| rayon::current_num_threads();
        Workers::new(3)
            .unwrap()
            .for_each(
                &jobs,
                &AtomicBool::new(false),
                |&job| threads(job),
                |_, count| {
                    assert_eq!(count, 1);
                    Ok(())
                },
            )
            .unwrap();
    }
}
