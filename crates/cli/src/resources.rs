//! What the machine gives: memory, instructions and precision.

use adaplace_backbone::{Backbone, InstructionSet, Precision};
use adaplace_scorer::StateCache;
use adaplace_study::Setting;
use anyhow::{Result, bail};
use bytesize::ByteSize;
use clap::CommandFactory;
use clap::error::ErrorKind;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::arguments::{Arguments, PrecisionArgument, Resources};

/// The share of the machine's memory that frozen states take at most where nothing else is asked for.
const DEFAULT_SHARE: u64 = 4;

impl PrecisionArgument {
    /// The precision that is meant on this machine.
    pub(crate) fn resolve(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Auto if has_amx_bf16() => Precision::Bf16,
            Self::Auto => Precision::F32,
        }
    }
}

/// The setting, computed as it is asked for, and the bytes of frozen states that are kept at most.
///
/// # Errors
/// If more is asked for than the machine has.
pub(crate) fn within(
    resources: &Resources,
    precision: Precision,
    mut setting: Setting,
) -> Result<(Setting, usize)> {
    let cache_memory = cache_memory(resources.cache_memory, &setting)?;
    setting.backbone = computed_with(setting.backbone, precision, resources.instruction_set);
    Ok((setting, cache_memory))
}

/// Bytes of frozen states that are kept, at most.
///
/// # Errors
/// If more is asked for than the machine has.
fn cache_memory(requested: Option<ByteSize>, setting: &Setting) -> Result<usize> {
    let memory = memory();
    let Some(requested) = requested else {
        return Ok((memory / DEFAULT_SHARE) as usize);
    };
    if requested.as_u64() > memory {
        let size = |examples| StateCache::size(&setting.backbone, examples) as u64;
        let needed = size(&setting.task.train) + size(&setting.task.validation);
        let message = format!(
            "`--cache-memory` of {requested} is more than the {} of this machine; all frozen states of this task take {}",
            ByteSize(memory),
            ByteSize(needed)
        );
        bail!(Arguments::command().error(ErrorKind::ValueValidation, message));
    }
    Ok(requested.as_u64() as usize)
}

/// The backbone, computed as it is asked for.
pub(crate) fn computed_with(
    backbone: Backbone,
    precision: Precision,
    set: Option<InstructionSet>,
) -> Backbone {
    let backbone = backbone.with_precision(precision);
    match set {
        Some(set) => backbone.with_instruction_set(set),
        None => backbone,
    }
}

/// Of the machine, or of the group of processes that this one is confined to.
fn memory() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let group = system.cgroup_limits().map(|limits| limits.total_memory);
    let total = system.total_memory();
    group
        .filter(|&group| group > 0)
        .map_or(total, |group| group.min(total))
}

/// Whether the processor has tiles of bf16 (leaf 7 of `cpuid`, bit 22 of EDX).
#[cfg(target_arch = "x86_64")]
fn has_amx_bf16() -> bool {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (1 << 22) != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_amx_bf16() -> bool {
    false
}
