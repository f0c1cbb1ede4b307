//! The memory of the machine.

use adaplace_backbone::DeviceKind;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// By default, frozen states take at most 1 / `DEFAULT_SHARE` of the memory.
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

/// Default size in bytes of the cache of frozen states: a quarter of the memory. `None` for a card, which knows how much of
/// its own it has free.
#[must_use]
pub fn default_cache_memory(device: DeviceKind) -> Option<usize> {
    match device {
        DeviceKind::Cpu | DeviceKind::Candle => Some((machine_memory() / DEFAULT_SHARE) as usize),
        DeviceKind::Cuda | DeviceKind::Metal => None,
    }
}
