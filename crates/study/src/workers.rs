//! Trainings in parallel.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Instant;

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::StudyError;

/// The threads that trainings run on. A single worker uses all cores within its training; several workers have one
/// thread each. The number of workers does not change results.
#[derive(Debug)]
pub struct Workers {
    /// A pool of one thread for each of several workers; empty for a single worker.
    pools: Vec<ThreadPool>,
}

/// A source of trainings that is told their outcomes: a study, the searches of a comparison or a list.
pub trait Asks {
    /// A training.
    type Training: Send + Sync;
    /// The outcome of a training.
    type Outcome: Send;

    /// The trainings that can be done now and have no outcome yet, with their numbers, in the order in which to start
    /// them. Trainings that were returned before and have no outcome are included. Returns at least `workers` trainings
    /// if that many exist, and none once everything has an outcome.
    ///
    /// # Errors
    /// An error that ends the run.
    fn ask(&mut self, workers: usize) -> Result<Vec<(usize, Self::Training)>, StudyError>;

    /// Takes the outcome of a training and its duration in seconds.
    ///
    /// # Errors
    /// An error that ends the run.
    fn tell(
        &mut self,
        number: usize,
        outcome: Self::Outcome,
        seconds: f64,
    ) -> Result<(), StudyError>;
}

/// What does trainings. A function does one at a time.
pub trait Work<T>: Sync {
    /// The outcome of a training.
    type Outcome: Send;

    /// Largest number of trainings that are done together.
    fn most(&self) -> usize {
        1
    }

    /// Whether two trainings can be done together.
    fn fits(&self, _first: &T, _other: &T) -> bool {
        false
    }

    /// The outcomes of trainings that fit each other.
    fn work(&self, trainings: &[&T]) -> Vec<Self::Outcome>;
}

impl<T, O: Send, F: Fn(&T) -> O + Sync> Work<T> for F {
    type Outcome = O;

    fn work(&self, trainings: &[&T]) -> Vec<O> {
        trainings.iter().map(|training| self(training)).collect()
    }
}

impl Workers {
    /// Largest number of workers. More do not make a study faster.
    pub const MOST: usize = 1024;

    /// `count` workers, at least one.
    ///
    /// # Errors
    /// If `count` is above [`Self::MOST`], or if the system cannot start a thread.
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

    /// Seconds for each piece of work when all workers run it in parallel: the elapsed time divided by the number of
    /// workers.
    pub fn seconds_each(&self, work: impl Fn() + Sync) -> f64 {
        let start = Instant::now();
        if self.pools.is_empty() {
            work();
            return start.elapsed().as_secs_f64();
        }
        std::thread::scope(|scope| {
            for pool in &self.pools {
                scope.spawn(|| pool.install(&work));
            }
        });
        start.elapsed().as_secs_f64() / self.pools.len() as f64
    }

