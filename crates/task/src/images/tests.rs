use std::fs;

use adaplace_testkit::{TinyVit, tiny_vit};
use serde_json::{Value, json};

use super::*;
use crate::resize::{Filter, OddMargin};

/// The contents of `tests/fixtures/pillow.json`, which `pillow.py` next to it wrote.
fn fixture() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/pillow.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len() / 2)
        .map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).unwrap())
        .collect()
}

fn place() -> Place {
    Place {
        path: "task/train/a/1.png".into(),
        line: None,
    }
}

fn read_png(png: &Value) -> Picture {
    picture::decode(&bytes(png), &place()).unwrap()
}

#[test]
fn pictures_are_resized_as_pillow_does() {
    let fixture = fixture();
    for case in fixture["resized"].as_array().unwrap() {
        let filter = Filter::NUMBERED[case["resample"].as_u64().unwrap() as usize];
        let size = ["width", "height"].map(|edge| case[edge].as_u64().unwrap() as u32);
        let resized = resize(read_png(&fixture["source"]), size[0], size[1], filter);
        let expected = bytes(&case["pixels"]);
        assert_eq!(resized.pixels, expected, "{filter:?} to {size:?}");
    }
}

#[test]
fn pictures_become_rgb_as_pillow_does() {
    for case in fixture()["converted"].as_array().unwrap() {
        assert_eq!(
            read_png(&case["png"]).pixels,
            bytes(&case["pixels"]),
            "{}",
            case["name"]
        );
    }
}

/// Reads `tests/fixtures/jpegs.json`, which `jpegs.py` next to it wrote.
#[test]
fn jpegs_are_decoded_nearly_as_pillow_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/jpegs.json");
    let cases: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let picture = picture::decode(&bytes(&case["jpeg"]), &place()).unwrap();
        let expected = bytes(&case["pixels"]);
        assert_eq!(picture.pixels.len(), expected.len());
        let differences = picture.pixels.iter().zip(&expected);
        let differences: Vec<u8> = differences.map(|(&a, &b)| a.abs_diff(b)).collect();
        let sum: f64 = differences
            .iter()
            .map(|&difference| f64::from(difference))
            .sum();
        let mean = sum / differences.len() as f64;
        // If colours have half the resolution, each decoder interpolates them in its own way.
        let (most, mean_most) = match case["name"].as_str().unwrap().starts_with("4:2:0") {
            true => (10, 0.5),
            false => (2, 0.2),
        };
        assert!(
            differences.iter().all(|&one| one <= most),
            "{}: {differences:?}",
            case["name"]
        );
        assert!(mean <= mean_most, "{}: {mean}", case["name"]);
    }
}

#[test]
fn the_shorter_edge_decides_and_the_longer_one_is_rounded_down() {
    let picture = |width, height| Picture {
        width,
        height,
        pixels: Vec::new(),
    };
    // 10 * 7 / 3 = 23.3
    let target = ResizeTarget::ShortestEdge(10);
    assert_eq!(resized_size(target, &picture(7, 3)), (23, 10));
    assert_eq!(resized_size(target, &picture(3, 7)), (10, 23));
}

