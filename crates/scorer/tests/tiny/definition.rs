//! The definition of a model: [`Reference`] with its values.

use adaplace_backbone::Backbone;
use adaplace_reference::{Reference, Transformer};
use adaplace_scorer::Model;
use adaplace_testkit::{TinyBert, TinyVit, tiny_bert, tiny_vit};

pub fn of<'a>(model: &Model<'a>) -> Reference<'a> {
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
fn transformer(backbone: &Backbone) -> Transformer {
    let folder = tempfile::tempdir().unwrap();
    match backbone.description().model_type {
        "bert" => tiny_bert(folder.path(), &TinyBert::default()),
        _ => tiny_vit(folder.path(), &TinyVit::default()),
    }
    let again = Backbone::load(folder.path(), None).unwrap();
    let sha256 = |backbone: &Backbone| backbone.description().weights_sha256.clone();
    assert_eq!(sha256(&again), sha256(backbone));
    Transformer::read(folder.path())
}
