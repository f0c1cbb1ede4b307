//! The settings of pictures in the configurations of timm, in the words of Hugging Face's image processors.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use crate::TaskError;
use crate::image_processor::{Configuration, ImageProcessor, SQUARE_224};
use crate::resize::{Filter, OddMargin, ResizeTarget};

/// What timm does for evaluation, with torchvision on Pillow.
static EVALUATION: ImageProcessor = ImageProcessor {
    name: "timm",
    model_types: &[],
    resize: ResizeTarget::ShortestEdge(SQUARE_224.height),
    filter: Filter::Bicubic,
    crop: Some(SQUARE_224),
    odd_margin: OddMargin::RoundedToEven,
    mean: [0.485, 0.456, 0.406],
    deviation: [0.229, 0.224, 0.225],
};

/// The share of the resized picture that is kept unless the configuration names another.
const CROP: f64 = 0.875;

/// The names of filters by their numbers in Pillow.
const FILTERS: [&str; 6] = [
    "nearest", "lanczos", "bilinear", "bicubic", "box", "hamming",
];

/// The settings in the `config` of a model of timm, which is the file at `path`; `None` if it is not one.
///
/// The shorter edge becomes the picture's size divided by `crop_pct`, rounded down, or with `crop_mode` `squash` both
/// edges. The middle is kept.
pub(crate) fn configuration(
    path: PathBuf,
    config: &Map<String, Value>,
) -> Result<Option<Configuration>, TaskError> {
    let (Some(_), Some(Value::Object(own))) =
        (config.get("architecture"), config.get("pretrained_cfg"))
    else {
        return Ok(None);
    };
    let wrong = |key: &str, expected: &str| {
        let found = own.get(key).unwrap_or(&Value::Null);
        TaskError::InvalidPreprocessing {
            path: path.clone(),
            message: format!("`{key}` must be {expected}, not `{found}`"),
        }
    };
    let given = |key: &str| own.get(key).filter(|value| !value.is_null());
    let sizes = match given("input_size") {
        None => Some([224; 2]),
        Some(Value::Array(sizes)) => match &sizes[..] {
            [_, height, width] => height.as_u64().zip(width.as_u64()).map(<[u64; 2]>::from),
            _ => None,
        },
        Some(_) => None,
    };
    let [height, width] = sizes
        .filter(|sizes| sizes.iter().all(|&edge| edge > 0))
        .ok_or_else(|| wrong("input_size", "channels, height and width"))?;
    let share = match given("crop_pct") {
        None => Some(CROP),
        Some(share) => share.as_f64().filter(|&share| share > 0.0 && share <= 1.0),
    };
    let share = share.ok_or_else(|| wrong("crop_pct", "a share above 0 and up to 1"))?;
    let before = |edge: u64| (edge as f64 / share).floor() as u64;
    let size = match given("crop_mode").map_or(Some("center"), Value::as_str) {
        Some("center") if height == width => json!({"shortest_edge": before(height)}),
        Some("squash") => json!({"height": before(height), "width": before(width)}),
        Some("center") => return Err(wrong("input_size", "that of a square")),
        _ => return Err(wrong("crop_mode", "`center` or `squash`")),
    };
    let filter = match given("interpolation") {
        None => Some(3),
        Some(name) => FILTERS
            .iter()
            .position(|&known| name.as_str() == Some(known)),
    };
    let filter =
        filter.ok_or_else(|| wrong("interpolation", &format!("one of {}", FILTERS.join(", "))))?;
    let mut settings = Map::new();
    settings.insert("size".to_owned(), size);
    settings.insert(
        "crop_size".to_owned(),
        json!({"height": height, "width": width}),
    );
    settings.insert("resample".to_owned(), json!(filter));
    for (ours, theirs) in [("image_mean", "mean"), ("image_std", "std")] {
        if let Some(value) = given(theirs) {
            settings.insert(ours.to_owned(), value.clone());
        }
    }
    Ok(Some(Configuration {
        path,
        settings,
        class: &EVALUATION,
    }))
}
