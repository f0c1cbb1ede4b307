//! `preprocessor_config.json`, as Hugging Face image processors mean it.

use std::path::{Path, PathBuf};

use fast_image_resize::{FilterType, ResizeAlg};
use serde_json::{Map, Value};

use crate::TaskError;

/// The longest edge that a configuration may ask for.
const MAX_EDGE: u64 = 8_192;

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) height: u32,
    pub(crate) width: u32,
}

/// What pictures are resized to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResizeTarget {
    /// This size; the aspect ratio may change.
    Exact(Size),
    /// The shorter edge gets this length, the aspect ratio stays.
    ShortestEdge(u32),
}

/// A checked `preprocessor_config.json`: resize, then crop, then levels.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preprocessing {
    pub(crate) resize: Option<(ResizeTarget, ResizeAlg)>,
    pub(crate) crop: Option<Size>,
    /// What each of the 256 levels becomes in each channel: `(level * rescale_factor - mean) / std`.
    pub(crate) levels: [[f32; 256]; 3],
}

impl Preprocessing {
    /// The size of every result, when it does not depend on the picture.
    pub(crate) fn fixed_size(&self) -> Option<Size> {
        match (self.crop, self.resize) {
            (Some(size), _) | (None, Some((ResizeTarget::Exact(size), _))) => Some(size),
            _ => None,
        }
    }

    /// Reads the content of the file at `path`; keys that say nothing about the picture are ignored. Defaults are those
    /// of Hugging Face's `ViTImageProcessor`: resize to 224 x 224, bilinear, factor 1/255, mean and std 0.5. A crop
    /// is made when there is a `crop_size`, unless `do_center_crop` is false.
    pub(crate) fn parse(content: &[u8], path: &Path) -> Result<Self, TaskError> {
        let object: Map<String, Value> = serde_json::from_slice(content)
            .map_err(|error| invalid(path, format!("it is no JSON object: {error}")))?;
        let keys = Keys { object, path };
        let resize = match keys.switch("do_resize", true)? {
            true => Some((keys.resize_target()?, keys.resample()?)),
            false => None,
        };
        let crop = match keys.switch("do_center_crop", keys.get("crop_size").is_some())? {
            true => Some(keys.crop_size()?),
            false => None,
        };
        let factor = match keys.switch("do_rescale", true)? {
            true => keys.number("rescale_factor", 1.0 / 255.0)?,
            false => 1.0,
        };
        let (mean, deviation) = match keys.switch("do_normalize", true)? {
            true => (
                keys.per_channel("image_mean")?,
                keys.per_channel("image_std")?,
            ),
            false => ([0.0; 3], [1.0; 3]),
        };
        if deviation.iter().any(|&value| value <= 0.0) {
            return Err(keys.wrong("image_std", "positive numbers"));
        }
        let levels = std::array::from_fn(|channel| {
            std::array::from_fn(|level| {
                ((level as f64 * factor - mean[channel]) / deviation[channel]) as f32
            })
        });
        Ok(Preprocessing {
            resize,
            crop,
            levels,
        })
    }
}

fn invalid(path: &Path, message: String) -> TaskError {
    TaskError::InvalidPreprocessing {
        path: PathBuf::from(path),
        message,
    }
}

/// The keys of the file, null meaning absent.
struct Keys<'a> {
    object: Map<String, Value>,
    path: &'a Path,
}

