//! The settings of a backbone's pictures, with the meaning that they have for Hugging Face's image processors.

use serde_json::{Map, Value};

use crate::TaskError;
use crate::image_processor::Configuration;
use crate::resize::{Crop, Filter, ResizeTarget, Size};

/// The longest edge that a configuration may ask for, in pixels.
const MAX_EDGE: u64 = 8_192;

/// Checked settings for a resize, a crop and the levels, in that order.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Preprocessing {
    pub(crate) resize: Option<(ResizeTarget, Filter)>,
    pub(crate) crop: Option<Crop>,
    /// The value of each of the 256 levels in each channel: `(level * rescale_factor - mean) / std`.
    pub(crate) levels: [[f32; 256]; 3],
}

impl Preprocessing {
    /// The size of every result, if it does not depend on the picture.
    pub(crate) fn fixed_size(&self) -> Option<Size> {
        match (self.crop, self.resize) {
            (Some(Crop { size, .. }), _) | (None, Some((ResizeTarget::Exact(size), _))) => {
                Some(size)
            }
            _ => None,
        }
    }

    /// The settings that `configuration` asks for. Keys that do not concern the picture are ignored, and a missing key
    /// has the default of its class.
    pub(crate) fn of(configuration: &Configuration) -> Result<Self, TaskError> {
        let keys = Keys(configuration);
        let resize = match keys.switch("do_resize", true)? {
            true => Some((keys.resize_target()?, keys.resample()?)),
            false => None,
        };
        let crop = keys.crop(resize.map(|(target, _)| target))?;
        if keys.switch("do_pad", false)? {
            return Err(keys.wrong("do_pad", "false: padding is not supported"));
        }
        let factor = match keys.switch("do_rescale", true)? {
            true => keys.number("rescale_factor", 1.0 / 255.0)?,
            false => 1.0,
        };
        let (mean, deviation) = match keys.switch("do_normalize", true)? {
            true => (
                keys.per_channel("image_mean", keys.0.class.mean)?,
                keys.per_channel("image_std", keys.0.class.deviation)?,
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

/// The keys of the file, where null means absent.
struct Keys<'a>(&'a Configuration);

impl Keys<'_> {
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.settings.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, expected: &str) -> TaskError {
        let found = self.get(key).unwrap_or(&Value::Null);
        TaskError::InvalidPreprocessing {
            path: self.0.path.clone(),
            message: format!("`{key}` must be {expected}, not `{found}`"),
        }
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

    /// Three numbers, or one for all channels.
    fn per_channel(&self, key: &str, default: [f64; 3]) -> Result<[f64; 3], TaskError> {
        let numbers: Option<Vec<f64>> = match self.get(key) {
            None => return Ok(default),
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
            None => Some(self.0.class.resize),
            Some(Value::Object(size)) => match size.get("shortest_edge") {
                // The other classes accept only height and width.
                Some(_) if !self.0.class.keeps_aspect_ratio() => None,
                Some(shortest) if size.len() == 1 => edge(shortest).map(ResizeTarget::ShortestEdge),
                _ => height_and_width(size).map(ResizeTarget::Exact),
            },
            Some(number) if self.0.class.keeps_aspect_ratio() => {
                edge(number).map(ResizeTarget::ShortestEdge)
            }
            Some(number) => square(number).map(ResizeTarget::Exact),
        };
        target.ok_or_else(|| self.wrong(key, expected))
    }

    /// The crop after a resize to `target`.
    fn crop(&self, target: Option<ResizeTarget>) -> Result<Option<Crop>, TaskError> {
        let of_class = self.0.class.crop;
        if !self.switch("do_center_crop", of_class.is_some())? {
            return Ok(None);
        }
        let Some(of_class) = of_class else {
            return Err(self.wrong(
                "do_center_crop",
                "false: this image processor does not crop",
            ));
        };
        let expected = "an integer or `{height, width}`, of at most 8192 pixels";
        let crop = match self.get("crop_size") {
            Some(Value::Object(size)) => height_and_width(size),
            Some(number) => square(number),
            // If there is a size but no crop, the class would put smaller pictures in a black frame.
            None => match target {
                Some(ResizeTarget::Exact(size))
                    if size.height < of_class.height || size.width < of_class.width =>
                {
                    tracing::warn!(
                        "`{}` resizes pictures to {} x {} without a `crop_size`; they are not cropped, whereas transformers would \
                         put them in a black frame of {} x {}",
                        self.0.path.display(),
                        size.height,
                        size.width,
                        of_class.height,
                        of_class.width,
                    );
                    return Ok(None);
                }
                _ => Some(of_class),
            },
        };
        let odd_margin = self.0.class.odd_margin;
        crop.map(|size| Some(Crop { size, odd_margin }))
            .ok_or_else(|| self.wrong("crop_size", expected))
    }

    /// The filter, by its number in Pillow.
    fn resample(&self) -> Result<Filter, TaskError> {
        let expected =
            "0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)";
        match self.get("resample") {
            None => Ok(self.0.class.filter),
            Some(number) => {
                let index = number
                    .as_u64()
                    .and_then(|number| usize::try_from(number).ok());
                let filter = index.and_then(|index| Filter::NUMBERED.get(index).copied());
                filter.ok_or_else(|| self.wrong("resample", expected))
            }
        }
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
    use crate::image_processor;

    fn parse_for(model_type: &str, content: &[u8]) -> Result<Preprocessing, TaskError> {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
        };
        write("preprocessor_config.json", content);
        let config = format!("{{\"model_type\": \"{model_type}\"}}");
        write("config.json", config.as_bytes());
        Preprocessing::of(&image_processor::read(folder.path())?.unwrap())
    }

    fn parse(content: &str) -> Result<Preprocessing, TaskError> {
        parse_for("vit", content.as_bytes())
    }

    fn resize(content: &str) -> Option<(ResizeTarget, Filter)> {
        parse(content).unwrap().resize
    }

    const BILINEAR: Filter = Filter::Bilinear;

    fn exact(height: u32, width: u32) -> ResizeTarget {
        ResizeTarget::Exact(Size { height, width })
    }

    #[test]
    fn every_form_of_size_is_read() {
        assert_eq!(resize("{}"), Some((exact(224, 224), BILINEAR)));
        let cubic = Filter::Bicubic;
        let both = r#"{"size": {"height": 98, "width": 70}, "resample": 3, "unknown": [1]}"#;
        assert_eq!(resize(both), Some((exact(98, 70), cubic)));
        assert_eq!(resize(r#"{"size": 98}"#), Some((exact(98, 98), BILINEAR)));
        let shortest = Some((ResizeTarget::ShortestEdge(98), cubic));
        let dino = parse_for("dinov2", br#"{"size": {"shortest_edge": 98}}"#);
        assert_eq!(dino.unwrap().resize, shortest);
        let clip = r#"{"size": 98, "feature_extractor_type": "CLIPFeatureExtractor"}"#;
        assert_eq!(resize(clip), shortest);
        assert_eq!(resize(r#"{"do_resize": false, "size": "any"}"#), None);
    }

    #[test]
    fn a_crop_decides_the_size_of_the_result() {
        let crop = |content: &str| {
            let parsed = parse_for("dinov2", content.as_bytes()).unwrap();
            parsed.fixed_size()
        };
        let size = |height, width| Some(Size { height, width });
        assert_eq!(crop(r#"{"size": 256, "crop_size": 192}"#), size(192, 192));
        assert_eq!(crop(r#"{"size": 256}"#), size(224, 224));
        assert_eq!(crop(r#"{"size": 256, "do_center_crop": false}"#), None);
        let off = r#"{"size": {"height": 30, "width": 30}, "do_center_crop": false, "crop_size": {"height": 2, "width": 3}}"#;
        assert_eq!(crop(off), size(30, 30));
        assert_eq!(crop(&off.replace("false", "true")), size(2, 3));
        // These pictures are smaller than the default crop of the class.
        assert_eq!(
            crop(r#"{"size": {"height": 98, "width": 98}}"#),
            size(98, 98)
        );
        assert_eq!(
            parse(r#"{"size": 30, "crop_size": 20}"#).unwrap().crop,
            None
        );
    }

    #[test]
    fn levels_are_rescaled_and_normalised() {
        let levels = parse(r#"{"image_mean": [0, 0.5, 1], "image_std": [1, 0.5, 0.25]}"#)
            .unwrap()
            .levels;
        // 255 / 255 = 1 becomes (1 - 0) / 1, (1 - 0.5) / 0.5 and (1 - 1) / 0.25; the same holds for 0.
        assert_eq!(levels.map(|channel| channel[255]), [1.0, 1.0, 0.0]);
        assert_eq!(levels.map(|channel| channel[0]), [0.0, -1.0, -4.0]);
        let plain = parse(r#"{"do_rescale": false, "do_normalize": false}"#).unwrap();
        assert_eq!(plain.levels.map(|channel| channel[77]), [77.0; 3]);
    }

    #[test]
    fn wrong_values_are_named() {
        let whole = |content| parse(content).unwrap_err().to_string();
        let message = |content| {
            whole(content)
                .split_once("cannot be used: ")
                .unwrap()
                .1
                .to_owned()
        };
        assert!(whole("[]").contains("preprocessor_config.json` cannot be used: "));
        assert_eq!(
            message(r#"{"resample": 9}"#),
            "`resample` must be 0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming), not `9`"
        );
        assert!(message(r#"{"size": {"longest_edge": 4}}"#).contains("`size` must be an integer"));
        assert!(message(r#"{"size": 9000000}"#).contains("at most 8192 pixels"));
        assert!(
            message(r#"{"image_mean": [0.5]}"#).contains("one number per channel (3), not `[0.5]`")
        );
        assert!(message(r#"{"image_std": 0}"#).contains("positive numbers"));
        assert!(message("[]").contains("not a JSON object"));
        assert!(message(r#"{"size": {"shortest_edge": 4}}"#).contains("`size` must be"));
        assert!(message(r#"{"do_center_crop": true}"#).contains("does not crop"));
        assert!(message(r#"{"do_pad": true}"#).contains("padding is not supported"));
        assert!(
            message(r#"{"image_processor_type": "BeitImageProcessor"}"#).contains(
                "`BeitImageProcessor` is not supported; the supported ones are ViTImageProcessor, Bit"
            )
        );
        let unknown = parse_for("swin", b"{}").unwrap_err().to_string();
        assert!(
            unknown.contains("the model type `swin` has none"),
            "{unknown}"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_for("vit", &content);
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
