//! The memory of the machine.

use adaplace_backbone::{Backbone, DeviceKind};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// By default, frozen states take at most 1 / `DEFAULT_SHARE` of the memory that is left.
const DEFAULT_SHARE: u64 = 4;

/// Memory of the machine in bytes, or the limit of this process's control group.
#[must_use]
pub fn machine_memory() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let group = system.cgroup_limits().map(|limits| limits.total_memory);
    let total = system.total_memory();
    group
        .filter(|&group| group > 0)
        .map_or(total, |group| group.min(total))
}

/// The memory in bytes that this process has in use. `None` if the system does not tell.
#[must_use]
pub fn resident_memory() -> Option<u64> {
    of_process("VmRSS:")
}

/// The largest memory in bytes that this process has had in use. `None` if the system does not tell.
#[must_use]
pub fn peak_memory() -> Option<u64> {
    of_process("VmHWM:")
}

/// A size in the status of this process, as Linux writes it: its name, then the number of KiB.
fn of_process(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes << 10)
}

/// Default size in bytes of the cache of frozen states: a quarter of the memory that this process and the prepared backbone
/// leave. `None` for a card, which knows how much of its own it has free.
#[must_use]
pub fn default_cache_memory(device: DeviceKind, backbone: &Backbone) -> Option<usize> {
    match device {
        DeviceKind::Cpu | DeviceKind::Candle => {
            let used = resident_memory().unwrap_or_default() + backbone.prepared_bytes() as u64;
            Some((machine_memory().saturating_sub(used) / DEFAULT_SHARE) as usize)
        }
        DeviceKind::Cuda | DeviceKind::Metal => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_has_what_was_freed() {
        let size = 64 << 20;
        let before = resident_memory().unwrap();
        drop(std::hint::black_box(vec![1_u8; size]));
        let peak = peak_memory().unwrap();
        assert!(peak >= before.max(size as u64), "{peak} after {before}");
        assert!(peak < machine_memory());
    }
}
