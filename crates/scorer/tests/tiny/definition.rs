//! The definition of a model: [`Reference`] with its values.

use adaplace_reference::Reference;
use adaplace_scorer::Model;

pub fn of<'a>(model: &Model<'a>) -> Reference<'a> {
    let tensors = model.parameters().tensors().into_iter();
    let tensors = tensors.map(|tensor| (tensor.name, tensor.shape, tensor.values));
    Reference::new(model.backbone(), model.parameters().placement(), tensors)
}
