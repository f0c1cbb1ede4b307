//! The definition of a model: [`Reference`] with its values.

use adaplace_arithmetic::Arithmetic;
use adaplace_backbone::Backbone;
use adaplace_reference::{Reference, Transformer};
use adaplace_testkit::{TinyBert, TinyVit, tiny_bert, tiny_vit};

use crate::Model;

pub fn of<'a, A: Arithmetic>(model: &Model<'a, A>) -> Reference<'a, A> {
    let tensors = model.parameters().tensors().into_iter();
    let tensors = tensors.map(|tensor| (tensor.name, tensor.shape, tensor.values));
    let placement = model.parameters().placement();
    Reference::new(
        model.backbone(),
        transformer(model.backbone()),
        placement,
        tensors,
    )
}

/// The definition of a tiny backbone, read from the same files.
fn transformer<A: Arithmetic>(backbone: &Backbone<A>) -> Transformer {
    let folder = tempfile::tempdir().unwrap();
    match backbone.description().model_type {
        "bert" => tiny_bert(folder.path(), &TinyBert::default()),
        _ => tiny_vit(folder.path(), &TinyVit::default()),
    }
    let again = Backbone::load(folder.path(), None).unwrap();
    let (again, own) = (again.description(), backbone.description());
    assert_eq!(again.weights_sha256, own.weights_sha256);
    Transformer::read(folder.path())
}
