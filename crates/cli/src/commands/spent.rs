//! The memory and the time that a study is expected to need, and what it needed.

use std::fmt;
use std::num::NonZero;
use std::sync::OnceLock;

use adaplace_backbone::{Backbone, DeviceKind};
use adaplace_scorer::{ExpectedMemory, GradientMap, Resources, StudySize};
use adaplace_search_space::SearchSpace;
use adaplace_study::{PreparationSettings, Problem, machine_memory, peak_memory, resident_memory};
use bytesize::ByteSize;
use serde::Serialize;

use crate::table::{duration, grouped};
use crate::terminal::say;

/// What a study needed. Expectations are those from before its first training, if there was one left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Spent {
    /// The time from the start to the end, in seconds.
    pub(super) seconds: f64,
    pub(super) expected_seconds: Option<f64>,
    /// The largest memory of the process, in bytes, if the system tells it.
    pub(super) memory: Option<u64>,
    pub(super) expected_memory: Option<u64>,
}

impl Spent {
    /// The time and the memory until now.
    pub(super) fn now(
        seconds: f64,
        expected_seconds: Option<f64>,
        expected_memory: Option<u64>,
    ) -> Self {
        Self {
            seconds,
            expected_seconds,
            memory: peak_memory(),
            expected_memory,
        }
    }
}

impl fmt::Display for Spent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&duration(self.seconds))?;
        let expected = self.expected_seconds.map(duration);
        let Some(memory) = self.memory else {
            return match expected {
                Some(expected) => write!(formatter, " ({expected} expected)"),
                None => Ok(()),
            };
        };
        write!(formatter, " with {} of memory", ByteSize(memory))?;
        match (expected, self.expected_memory.map(ByteSize)) {
            (Some(time), Some(memory)) => write!(formatter, " ({time} and {memory} expected)"),
            (Some(time), None) => write!(formatter, " ({time} expected)"),
            (None, Some(memory)) => write!(formatter, " ({memory} expected)"),
            (None, None) => Ok(()),
        }
    }
}

/// Prints the memory that a study on the processor is expected to need, in bytes, and returns it. Nothing is loaded after
/// this but what the study computes. `None` for another device, or if the system does not tell what is in use.
pub(super) fn announce_memory(
    problem: &Problem,
    settings: &PreparationSettings,
    resources: &Resources,
    workers: usize,
) -> Option<u64> {
    if resources.device.kind != DeviceKind::Cpu {
        return None;
    }
    // A second study in this process, as in the quickstart, uses again what the first one freed.
    static LOADED: OnceLock<Option<u64>> = OnceLock::new();
    let loaded = (*LOADED.get_or_init(resident_memory))?;
    let size = StudySize {
        batch_size: settings.training.batch_size,
        connections: settings.connections.len(),
        cache: resources.cache_memory,
        workers,
        threads: std::thread::available_parallelism().map_or(1, NonZero::get),
    };
    let expected = ExpectedMemory::of(&problem.backbone, &problem.task, size);
    let all = loaded + expected.most() as u64;
    let bytes = |bytes: usize| ByteSize(bytes as u64);
    say!(
        "memory    about {}: {} with the weights now, {} for their products, {} of cached states, {} for the gradient \
         map, then {} for trainings",
        ByteSize(all),
        ByteSize(loaded),
        bytes(expected.chain),
        bytes(expected.states),
        bytes(expected.map),
        bytes(expected.steps)
    );
    if all > machine_memory() {
        tracing::warn!(
            "this is more than the {} of this machine; `--precision bf16`, `--gradient-connections space`, a smaller \
             `--cache-memory` and fewer `--workers` need less",
            ByteSize(machine_memory())
        );
    }
    Some(all)
}

/// The time of a gradient map from which on it is worth telling, in seconds.
const LONG: f64 = 60.0;

/// Says how long a long gradient map takes, and how it takes less.
pub(super) fn announce_map(backbone: &Backbone, space: &SearchSpace, connections: usize) {
    let seconds = GradientMap::expected_seconds(backbone.description().width, connections);
    if seconds < LONG {
        return;
    }
    let of_space = space.connections().len();
    let less = match of_space < connections {
        true => format!(
            "; `--gradient-connections space` leaves the {} of the space",
            grouped(of_space as u64)
        ),
        false => String::new(),
    };
    say!(
        "about {} for the gradient map of {} connections{less}",
        duration(seconds),
        grouped(connections as u64)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let spent = |memory, expected_seconds, expected_memory| {
            let spent = Spent {
                seconds: 65.0,
                expected_seconds,
                memory,
                expected_memory,
            };
            spent.to_string()
        };
        let mebibyte = 1 << 20;
        assert_eq!(spent(None, None, Some(mebibyte)), "1 min 05 s");
        assert_eq!(
            spent(None, Some(60.0), None),
            "1 min 05 s (1 min 00 s expected)"
        );
        let memory = Some(2 * mebibyte);
        assert_eq!(
            spent(memory, None, None),
            "1 min 05 s with 2.0 MiB of memory"
        );
        assert_eq!(
            spent(memory, None, Some(mebibyte)),
            "1 min 05 s with 2.0 MiB of memory (1.0 MiB expected)"
        );
        assert_eq!(
            spent(memory, Some(60.0), Some(mebibyte)),
            "1 min 05 s with 2.0 MiB of memory (1 min 00 s and 1.0 MiB expected)"
        );
    }
}
