//! The memory of the machine.

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// The share of the memory that frozen states take at most where nothing else is asked for.
const DEFAULT_SHARE: u64 = 4;

/// Bytes of memory of the machine, or of the group of processes that this one is confined to.
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

/// Bytes of frozen states that are kept where nothing else is asked for: a quarter of the memory.
#[must_use]
pub fn default_cache_memory() -> usize {
    (machine_memory() / DEFAULT_SHARE) as usize
}
