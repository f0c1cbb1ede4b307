use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString};

/// A kind of device. Results of different kinds differ by rounding.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, Display, EnumString,
)]
#[strum(serialize_all = "kebab-case")]
#[serde(rename_all = "kebab-case")]
pub enum DeviceKind {
    /// The processor, with the kernels of this crate.
    #[default]
    Cpu,
    /// The processor, with the tensors of candle that cards compute with. It is slow and there to check them.
    Candle,
    /// A card of NVIDIA.
    Cuda,
    /// A card of Apple.
    Metal,
}

/// A device to compute on: `cpu`, `candle`, or `cuda` or `metal` with an index after a colon, which is 0 if it is left
/// out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Device {
    /// The kind.
    pub kind: DeviceKind,
    /// The index among the cards of this kind. It is 0 for the processor.
    pub index: usize,
}

/// The device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDevice {
    /// This program was built without support for it.
    #[error(
        "this program was built without {kind}; build it with `cargo install --path crates/cli --features {kind}`"
    )]
    NotBuilt {
        /// The kind, which is also the name of the Cargo feature.
        kind: DeviceKind,
    },
    /// The machine does not have it, or does not give it away.
    #[error("the device `{device}` cannot be used: {reason}")]
    Unavailable {
        /// The device.
        device: Device,
        /// The driver's answer.
        reason: String,
    },
}

/// The text is not the name of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a device such as cpu, cuda, cuda:1 or metal")]
pub struct NotADevice(String);

impl Device {
    /// The processor.
    pub const CPU: Self = Self {
        kind: DeviceKind::Cpu,
        index: 0,
    };

    /// The first device of a kind.
    #[must_use]
    pub fn first(kind: DeviceKind) -> Self {
        Self { kind, index: 0 }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            DeviceKind::Cpu | DeviceKind::Candle => write!(formatter, "{}", self.kind),
            kind => write!(formatter, "{kind}:{}", self.index),
        }
    }
}

impl FromStr for Device {
    type Err = NotADevice;

    fn from_str(text: &str) -> Result<Self, NotADevice> {
        let refused = || NotADevice(text.to_owned());
        let (kind, index) = match text.split_once(':') {
            None => (text, 0),
            Some((kind, index)) => (kind, index.parse().map_err(|_| refused())?),
        };
        let kind = kind.parse().map_err(|_| refused())?;
        match kind {
            DeviceKind::Cpu | DeviceKind::Candle if text.contains(':') => Err(refused()),
            _ => Ok(Self { kind, index }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (text, kind, index, shown) in [
            ("cpu", DeviceKind::Cpu, 0, "cpu"),
            ("candle", DeviceKind::Candle, 0, "candle"),
            ("cuda", DeviceKind::Cuda, 0, "cuda:0"),
            ("cuda:3", DeviceKind::Cuda, 3, "cuda:3"),
            ("metal:1", DeviceKind::Metal, 1, "metal:1"),
        ] {
            let device: Device = text.parse().unwrap();
            assert_eq!(device, Device { kind, index });
            assert_eq!(device.to_string(), shown);
            assert_eq!(shown.parse(), Ok(device));
        }
        for text in ["", "gpu", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "CUDA"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