    /// Runs the trainings of `source` with `work`, several of them together where they fit. Returns whether all were done.
    ///
    /// Once `stop` is set no further training starts; running ones are finished and told. Trainings start in the order
    /// in which `source` returns them, so that after a stop the first ones are done. `source` is called on the current
    /// thread.
    ///
    /// # Errors
    /// The first error of `source`. Earlier outcomes are kept.
    pub fn run<A: Asks>(
        &self,
        source: &mut A,
        stop: &AtomicBool,
        work: impl Work<A::Training, Outcome = A::Outcome>,
    ) -> Result<bool, StudyError> {
        let work = &work;
        let timed = |together: Vec<(usize, A::Training)>| {
            let start = Instant::now();
            let trainings: Vec<_> = together.iter().map(|(_, training)| training).collect();
            let outcomes = work.work(&trainings);
            let seconds = start.elapsed().as_secs_f64() / together.len() as f64;
            let numbers = together.into_iter().map(|(number, _)| number);
            let done = numbers.zip(outcomes);
            done.map(|(number, outcome)| (number, outcome, seconds))
                .collect::<Vec<_>>()
        };
        if self.pools.is_empty() {
            loop {
                let mut asked: VecDeque<_> = source.ask(work.most())?.into();
                if asked.is_empty() {
                    return Ok(true);
                }
                if stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                for (number, outcome, seconds) in timed(next_together(&mut asked, work)) {
                    source.tell(number, outcome, seconds)?;
                }
            }
        }
        let queue = Queue::default();
        let (sender, receiver) = mpsc::channel();
        std::thread::scope(|scope| {
            // Also when the source fails or panics: otherwise the workers would wait forever.
            let _closing = Closing(&queue);
            for pool in &self.pools {
                let (sender, queue, timed) = (sender.clone(), &queue, &timed);
                scope.spawn(move || {
                    let _closing = Closing(queue);
                    while let Some(together) = queue.next(stop, work) {
                        let done = pool.install(|| timed(together));
                        if sender.send(done).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            let mut given = BTreeSet::new();
            let mut unfinished = 0;
            loop {
                if stop.load(Ordering::Relaxed) {
                    unfinished -= queue.clear();
                    if unfinished == 0 {
                        return Ok(source.ask(1)?.is_empty());
                    }
                } else {
                    let asked = source.ask(self.pools.len() * work.most())?;
                    let fresh = asked
                        .into_iter()
                        .filter(|(number, _)| given.insert(*number));
                    unfinished += queue.extend(fresh);
                    if unfinished == 0 {
                        return Ok(true);
                    }
                }
                // If no worker is left, one of them panicked, and the scope passes the panic on.
                let Ok(done) = receiver.recv() else {
                    return Ok(false);
                };
                for (number, outcome, seconds) in done {
                    unfinished -= 1;
                    source.tell(number, outcome, seconds)?;
                }
            }
        })
    }
}

/// Takes the first training, and the next ones that fit it.
fn next_together<T>(waiting: &mut VecDeque<(usize, T)>, work: &impl Work<T>) -> Vec<(usize, T)> {
    let mut together: Vec<(usize, T)> = waiting.pop_front().into_iter().collect();
    let mut index = 0;
    while together.len() < work.most() && index < waiting.len() {
        if work.fits(&together[0].1, &waiting[index].1) {
            together.extend(waiting.remove(index));
        } else {
            index += 1;
        }
    }
    together
}

/// Trainings that wait for a worker.
struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    changed: Condvar,
}

struct Waiting<T> {
    trainings: VecDeque<(usize, T)>,
    closed: bool,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            waiting: Mutex::new(Waiting {
                trainings: VecDeque::new(),
                closed: false,
            }),
            changed: Condvar::new(),
        }
    }
}

impl<T> Queue<T> {
    /// Waits for the next training, and takes those that are done together with it; none when the queue is closed or
    /// `stop` is set.
    fn next(&self, stop: &AtomicBool, work: &impl Work<T>) -> Option<Vec<(usize, T)>> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed || stop.load(Ordering::Relaxed) {
                return None;
            }
            if !waiting.trainings.is_empty() {
                return Some(next_together(&mut waiting.trainings, work));
            }
            let woken = self.changed.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Appends trainings and returns their number.
    fn extend(&self, trainings: impl Iterator<Item = (usize, T)>) -> usize {
        let mut waiting = self.lock();
        let before = waiting.trainings.len();
        waiting.trainings.extend(trainings);
        self.changed.notify_all();
        waiting.trainings.len() - before
    }

    /// Drops the waiting trainings and returns their number.
    fn clear(&self) -> usize {
        std::mem::take(&mut self.lock().trainings).len()
    }

    /// Locks the queue, even after a panic in another thread: the queue is always consistent.
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes a queue at the end of a scope, even after a panic.
struct Closing<'a, T>(&'a Queue<T>);

impl<T> Drop for Closing<'_, T> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests;
