//! The resources of the machine: memory, instructions and precision.

use adaplace_backbone::{Backbone, InstructionSet, Precision};
use adaplace_scorer::StateCache;
use adaplace_study::{Problem, default_cache_memory, machine_memory};
use anyhow::{Result, bail};
use bytesize::ByteSize;
use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::arguments::{Arguments, PrecisionArgument, Resources};

impl PrecisionArgument {
    /// The precision on this machine.
    pub(crate) fn resolve(self) -> Precision {
        match self {
            Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Auto => Precision::of_machine(),
        }
    }
}

/// The problem with the requested resources, and the largest size of the cached frozen states in bytes.
///
/// # Errors
/// If the request exceeds the machine.
pub(crate) fn within(
    resources: &Resources,
    precision: Precision,
    mut problem: Problem,
) -> Result<(Problem, usize)> {
    let cache_memory = cache_memory(resources.cache_memory, &problem)?;
    problem.backbone = computed_with(problem.backbone, precision, resources.instruction_set);
    Ok((problem, cache_memory))
}

/// The largest size of the cached frozen states in bytes.
///
/// # Errors
/// If the request exceeds the machine.
fn cache_memory(requested: Option<ByteSize>, problem: &Problem) -> Result<usize> {
    let memory = machine_memory();
    let Some(requested) = requested else {
        return Ok(default_cache_memory());
    };
    if requested.as_u64() > memory {
        let size = |examples| StateCache::size(&problem.backbone, examples) as u64;
        let needed = size(&problem.task.train) + size(&problem.task.validation);
        let message = format!(
            "`--cache-memory` of {requested} is more than the {} of this machine; all frozen states of this task take {}",
            ByteSize(memory),
            ByteSize(needed)
        );
        bail!(Arguments::command().error(ErrorKind::ValueValidation, message));
    }
    Ok(requested.as_u64() as usize)
}

/// The backbone with the requested resources.
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
