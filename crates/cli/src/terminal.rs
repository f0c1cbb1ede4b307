//! The terminal: messages that may have no reader, signals, and paths for pasting into a shell.

use std::fmt;
use std::io::{self, Write};
use std::path::Path;
#[cfg(unix)]
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[cfg(unix)]
use anyhow::Context;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Prints a line to stderr. If it cannot be written, as on a full disk or into a closed pipe, it is lost and the
/// program continues.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::terminal::write_line(format_args!($($text)*))
    };
}
pub(crate) use say;

pub(crate) fn write_line(text: fmt::Arguments<'_>) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{text}");
}

/// Stderr for log lines. Lines that cannot be written are lost.
#[derive(Debug)]
pub(crate) struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}

/// A path, quoted as an argument for a shell.
pub(crate) fn argument(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

/// Whether trainings run that a signal must let finish.
static TRAININGS_RUN: AtomicBool = AtomicBool::new(false);

/// The phase before the trainings of a journal. It is shown in the terminal, and a signal ends the program at once.
pub(crate) struct Preparation(ProgressBar);

impl Preparation {
    /// Starts a phase; `what` describes it.
    ///
    /// # Errors
    /// If the system does not allow signal handlers.
    pub(crate) fn begin(what: &'static str) -> Result<Self> {
        TRAININGS_RUN.store(false, Ordering::Relaxed);
        listen_once()?;
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if bar.is_hidden() {
            say!("{what}");
        }
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}, {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Ok(Self(bar))
    }
}

impl Drop for Preparation {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

static STOP: AtomicBool = AtomicBool::new(false);

/// The flag to stop, for trainings that begin now. From here on, the first SIGINT (Ctrl-C), SIGTERM or SIGHUP lets the
/// running trainings finish, and the second one ends the program at once. The journal survives both. A signal that is
/// ignored at the start, such as SIGHUP under `nohup`, stays ignored.
pub(crate) fn stop_on_interrupt() -> Result<&'static AtomicBool> {
    listen_once()?;
    TRAININGS_RUN.store(true, Ordering::Relaxed);
    Ok(&STOP)
}

fn listen_once() -> Result<()> {
    static LISTENING: OnceLock<()> = OnceLock::new();
    if LISTENING.get().is_none() {
        listen()?;
        LISTENING.get_or_init(|| ());
    }
    Ok(())
}

/// Ignores signals while another process handles them and ends by itself.
pub(crate) fn leave_signals_to_others() -> Result<()> {
    #[cfg(unix)]
    for signal in heeded() {
        signal_hook::flag::register(signal, Arc::default()).context("cannot listen to signals")?;
    }
    Ok(())
}

#[cfg(unix)]
fn listen() -> Result<()> {
    let signals = signal_hook::iterator::Signals::new(heeded());
    let mut signals = signals.context("cannot listen to signals")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !TRAININGS_RUN.load(Ordering::Relaxed) {
                say!("stopped before the first training; run the same command again");
                std::process::exit(i32::from(crate::INTERRUPTED));
            }
            if STOP.swap(true, Ordering::Relaxed) {
                std::process::exit(i32::from(crate::INTERRUPTED));
            }
            say!("finishing the running trainings; press Ctrl-C again to stop at once");
        }
    });
    Ok(())
}

#[cfg(unix)]
fn heeded() -> impl Iterator<Item = i32> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

    let ignored = ignored();
    let all = [SIGINT, SIGTERM, SIGHUP].into_iter();
    all.filter(move |signal| ignored >> (signal - 1) & 1 == 0)
}

/// The set of ignored signals, a bit for each from signal 1; empty if the system does not report it.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let mask = lines.find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// There is nothing to handle: the program ends at once, and the journal survives.
#[cfg(not(unix))]
fn listen() -> Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_can_be_pasted() {
        let quoted = |path: &str| argument(Path::new(path));
        assert_eq!(quoted("results/first_1"), "results/first_1");
        assert_eq!(quoted("my study"), "'my study'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("$HOME/a;b"), "'$HOME/a;b'");
    }
}