impl Keys<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> TaskError {
        let found = self.get(key).unwrap_or(&Value::Null);
        invalid(
            self.path,
            format!("`{key}` must be {expected}, not `{found}`"),
        )
    }

    fn switch(&self, key: &str, default: bool) -> Result<bool, TaskError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            Some(_) => Err(self.wrong(key, "true or false")),
        }
    }

    fn number(&self, key: &str, default: f64) -> Result<f64, TaskError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| self.wrong(key, "a number")),
        }
    }

    /// Three numbers, or one for all channels; 0.5 when absent.
    fn per_channel(&self, key: &str) -> Result<[f64; 3], TaskError> {
        let numbers: Option<Vec<f64>> = match self.get(key) {
            None => return Ok([0.5; 3]),
            Some(Value::Array(values)) => values.iter().map(Value::as_f64).collect(),
            Some(value) => value.as_f64().map(|value| vec![value; 3]),
        };
        numbers
            .and_then(|numbers| <[f64; 3]>::try_from(numbers).ok())
            .ok_or_else(|| self.wrong(key, "one number per channel (3)"))
    }

    fn resize_target(&self) -> Result<ResizeTarget, TaskError> {
        let key = "size";
        let expected = "an integer, `{height, width}` or `{shortest_edge}`, of at most 8192 pixels";
        let target = match self.get(key) {
            None => Some(ResizeTarget::Exact(Size {
                height: 224,
                width: 224,
            })),
            Some(Value::Object(size)) => match size.get("shortest_edge") {
                Some(shortest) if size.len() == 1 => edge(shortest).map(ResizeTarget::ShortestEdge),
                _ => height_and_width(size).map(ResizeTarget::Exact),
            },
            // before sizes became objects, these processors meant the shorter edge, all others a square
            Some(number) if self.is_processor_of_shortest_edge() => {
                edge(number).map(ResizeTarget::ShortestEdge)
            }
            Some(number) => square(number).map(ResizeTarget::Exact),
        };
        target.ok_or_else(|| self.wrong(key, expected))
    }

    fn is_processor_of_shortest_edge(&self) -> bool {
        ["image_processor_type", "feature_extractor_type"]
            .iter()
            .filter_map(|key| self.get(key)?.as_str())
            .any(|name| name.starts_with("CLIP") || name.starts_with("Bit"))
    }

    fn crop_size(&self) -> Result<Size, TaskError> {
        let size = match self.get("crop_size") {
            Some(Value::Object(size)) => height_and_width(size),
            Some(number) => square(number),
            None => None,
        };
        size.ok_or_else(|| {
            self.wrong(
                "crop_size",
                "an integer or `{height, width}`, of at most 8192 pixels",
            )
        })
    }

    /// The numbers of Pillow's filters.
    fn resample(&self) -> Result<ResizeAlg, TaskError> {
        let expected =
            "0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)";
        let filter = match self.get("resample") {
            None => FilterType::Bilinear,
            Some(number) => match number.as_u64() {
                Some(0) => return Ok(ResizeAlg::Nearest),
                Some(1) => FilterType::Lanczos3,
                Some(2) => FilterType::Bilinear,
                Some(3) => FilterType::CatmullRom,
                Some(4) => FilterType::Box,
                Some(5) => FilterType::Hamming,
                _ => return Err(self.wrong("resample", expected)),
            },
        };
        Ok(ResizeAlg::Convolution(filter))
    }
}

fn edge(value: &Value) -> Option<u32> {
    let length = value
        .as_u64()
        .filter(|length| (1..=MAX_EDGE).contains(length))?;
    u32::try_from(length).ok()
}

fn square(value: &Value) -> Option<Size> {
    let length = edge(value)?;
    Some(Size {
        height: length,
        width: length,
    })
}

