//! Why the library `peft` loads no placement.
//!
//! Version 0.21.2 has no bottleneck adapter. Its tuners change the weights of a linear layer or add to its output
//! something that is linear in the layer's input (LoRA and its relatives, also PEANuT, whose activations work on
//! weights), prepend tokens, train what is there already, or, Lily, mix linear maps by weights that are averaged over
//! the batch. ShadowPEFT comes nearest: before each block it adds a linear map of the block's input and of a second
//! state, which a gelu network makes from the output of the block before; but that network sees the state itself and
//! not its layer norm, which it cannot compute exactly. The test `python/tests/export/test_peft.py` looks whether a
//! newer version knows more.

use adaplace_search_space::Placement;

use crate::ExportError;

/// The error that names what `peft` cannot represent: every connection of the placement.
#[must_use]
pub fn refuse(placement: &Placement) -> ExportError {
    ExportError::NotInPeft {
        connections: placement.connections().collect(),
    }
}
