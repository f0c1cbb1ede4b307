use adaplace_backbone::Inputs;
use adaplace_task::{BatchInputs, Examples};

/// The examples at `rows` in the form that the backbone reads.
pub(crate) fn inputs(examples: &Examples, rows: &[usize]) -> Inputs {
    match examples.batch(rows).inputs {
        BatchInputs::Text {
            lengths,
            ids,
            type_ids,
        } => Inputs::text(lengths, ids, type_ids),
        BatchInputs::Images { shape, pixels } => Inputs::images(shape, pixels),
    }
}