fn height_and_width(size: &Map<String, Value>) -> Option<Size> {
    Some(Size {
        height: edge(size.get("height")?)?,
        width: edge(size.get("width")?)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(content: &str) -> Result<Preprocessing, TaskError> {
        Preprocessing::parse(
            content.as_bytes(),
            Path::new("dino/preprocessor_config.json"),
        )
    }

    fn resize(content: &str) -> Option<(ResizeTarget, ResizeAlg)> {
        parse(content).unwrap().resize
    }

    const BILINEAR: ResizeAlg = ResizeAlg::Convolution(FilterType::Bilinear);

    fn exact(height: u32, width: u32) -> ResizeTarget {
        ResizeTarget::Exact(Size { height, width })
    }

    #[test]
    fn every_form_of_size_is_read() {
        assert_eq!(resize("{}"), Some((exact(224, 224), BILINEAR)));
        let cubic = ResizeAlg::Convolution(FilterType::CatmullRom);
        let both = r#"{"size": {"height": 98, "width": 70}, "resample": 3, "unknown": [1]}"#;
        assert_eq!(resize(both), Some((exact(98, 70), cubic)));
        assert_eq!(resize(r#"{"size": 98}"#), Some((exact(98, 98), BILINEAR)));
        let shortest = Some((ResizeTarget::ShortestEdge(98), BILINEAR));
        assert_eq!(resize(r#"{"size": {"shortest_edge": 98}}"#), shortest);
        let clip = r#"{"size": 98, "feature_extractor_type": "CLIPFeatureExtractor"}"#;
        assert_eq!(resize(clip), shortest);
        assert_eq!(resize(r#"{"do_resize": false, "size": "any"}"#), None);
    }

    #[test]
    fn a_crop_decides_the_size_of_the_result() {
        let crop = |content| parse(content).unwrap().fixed_size();
        let size = |height, width| Some(Size { height, width });
        assert_eq!(
            crop(r#"{"size": {"shortest_edge": 256}, "crop_size": 224}"#),
            size(224, 224)
        );
        assert_eq!(crop(r#"{"size": {"shortest_edge": 256}}"#), None);
        let off =
            r#"{"size": 30, "do_center_crop": false, "crop_size": {"height": 2, "width": 3}}"#;
        assert_eq!(crop(off), size(30, 30));
        assert_eq!(crop(&off.replace("false", "true")), size(2, 3));
    }

    #[test]
    fn levels_are_rescaled_and_normalised() {
        let levels = parse(r#"{"image_mean": [0, 0.5, 1], "image_std": [1, 0.5, 0.25]}"#)
            .unwrap()
            .levels;
        // 255 / 255 = 1: (1 - 0) / 1, (1 - 0.5) / 0.5, (1 - 1) / 0.25; and the same from 0
        assert_eq!(levels.map(|channel| channel[255]), [1.0, 1.0, 0.0]);
        assert_eq!(levels.map(|channel| channel[0]), [0.0, -1.0, -4.0]);
        let plain = parse(r#"{"do_rescale": false, "do_normalize": false}"#).unwrap();
        assert_eq!(plain.levels.map(|channel| channel[77]), [77.0; 3]);
    }

    #[test]
    fn wrong_values_are_named() {
        let message = |content| parse(content).unwrap_err().to_string();
        assert_eq!(
            message(r#"{"resample": 9}"#),
            "the preprocessing `dino/preprocessor_config.json` cannot be used: `resample` must be 0 (nearest), \
             1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming), not `9`"
        );
        assert!(message(r#"{"size": {"longest_edge": 4}}"#).contains("`size` must be an integer"));
        assert!(message(r#"{"size": 9000000}"#).contains("at most 8192 pixels"));
        assert!(
            message(r#"{"image_mean": [0.5]}"#).contains("one number per channel (3), not `[0.5]`")
        );
        assert!(message(r#"{"image_std": 0}"#).contains("positive numbers"));
        assert!(message("[]").contains("no JSON object"));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Preprocessing::parse(&content, Path::new("p"));
        }

        #[test]
        fn arbitrary_values_never_panic(
            key in "size|crop_size|resample|do_resize|image_mean|image_std|rescale_factor",
            value in r#"-?[0-9]{1,30}|[0-9]e[0-9]{1,3}|"a"|\[[0-9],[0-9],-[0-9]\]|\{"height": [0-9]{1,9}, "width": [0-9]\}"#,
        ) {
            let _ = parse(&format!("{{\"{key}\": {value}}}"));
        }
    }
}
