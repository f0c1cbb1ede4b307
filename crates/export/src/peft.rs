//! The reasons why the library `peft` cannot load a placement.
//!
//! Version 0.21.2 has no bottleneck adapter. Its tuners change the weights of a linear layer or add something to its
//! output that is linear in the layer's input (LoRA and its relatives, also PEANuT, whose activations work on weights),
//! prepend tokens, train existing parameters, or (Lily) mix linear maps by weights that are averaged over the batch.
//! ShadowPEFT is the closest: before each block it adds a linear map of the block's input and of a second state, which
//! a gelu network computes from the output of the previous block. But that network reads the state itself and not its
//! layer norm, which it cannot compute exactly. The test `python/tests/export/test_peft.py` checks whether a newer
//! version supports more.

use adaplace_search_space::Placement;

use crate::ExportError;

/// The error that lists what `peft` cannot represent: every connection of the placement.
#[must_use]
pub fn refuse(placement: &Placement) -> ExportError {
    ExportError::NotInPeft {
        connections: placement.connections().collect(),
    }
}
