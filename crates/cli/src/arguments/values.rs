//! Values of options: the libraries' enums by name, and numbers within their range.

use std::str::FromStr;

use adaplace_backbone::{Device, NotADevice};
use adaplace_study::Workers;
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use strum::{EnumMessage, VariantArray};

/// An enum of a library by the names of its variants, whose documentation is their help.
pub(super) fn named<E>() -> impl TypedValueParser<Value = E>
where
    E: VariantArray + EnumMessage + Copy + Into<&'static str> + Send + Sync,
{
    let names = E::VARIANTS.iter().map(|&variant| {
        let name: &str = variant.into();
        let help = variant.get_documentation().unwrap_or_default();
        let first = help.split_once(". ").map_or(help, |(first, _)| first);
        PossibleValue::new(name).help(first.trim_end_matches('.').to_owned())
    });
    PossibleValuesParser::new(names.collect::<Vec<_>>()).map(|given| {
        let mut variants = E::VARIANTS.iter().copied();
        let variant = variants.find(|&variant| given == variant.into());
        variant.expect("only the names of variants are possible")
    })
}

/// The place where the trials of a search are trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorArgument {
    /// On this machine
    Local,
    /// On a Ray cluster
    Ray,
}

/// A device, or the choice of one by the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceArgument {
    /// The first card that the program can use, or the processor
    Auto,
    /// A certain device
    Device(Device),
}

impl FromStr for DeviceArgument {
    type Err = NotADevice;

    fn from_str(text: &str) -> Result<Self, NotADevice> {
        match text {
            "auto" => Ok(Self::Auto),
            other => other.parse().map(Self::Device),
        }
    }
}

/// A precision, or the choice of one by the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PrecisionArgument {
    /// bf16 on a processor with AMX, else f32
    Auto,
    /// Single precision
    F32,
    /// bfloat16: faster on machines that multiply it
    Bf16,
    /// TensorFloat-32: faster than f32 on recent cards of NVIDIA
    Tf32,
}

/// The library or format to which a placement is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportTarget {
    /// A folder for the library `adapters`: sequential and parallel connections, one at each sublayer
    Adapters,
    /// The library `peft`, which has no such adapters: the command says so
    Peft,
    /// One document for other programs: the placement, and the names and shapes of its tensors
    Json,
}

/// The number of trainings that run in parallel.
pub(super) fn workers() -> impl TypedValueParser<Value = usize> {
    clap::value_parser!(u32)
        .range(1..=Workers::MOST as i64)
        .map(|value| value as usize)
}

/// A number that is parsed as signed, so that a negative number is rejected with the allowed range.
pub(super) fn from(least: i64) -> impl TypedValueParser<Value = u64> {
    clap::value_parser!(i64)
        .range(least..)
        .map(|value| value as u64)
}
