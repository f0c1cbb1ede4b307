//! Tests on the real backbones and tasks of the shared folder, which are run by name. The expected numbers
//! come from the Python packages tokenizers (no padding, truncation to 128) and Pillow 13
//! (`resize((98, 98), BICUBIC)`).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use adaplace_task::{
    Encoder, Examples, ImageEncoder, Inputs, Part, Task, TaskOptions, TextEncoder,
};
use adaplace_testkit::shared;

const ALL_PARTS: TaskOptions = TaskOptions {
    parts: &[Part::Train, Part::Validation, Part::Test],
    train_examples: None,
    seed: 0,
    reading: None,
};

/// The number of examples, the number of tokens and the sum of all token ids.
fn token_sums(examples: &Examples) -> (usize, usize, u64) {
    let Inputs::Text(texts) = &examples.inputs else {
        panic!("a text task has texts");
    };
    let ids = texts.texts.iter().flat_map(|text| &text.ids);
    let sum = ids.map(|&id| u64::from(id)).sum();
    (examples.len(), examples.lengths().iter().sum(), sum)
}

#[test]
#[ignore = "needs ADAPLACE_SHARED"]
fn questions_become_the_tokens_of_the_python_package() {
    let backbone = shared("backbones/minilm-l6");
    let encoder = Encoder::Text(TextEncoder::from_folder(&backbone, 30522, 512, 128).unwrap());
    let task = Task::load(&shared("data/text/trec6"), &encoder, &ALL_PARTS).unwrap();
    assert_eq!(task.classes, ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]);
    assert_eq!(token_sums(&task.train), (4952, 66860, 228_934_451));
    assert_eq!(token_sums(&task.validation), (500, 6583, 22_640_763));
    assert_eq!(token_sums(&task.test.unwrap()), (500, 5162, 16_757_204));
}

#[test]
#[ignore = "needs ADAPLACE_SHARED"]
fn hand_signs_have_the_brightness_that_pillow_gives_them() {
    let backbone = shared("backbones/dinov2-s-98");
    let encoder = Encoder::Image(ImageEncoder::from_folder(&backbone, 98, 3).unwrap());
    let task = Task::load(&shared("data/images/signdigits"), &encoder, &ALL_PARTS).unwrap();
    assert_eq!(task.classes.len(), 10);
    assert_eq!((task.train.len(), task.validation.len()), (1448, 310));
    let test = task.test.unwrap();
    let Inputs::Images(images) = &test.inputs else {
        panic!("an image task has pictures");
    };
    let levels = (0..images.len()).flat_map(|index| images.picture(index));
    let mean = levels.map(|&level| f64::from(level)).sum::<f64>() / (304.0 * 98.0 * 98.0 * 3.0);
    // JPEG decoders may differ by a level or two in single pixels, but not on average.
    assert!((mean - 166.757_234).abs() < 0.1, "{mean}");
}