#[test]
fn a_crop_takes_the_middle_and_fills_with_black() {
    let grey = |width, height, levels: &[u8]| Picture {
        width,
        height,
        pixels: levels.iter().flat_map(|&level| [level; 3]).collect(),
    };
    let picture = grey(4, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let size = |height, width| Crop {
        size: Size { height, width },
        odd_margin: OddMargin::SmallerFirst,
    };
    // (4 - 1) / 2 = 1 column and (3 - 2) / 2 = 0 rows are cut off before the crop.
    assert_eq!(centre_crop(&picture, size(2, 1)), grey(1, 2, &[2, 6]));
    // ceil((5 - 4) / 2) = 1 black column and 0 rows are added before the picture.
    assert_eq!(
        centre_crop(&picture, size(1, 5)),
        grey(5, 1, &[0, 5, 6, 7, 8])
    );
}

fn encoder(config: Value, image_size: usize) -> Result<ImageEncoder, String> {
    let folder = tempfile::tempdir().unwrap();
    tiny_vit(folder.path(), &TinyVit::default());
    fs::write(
        folder.path().join("preprocessor_config.json"),
        config.to_string(),
    )
    .unwrap();
    ImageEncoder::from_folder(folder.path(), image_size, 3).map_err(|error| error.to_string())
}

#[test]
fn another_size_than_the_backbone_takes_is_refused() {
    let message = encoder(json!({ "size": { "height": 16, "width": 18 } }), 16).unwrap_err();
    assert!(
        message.contains("makes pictures of 16 x 18 pixels, but the backbone takes 16 x 16"),
        "{message}"
    );
    // Without a crop the size depends on the picture: 13 x 9 with a shorter edge of 16 becomes 23 x 16.
    let uncropped = json!({
        "image_processor_type": "CLIPImageProcessor", "size": { "shortest_edge": 16 }, "do_center_crop": false
    });
    let encoder = encoder(uncropped, 16).unwrap();
    let source = bytes(&fixture()["source"]);
    let message = encoder
        .encode_picture(&source, &place())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1.png` comes out of the preprocessing with 16 x 23 pixels")
            && message.contains("`preprocessor_config.json`"),
        "{message}"
    );
}

#[test]
fn a_missing_file_and_other_channels_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let message = |channels| {
        ImageEncoder::from_folder(folder.path(), 16, channels)
            .unwrap_err()
            .to_string()
    };
    assert!(message(3).contains("preprocessor_config.json` cannot be used: it does not exist"));
    assert!(message(1).contains("the backbone takes 1; only 3 are supported"));
}

/// Checks a fixture's 8 x 8 pixels of the encoder for a folder.
fn check_pixels(name: &str, folder: &Path, source: &[u8], pixels: &Value) {
    let encoder =
        ImageEncoder::from_folder(folder, 8, 3).unwrap_or_else(|error| panic!("{name}: {error}"));
    let picture = encoder.encode_picture(source, &place()).unwrap();
    let expected: Vec<f32> = bytes(pixels)
        .chunks_exact(4)
        .map(|value| f32::from_le_bytes(value.try_into().unwrap()))
        .collect();
    for (index, expected) in expected.into_iter().enumerate() {
        let (channel, place) = (index / 64, index % 64);
        let levels = &encoder.levels[channel];
        let level = usize::from(picture.pixels[3 * place + channel]);
        let difference = (levels[level] - expected).abs();
        assert!(
            difference < 1e-6 * expected.abs().max(1.0),
            "{name}: {} at {place} of channel {channel}, not {expected}",
            levels[level]
        );
    }
}

fn written_fixture(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    serde_json::from_slice(&fs::read(path.join(name)).unwrap()).unwrap()
}

/// Reads `tests/fixtures/image_processors.json`, which `image_processors.py` next to it wrote.
#[test]
fn pixels_are_those_of_transformers() {
    let fixture = written_fixture("image_processors.json");
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    let source = bytes(&fixture["picture"]);
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, content: &[u8]| fs::write(folder.path().join(name), content).unwrap();
        let config = json!({ "model_type": case["model_type"] });
        write("config.json", config.to_string().as_bytes());
        for (name, content) in case["files"].as_object().unwrap() {
            write(name, content.to_string().as_bytes());
        }
        let name = case["name"].as_str().unwrap();
        check_pixels(name, folder.path(), &source, &case["pixels"]);
    }
}

/// Reads `tests/fixtures/timm_pictures.json`, which `timm_pictures.py` next to it wrote for the same picture.
#[test]
fn pixels_are_those_of_timm() {
    let source = bytes(&written_fixture("image_processors.json")["picture"]);
    let fixture = written_fixture("timm_pictures.json");
    let cases = fixture["cases"].as_array().unwrap();
    assert!(cases.len() >= 7);
    for case in cases {
        let folder = tempfile::tempdir().unwrap();
        let config =
            json!({"architecture": "vit_tiny_patch16_224", "pretrained_cfg": case["settings"]});
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let name = case["name"].as_str().unwrap();
        check_pixels(name, folder.path(), &source, &case["pixels"]);
    }
}

#[test]
fn settings_of_timm_that_cannot_be_honoured_are_named() {
    let message = |settings: Value| {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({"architecture": "vit_tiny_patch16_224", "pretrained_cfg": settings});
        fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
        let refused = ImageEncoder::from_folder(folder.path(), 8, 3).err();
        refused.map(|error| error.to_string()).unwrap_or_default()
    };
    for (settings, expected) in [
        (
            json!({"crop_pct": 0}),
            "`crop_pct` must be a share above 0 and up to 1, not `0`",
        ),
        (
            json!({"crop_mode": "border"}),
            "`crop_mode` must be `center` or `squash`",
        ),
        (
            json!({"interpolation": "random"}),
            "`interpolation` must be one of nearest, lanczos",
        ),
        (
            json!({"input_size": [3, 8, 9]}),
            "`input_size` must be that of a square",
        ),
        (
            json!({"input_size": 8}),
            "`input_size` must be channels, height and width",
        ),
        (
            json!({"input_size": [3, 8, 8], "std": [0, 1, 1]}),
            "must be positive numbers",
        ),
        (
            json!({"input_size": [3, 16, 16]}),
            "but the backbone takes 8 x 8",
        ),
    ] {
        let found = message(settings);
        assert!(
            found.contains(expected) && found.contains("config.json"),
            "{found}"
        );
    }
}
