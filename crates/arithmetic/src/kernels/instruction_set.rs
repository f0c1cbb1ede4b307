//! The vector instructions that the kernels use, chosen when the program runs.

use std::fmt;
use std::str::FromStr;

use pulp::{Scalar128b, Simd, WithSimd};

/// A family of vector instructions that this machine has.
///
/// All of them compute the same formulas. Sums of products are fused if the instructions are, so results of different
/// sets agree up to rounding, and results of the same set to the bit.
#[derive(Clone, Copy)]
pub struct InstructionSet(Inner);

#[derive(Clone, Copy)]
enum Inner {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Portable,
}

impl InstructionSet {
    /// The names that [`Self::from_str`] accepts, the widest vectors first.
    pub const NAMES: [&'static str; 4] = ["avx512", "avx2", "neon", "portable"];

    /// The instruction sets of this machine, the best one first. The last one is always `portable`.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let names = Self::NAMES.iter();
        names.filter_map(|name| Self::named(name)).collect()
    }

    /// The best instruction set of this machine.
    #[must_use]
    pub fn detect() -> Self {
        let best = Self::NAMES.iter().find_map(|name| Self::named(name));
        best.unwrap_or(Self(Inner::Portable))
    }

    fn named(name: &str) -> Option<Self> {
        let inner = match name {
            #[cfg(target_arch = "x86_64")]
            "avx512" => Inner::Avx512(pulp::x86::V4::try_new()?),
            #[cfg(target_arch = "x86_64")]
            "avx2" => Inner::Avx2(pulp::x86::V3::try_new()?),
            #[cfg(target_arch = "aarch64")]
            "neon" => Inner::Neon(pulp::aarch64::Neon::try_new()?),
            "portable" => Inner::Portable,
            _ => return None,
        };
        Some(Self(inner))
    }

    /// The name of this set, one of [`Self::NAMES`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Avx512(_) => "avx512",
            #[cfg(target_arch = "x86_64")]
            Inner::Avx2(_) => "avx2",
            #[cfg(target_arch = "aarch64")]
            Inner::Neon(_) => "neon",
            Inner::Portable => "portable",
        }
    }

    /// Whether this set has instructions for bf16 products. The others multiply the rounded numbers in f32.
    #[must_use]
    pub fn multiplies_bf16(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Avx512(_) => std::arch::is_x86_feature_detected!("avx512bf16"),
            _ => false,
        }
    }

    /// Runs `work` compiled for these instructions, as far as it is inlined. Mark closures and functions
    /// `#[inline(always)]`, and use `for` loops rather than `for_each`, which is a call.
    #[inline(always)]
    pub fn run<T>(self, work: impl FnOnce() -> T) -> T {
        self.run_generic(work)
    }

    /// Runs an operation that is generic over the vectors.
    #[inline(always)]
    pub(crate) fn run_generic<Op: WithSimd>(self, operation: Op) -> Op::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Inner::Avx512(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "x86_64")]
            Inner::Avx2(simd) => Simd::vectorize(simd, operation),
            #[cfg(target_arch = "aarch64")]
            Inner::Neon(simd) => Simd::vectorize(simd, operation),
            // Vectors of four, which every target has or the compiler splits.
            Inner::Portable => Simd::vectorize(Scalar128b, operation),
        }
    }
}

impl fmt::Debug for InstructionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl PartialEq for InstructionSet {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for InstructionSet {}

/// The error for an instruction set that is unknown or that this machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this machine has no instruction set `{name}`; it has {}", available.join(", "))]
pub struct NoInstructionSet {
    name: String,
    available: Vec<&'static str>,
}

impl FromStr for InstructionSet {
    type Err = NoInstructionSet;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::named(name).ok_or_else(|| NoInstructionSet {
            name: name.to_owned(),
            available: Self::available().into_iter().map(Self::name).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        let all = InstructionSet::available();
        assert_eq!(all.first(), Some(&InstructionSet::detect()));
        assert_eq!(all.last().unwrap().name(), "portable");
        for set in all {
            assert_eq!(set.name().parse(), Ok(set));
        }
        let error = "mmx".parse::<InstructionSet>().unwrap_err().to_string();
        assert!(
            error.contains("`mmx`") && error.contains("portable"),
            "{error}"
        );
    }
}
