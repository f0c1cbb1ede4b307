use crate::{Arithmetic, Cpu, Device, DeviceKind, NoDevice, Precision};

/// Work that can be done with any arithmetic.
pub trait Work {
    /// The result.
    type Output;

    /// Does it.
    fn with<A: Arithmetic>(self, arithmetic: A) -> Self::Output;
}

impl Device {
    /// Does some work with the arithmetic of this device.
    ///
    /// # Errors
    /// If this program was built without support for the device, or if the machine does not have it.
    pub fn compute<W: Work>(self, precision: Precision, work: W) -> Result<W::Output, NoDevice> {
        match self.kind {
            DeviceKind::Cpu => Ok(work.with(Cpu {
                precision,
                ..Cpu::default()
            })),
            #[cfg(feature = "candle")]
            _ => Ok(work.with(crate::OnDevice::open(self)?.with_precision(precision))),
            #[cfg(not(feature = "candle"))]
            kind => Err(NoDevice::NotBuilt { kind }),
        }
    }

    /// Checks that this program can use the device.
    ///
    /// # Errors
    /// If it cannot, with the reason.
    pub fn check(self) -> Result<(), NoDevice> {
        struct Nothing;

        impl Work for Nothing {
            type Output = ();

            fn with<A: Arithmetic>(self, _: A) {}
        }

        self.compute(Precision::F32, Nothing)
    }

    /// The first card that this program can use, or the processor.
    #[must_use]
    pub fn best() -> Self {
        let cards = [DeviceKind::Cuda, DeviceKind::Metal].map(Self::first);
        let usable = cards.into_iter().find(|card| card.check().is_ok());
        usable.unwrap_or(Self::CPU)
    }
}

/// These are tests of a program without support for cards.
#[cfg(all(test, not(any(feature = "cuda", feature = "metal"))))]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_built_says_how_to_build_it() {
        let error = Device::first(DeviceKind::Cuda).check().unwrap_err();
        assert!(error.to_string().ends_with("--features cuda`"), "{error}");
        assert_eq!(Device::best(), Device::CPU);
    }
}
