//! Inputs that the embedding cannot read cause errors that say what it reads.

use adaplace_backbone::{Inputs, TokenMask};
use adaplace_testkit::TinyBert;
use candle_core::{DType, Device, Tensor};

use crate::common::{assert_says, bert, message, noise, pictures, ragged_inputs, vit};

fn text(tokens: usize, id: u32, type_id: u32) -> Inputs {
    let (ids, type_ids) = (vec![id; tokens], vec![type_id; tokens]);
    Inputs::text(1, tokens, &ids, &type_ids, &vec![1; tokens]).unwrap()
}

#[test]
fn the_other_modality() {
    let message_of = |backbone: &adaplace_backbone::Backbone, inputs| {
        let inputs: Inputs = inputs;
        message(backbone.embed(&inputs))
    };
    let texts = message_of(&vit(), ragged_inputs(0));
    assert_says(&texts, &["`vit`", "reads images", "not text"]);
    let images = message_of(&bert(&TinyBert::default()), pictures());
    assert_says(&images, &["`bert`", "reads text", "not images"]);
}

#[test]
fn pictures_of_another_size() {
    let backbone = vit();
    for shape in [[1, 3, 20, 20], [1, 3, 16, 20], [1, 1, 16, 16]] {
        let pixels = noise(&shape, 0);
        let message = message(backbone.embed(&Inputs::Images { pixels }));
        let [_, channels, height, width] = shape;
        let found = format!("{channels} x {height} x {width}");
        assert_says(&message, &["3 x 16 x 16", &found]);
    }
}

#[test]
fn texts_longer_than_the_position_table() {
    let backbone = bert(&TinyBert::default());
    assert!(backbone.embed(&text(64, 9, 0)).is_ok());
    let message_of = |inputs| message(backbone.embed(&inputs));
    assert_says(&message_of(text(65, 9, 0)), &["1 to 64 tokens", "of 65"]);
    assert_says(&message_of(text(0, 9, 0)), &["1 to 64 tokens", "of 0"]);
}

#[test]
fn ids_outside_of_their_tables() {
    let backbone = bert(&TinyBert::default());
    assert!(backbone.embed(&text(2, 63, 1)).is_ok());
    let message_of = |inputs| message(backbone.embed(&inputs));
    let parts = ["token ids below 64", "64", "tokenizer"];
    assert_says(&message_of(text(2, 64, 0)), &parts);
    let parts = ["token type ids below 2", "not 2"];
    assert_says(&message_of(text(2, 63, 2)), &parts);
}

#[test]
fn slices_of_another_length() {
    assert!(Inputs::text(2, 3, &[9; 5], &[0; 6], &[1; 6]).is_err());
    assert!(Inputs::text(2, 3, &[9; 6], &[0; 7], &[1; 6]).is_err());
    assert!(Inputs::text(2, 3, &[9; 6], &[0; 6], &[1; 5]).is_err());
    assert!(Inputs::images((1, 3, 4, 4), vec![0.0; 47]).is_err());
}

/// Ids without rows cause candle's own error, without the backtrace that it may contain.
#[test]
fn errors_of_candle_are_one_line() {
    let ids = Tensor::zeros(7, DType::U32, &Device::Cpu).unwrap();
    let inputs = Inputs::Text {
        type_ids: ids.clone(),
        ids,
        mask: TokenMask::new(1, 7, &[1; 7]),
    };
    let message = message(bert(&TinyBert::default()).embed(&inputs));
    assert_says(&message, &["tensor operation failed", "[7]"]);
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
#[should_panic(expected = "rows x tokens")]
fn a_mask_of_another_length() {
    let _ = TokenMask::new(2, 3, &[1; 5]);
}
