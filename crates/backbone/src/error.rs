use std::path::PathBuf;

/// An error while a backbone is read or run.
#[derive(Debug, thiserror::Error)]
pub enum BackboneError {
    /// The folder does not exist.
    #[error(
        "backbone folder `{path}` does not exist; use the folder of a Hugging Face model with `config.json` and `model.safetensors`, or its name as `org/name`"
    )]
    NoFolder {
        /// The path of the folder.
        path: PathBuf,
    },
    /// A file of the folder cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The folder contains neither a single weight file nor an index of several.
    #[error(
        "`{folder}` holds neither `model.safetensors` nor `model.safetensors.index.json`; download the weights in the safetensors format"
    )]
    NoWeights {
        /// The folder of the backbone.
        folder: PathBuf,
    },
    /// A JSON file does not have the expected content.
    #[error("`{path}` is not a valid description: {source}")]
    Json {
        /// The path of the file.
        path: PathBuf,
        /// The position and the reason.
        source: serde_json::Error,
    },
    /// The architecture is not implemented.
    #[error(
        "`{path}` has model_type `{found}`, which is not supported; choose one of {}",
        quoted(supported)
    )]
    UnknownModelType {
        /// The configuration file.
        path: PathBuf,
        /// The model type in the configuration.
        found: String,
        /// The implemented model types.
        supported: Vec<&'static str>,
    },
    /// A setting of the architecture is not implemented or contradicts another one.
    #[error("`{path}` has `{key}` = `{found}`; {expected}")]
    Setting {
        /// The configuration file.
        path: PathBuf,
        /// The name of the setting.
        key: &'static str,
        /// The value of the setting.
        found: String,
        /// The values that would be accepted, in words.
        expected: String,
    },
    /// A weight file is truncated or otherwise damaged.
    #[error("`{path}` is damaged or truncated ({source}); download it again")]
    Damaged {
        /// The weight file.
        path: PathBuf,
        /// The error of the parser.
        source: safetensors::SafeTensorError,
    },
    /// A tensor that the architecture needs is missing.
    #[error(
        "`{path}` has no tensor `{name}` (not even with a prefix such as `bert.` or `vit.`); the weights do not belong to this `config.json`"
    )]
    MissingTensor {
        /// The weight file or its index.
        path: PathBuf,
        /// The name of the tensor, without prefix.
        name: String,
    },
    /// A file contains the tensors of several models, such as a teacher and its student.
    #[error(
        "`{path}` holds several models: {}; save the one you want in a folder of its own",
        tensors.join(", ")
    )]
    SeveralModels {
        /// The weight file or its index.
        path: PathBuf,
        /// The full names of a tensor that every model has, one for each model.
        tensors: Vec<String>,
    },
    /// A tensor has another shape than the configuration says.
    #[error(
        "tensor `{name}` in `{path}` has shape {found:?}, but `config.json` implies {expected:?}"
    )]
    TensorShape {
        /// The weight file.
        path: PathBuf,
        /// The name of the tensor, without prefix.
        name: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor has a type that is not supported for weights.
    #[error(
        "tensor `{name}` in `{path}` has type {found}; the supported types are F64, F32, F16 and BF16"
    )]
    TensorType {
        /// The weight file.
        path: PathBuf,
        /// The name of the tensor, without prefix.
        name: String,
        /// The type in the file.
        found: String,
    },
    /// A weight is not finite.
    #[error(
        "tensor `{name}` in `{path}` holds a value that is not finite; the weights are damaged"
    )]
    NotFinite {
        /// The weight file.
        path: PathBuf,
        /// The name of the tensor, without prefix.
        name: String,
    },
    /// The inputs are of the other modality, or of another size than the backbone reads.
    #[error("a `{model_type}` backbone reads {expected}, not {found}")]
    Inputs {
        /// The architecture of the backbone.
        model_type: &'static str,
        /// The inputs that the backbone reads.
        expected: String,
        /// The inputs that it was given.
        found: String,
    },
    /// The size of the pictures is not a multiple of the patch size.
    #[error(
        "pictures of {image_size} pixels a side cannot be read in patches of {patch_size}; choose a multiple of {patch_size} up to {largest}"
    )]
    ImageSize {
        /// The height and width asked for.
        image_size: usize,
        /// The height and width of a patch.
        patch_size: usize,
        /// The largest supported size.
        largest: usize,
    },
    /// The backbone has no head over its vocabulary, so it cannot be trained to predict tokens.
    #[error("a `{model_type}` backbone cannot be used for language modelling: {reason}")]
    NoVocabularyHead {
        /// The architecture of the backbone.
        model_type: &'static str,
        /// What is missing.
        reason: String,
    },
    /// An operation of the arithmetic failed.
    #[error(transparent)]
    Arithmetic(#[from] adaplace_arithmetic::ArithmeticError),
}

fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
