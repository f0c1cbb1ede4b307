//! The resources of the machine: device, memory, instructions and precision.

use adaplace_backbone::{Backbone, Device, DeviceKind, InstructionSet, Precision};
use adaplace_scorer::{Resources, StateCache};
use adaplace_search_space::Count;
use adaplace_study::{Problem, default_cache_memory, machine_memory};
use anyhow::{Result, bail};
use bytesize::ByteSize;
use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::arguments::{Arguments, DeviceArgument, PrecisionArgument, ResourceOptions};

impl DeviceArgument {
    /// The kind of device for results that no earlier run has begun.
    pub(crate) fn kind(self) -> DeviceKind {
        match self {
            Self::Auto => Device::best().kind,
            Self::Device(device) => device.kind,
        }
    }

    /// The device, which must be of a certain kind.
    ///
    /// # Errors
    /// If another kind was asked for, or if the device cannot be used.
    pub(crate) fn of_kind(self, kind: DeviceKind) -> Result<Device> {
        let device = match self {
            Self::Auto => Device::first(kind),
            Self::Device(device) if device.kind == kind => device,
            Self::Device(device) => bail!(
                "`--device` is {device}, but the results that this continues were computed on {kind}"
            ),
        };
        device.check()?;
        Ok(device)
    }
}

impl PrecisionArgument {
    /// The precision on this machine and a kind of device.
    pub(crate) fn resolve(self, device: DeviceKind) -> Precision {
        match (self, device) {
            (Self::F32, _) => Precision::F32,
            (Self::Bf16, _) => Precision::Bf16,
            (Self::Tf32, _) => Precision::Tf32,
            (Self::Auto, DeviceKind::Cpu) => Precision::of_machine(),
            (Self::Auto, _) => Precision::F32,
        }
    }
}

/// The problem with the requested resources, in a precision and on a kind of device.
///
/// # Errors
/// If the request exceeds the machine.
pub(crate) fn within(
    options: &ResourceOptions,
    (precision, kind): (Precision, DeviceKind),
    mut problem: Problem,
) -> Result<(Problem, Resources)> {
    problem.backbone = computed_with(problem.backbone, precision, options.instruction_set);
    let resources = Resources {
        device: options.device.of_kind(kind)?,
        side_by_side: options.side_by_side.map(Count::get),
        cache_memory: match options.cache_memory {
            Some(requested) => Some(cache_memory(requested, &problem)?),
            None => default_cache_memory(kind, &problem.backbone),
        },
    };
    Ok((problem, resources))
}

/// The largest size of the cached frozen states in bytes.
///
/// # Errors
/// If the request exceeds the machine.
fn cache_memory(requested: ByteSize, problem: &Problem) -> Result<usize> {
    let memory = machine_memory();
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
