//! The classes of Hugging Face's image processors, and their defaults for what a backbone folder does not specify.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::resize::{Filter, OddMargin, ResizeTarget, Size};
use crate::{TaskError, timm};

const PREPROCESSOR: &str = "preprocessor_config.json";
const CONFIGURATION: &str = "config.json";

/// An image processor class with its defaults.
#[derive(Debug, PartialEq)]
pub(crate) struct ImageProcessor {
    pub(crate) name: &'static str,
    /// The `model_type`s for which `AutoImageProcessor` selects this class.
    pub(crate) model_types: &'static [&'static str],
    pub(crate) resize: ResizeTarget,
    pub(crate) filter: Filter,
    /// The size of the crop, or `None` if the class does not crop.
    pub(crate) crop: Option<Size>,
    pub(crate) odd_margin: OddMargin,
    pub(crate) mean: [f64; 3],
    pub(crate) deviation: [f64; 3],
}

pub(crate) const SQUARE_224: Size = Size {
    height: 224,
    width: 224,
};
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_DEVIATION: [f64; 3] = [0.268_629_54, 0.261_302_58, 0.275_777_11];

/// The classes that transformers 4 and 5 define in the same way.
static CLASSES: [ImageProcessor; 6] = [
    ImageProcessor {
        name: "ViTImageProcessor",
        model_types: &["vit"],
        resize: ResizeTarget::Exact(SQUARE_224),
        filter: Filter::Bilinear,
        crop: None,
        odd_margin: OddMargin::SmallerFirst,
        mean: [0.5; 3],
        deviation: [0.5; 3],
    },
    ImageProcessor {
        name: "BitImageProcessor",
        model_types: &["dinov2", "dinov2_with_registers"],
        resize: ResizeTarget::ShortestEdge(224),
        filter: Filter::Bicubic,
        crop: Some(SQUARE_224),
        odd_margin: OddMargin::SmallerFirst,
        mean: CLIP_MEAN,
        deviation: CLIP_DEVIATION,
    },
    ImageProcessor {
        name: "CLIPImageProcessor",
        model_types: &["clip_vision_model", "clip"],
        resize: ResizeTarget::ShortestEdge(224),
        filter: Filter::Bicubic,
        crop: Some(SQUARE_224),
        odd_margin: OddMargin::SmallerFirst,
        mean: CLIP_MEAN,
        deviation: CLIP_DEVIATION,
    },
    ImageProcessor {
        name: "SiglipImageProcessor",
        model_types: &["siglip_vision_model", "siglip"],
        resize: ResizeTarget::Exact(SQUARE_224),
        filter: Filter::Bicubic,
        crop: None,
        odd_margin: OddMargin::SmallerFirst,
        mean: [0.5; 3],
        deviation: [0.5; 3],
    },
    // It exists for torchvision alone, which does not round resized pixels to whole levels.
    ImageProcessor {
        name: "DINOv3ViTImageProcessor",
        model_types: &["dinov3_vit"],
        resize: ResizeTarget::Exact(SQUARE_224),
        filter: Filter::Bilinear,
        crop: None,
        odd_margin: OddMargin::SmallerFirst,
        mean: [0.485, 0.456, 0.406],
        deviation: [0.229, 0.224, 0.225],
    },
    ImageProcessor {
        name: "DeiTImageProcessor",
        model_types: &["deit"],
        resize: ResizeTarget::Exact(Size {
            height: 256,
            width: 256,
        }),
        filter: Filter::Bicubic,
        crop: Some(SQUARE_224),
        odd_margin: OddMargin::SmallerFirst,
        mean: [0.5; 3],
        deviation: [0.5; 3],
    },
];

impl ImageProcessor {
    /// Whether a size that is one number is that of the shorter edge. Otherwise it means a square.
    pub(crate) fn keeps_aspect_ratio(&self) -> bool {
        matches!(self.resize, ResizeTarget::ShortestEdge(_))
    }

    /// The class with this name, old or new, if it is supported.
    fn named(name: &str) -> Option<&'static Self> {
        let short = ["Fast", "Pil"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        let short = short.replace("FeatureExtractor", "ImageProcessor");
        CLASSES.iter().find(|class| class.name == short)
    }
}

/// The settings of a backbone's pictures.
pub(crate) struct Configuration {
    /// The file that contains the settings.
    pub(crate) path: PathBuf,
    pub(crate) settings: Map<String, Value>,
    pub(crate) class: &'static ImageProcessor,
}

/// The file in which a folder usually has its settings.
pub(crate) fn usual_path(folder: &Path) -> PathBuf {
    folder.join(PREPROCESSOR)
}

/// Reads `preprocessor_config.json`, or the image processor in `processor_config.json` if there is nothing else. A model of
/// timm has neither, but the settings in its `config.json`. Returns `None` if there are none at all.
///
/// The class is the one named there, else the one for the `model_type` in `config.json`, as in `AutoImageProcessor`.
pub(crate) fn read(folder: &Path) -> Result<Option<Configuration>, TaskError> {
    let mut path = usual_path(folder);
    let mut settings = object(&path)?;
    if settings.is_none() {
        path = folder.join("processor_config.json");
        settings = object(&path)?.and_then(|mut all| match all.remove("image_processor") {
            Some(Value::Object(settings)) => Some(settings),
            _ => None,
        });
    }
    let Some(settings) = settings else {
        let path = folder.join(CONFIGURATION);
        let config = object(&path)?.unwrap_or_default();
        return timm::configuration(path, &config);
    };
    let text = |settings: &Map<String, Value>, key: &str| {
        let value = settings.get(key).and_then(Value::as_str);
        value.map(str::to_owned)
    };
    let named = text(&settings, "image_processor_type")
        .or_else(|| text(&settings, "feature_extractor_type"));
    let class = match named {
        Some(name) => ImageProcessor::named(&name)
            .ok_or(format!("the image processor `{name}` is not supported")),
        None => {
            let config = object(&folder.join(CONFIGURATION))?.unwrap_or_default();
            let model_type = text(&config, "model_type").unwrap_or_default();
            let of = |class: &&ImageProcessor| class.model_types.contains(&model_type.as_str());
            CLASSES.iter().find(of).ok_or(format!(
                "`image_processor_type` is missing, and the model type `{model_type}` has none that is supported"
            ))
        }
    };
    let class = class.map_err(|reason| {
        let names: Vec<&str> = CLASSES.iter().map(|class| class.name).collect();
        TaskError::InvalidPreprocessing {
            path: path.clone(),
            message: format!("{reason}; the supported ones are {}", names.join(", ")),
        }
    })?;
    Ok(Some(Configuration {
        path,
        settings,
        class,
    }))
}

/// The JSON object in a file, or `None` if the file does not exist.
fn object(path: &Path) -> Result<Option<Map<String, Value>>, TaskError> {
    let invalid = |message: String| TaskError::InvalidPreprocessing {
        path: path.to_owned(),
        message,
    };
    match std::fs::read(path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| invalid(format!("it is not a JSON object: {error}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(invalid(error.to_string())),
    }
}
