//! Long work beside a running interpreter: other Python threads continue, and Ctrl-C is noticed.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use pyo3::prelude::*;

/// The longest time until Ctrl-C is noticed.
const PATIENCE: Duration = Duration::from_millis(50);

/// Does `work` on another thread without the interpreter's lock. Ctrl-C sets `stop`. The work should then end soon, and
/// `KeyboardInterrupt` is raised.
pub(crate) fn interruptible<T: Send>(
    py: Python<'_>,
    stop: &AtomicBool,
    work: impl FnOnce() -> T + Send,
) -> PyResult<T> {
    py.detach(|| {
        thread::scope(|scope| {
            let (done, ended) = channel::<()>();
            let worker = scope.spawn(move || {
                // This is dropped when the thread ends, even after a panic.
                let _done = done;
                work()
            });
            let mut interrupt = None;
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(PATIENCE) {
                if interrupt.is_none()
                    && let Err(error) = Python::attach(|py| py.check_signals())
                {
                    stop.store(true, Ordering::Relaxed);
                    interrupt = Some(error);
                }
            }
            let result = worker.join().unwrap_or_else(|panic| resume_unwind(panic));
            interrupt.map_or(Ok(result), Err)
        })
    })
}
