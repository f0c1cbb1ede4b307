//! The length of a proxy training.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// A number of optimiser steps, at least 1, which is written to files as an integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fidelity(NonZeroU32);

impl Fidelity {
    /// The fidelity of `steps` optimiser steps, or `None` if `steps` is 0.
    pub fn new(steps: u32) -> Option<Self> {
        NonZeroU32::new(steps).map(Fidelity)
    }

    /// The number of optimiser steps.
    pub fn steps(self) -> u32 {
        self.0.get()
    }
}

impl From<NonZeroU32> for Fidelity {
    fn from(steps: NonZeroU32) -> Self {
        Fidelity(steps)
    }
}

impl fmt::Display for Fidelity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
