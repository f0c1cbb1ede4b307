//! Inputs that the embedding cannot read cause errors that say what it reads.

use adaplace_backbone::Inputs;
use adaplace_testkit::TinyBert;

use crate::common::{assert_says, bert, message, noise, pictures, ragged_inputs, values, vit};

fn text(tokens: usize, id: u32, type_id: u32) -> Inputs {
    Inputs::text(vec![tokens], vec![id; tokens], vec![type_id; tokens])
}

#[test]
fn the_other_modality() {
    let message_of = |backbone: &adaplace_backbone::Backbone, inputs| {
        let inputs: Inputs = inputs;
        message(backbone.embed(&inputs))
    };
    let texts = message_of(&vit(), ragged_inputs());
    assert_says(&texts, &["`vit`", "reads images", "not text"]);
    let images = message_of(&bert(&TinyBert::default()), pictures());
    assert_says(&images, &["`bert`", "reads text", "not images"]);
}

#[test]
fn pictures_of_another_size() {
    let backbone = vit();
    for shape in [[1, 3, 20, 20], [1, 3, 16, 20], [1, 1, 16, 16]] {
        let inputs = Inputs::images(shape, values(&noise(&shape, 0)));
        let message = message(backbone.embed(&inputs));
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
#[should_panic(expected = "every token has an id and a segment")]
fn fewer_ids_than_tokens() {
    let _ = Inputs::text(vec![3, 3], vec![9; 5], vec![0; 6]);
}

#[test]
#[should_panic(expected = "every token has an id and a segment")]
fn more_segments_than_tokens() {
    let _ = Inputs::text(vec![3, 3], vec![9; 6], vec![0; 7]);
}

#[test]
#[should_panic(expected = "pixels have the shape")]
fn fewer_pixels_than_the_shape() {
    let _ = Inputs::images([1, 3, 4, 4], vec![0.0; 47]);
}
