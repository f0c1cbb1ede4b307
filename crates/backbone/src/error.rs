use std::path::PathBuf;

/// What can go wrong while a backbone is read or run.
#[derive(Debug, thiserror::Error)]
pub enum BackboneError {
    /// The folder itself is not there.
    #[error(
        "backbone folder `{path}` does not exist; give the folder of a Hugging Face model with `config.json` and `model.safetensors`, or its name as `org/name`"
    )]
    NoFolder {
        /// The folder asked for.
        path: PathBuf,
    },
    /// A file of the folder could not be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Neither one weight file nor an index of several is there.
    #[error(
        "`{folder}` holds neither `model.safetensors` nor `model.safetensors.index.json`; download the weights in the safetensors format"
    )]
    NoWeights {
        /// The backbone's folder.
        folder: PathBuf,
    },
    /// A JSON file does not say what it should.
    #[error("`{path}` is not a valid description: {source}")]
    Json {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// An architecture that is not implemented.
    #[error(
        "`{path}` has model_type `{found}`; supported are {}",
        quoted(supported)
    )]
    UnknownModelType {
        /// The configuration file.
        path: PathBuf,
        /// Its model type.
        found: String,
        /// The implemented ones.
        supported: Vec<&'static str>,
    },
    /// A setting of the architecture that is not implemented, or contradicts another one.
    #[error("`{path}` has `{key}` = `{found}`; {expected}")]
    Setting {
        /// The configuration file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// A weight file is truncated or otherwise damaged.
    #[error("`{path}` is damaged or truncated ({source}); download it again")]
    Damaged {
        /// The weight file.
        path: PathBuf,
        /// What the parser said.
        source: safetensors::SafeTensorError,
    },
    /// A tensor that the architecture needs is not there.
    #[error(
        "`{path}` has no tensor `{name}` (also not with a prefix such as `bert.` or `vit.`); the weights do not belong to this `config.json`"
    )]
    MissingTensor {
        /// The weight file or its index.
        path: PathBuf,
        /// The tensor, without prefix.
        name: String,
    },
    /// More than one model's tensors, such as those of a teacher beside its student.
    #[error(
        "`{path}` holds several models: {}; save the one that is meant in a folder of its own",
        tensors.join(", ")
    )]
    SeveralModels {
        /// The weight file or its index.
        path: PathBuf,
        /// The tensor that every model has, once for each.
        tensors: Vec<String>,
    },
    /// A tensor of another shape than the configuration says.
    #[error("tensor `{name}` in `{path}` has shape {found:?}, `config.json` asks for {expected:?}")]
    TensorShape {
        /// The weight file.
        path: PathBuf,
        /// The tensor, without prefix.
        name: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The shape in the file.
        found: Vec<usize>,
    },
    /// A tensor of a type that is not read as weights.
    #[error("tensor `{name}` in `{path}` has type {found}; supported are F64, F32, F16 and BF16")]
    TensorType {
        /// The weight file.
        path: PathBuf,
        /// The tensor, without prefix.
        name: String,
        /// The type in the file.
        found: String,
    },
    /// A weight that is not a number.
    #[error(
        "tensor `{name}` in `{path}` holds a value that is not finite; the weights are damaged"
    )]
    NotFinite {
        /// The weight file.
        path: PathBuf,
        /// The tensor, without prefix.
        name: String,
    },
    /// Inputs of the other modality, or of another size than the backbone reads.
    #[error("a `{model_type}` backbone reads {expected}, not {found}")]
    Inputs {
        /// The backbone's architecture.
        model_type: &'static str,
        /// What it reads.
        expected: String,
        /// What it was given.
        found: String,
    },
    /// Pictures of a size that patches do not fill.
    #[error(
        "pictures of {image_size} pixels a side cannot be read in patches of {patch_size}; choose a multiple of {patch_size} up to {largest}"
    )]
    ImageSize {
        /// Height and width asked for.
        image_size: usize,
        /// Height and width of a patch.
        patch_size: usize,
        /// The largest size.
        largest: usize,
    },
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(candle_core::Error),
}

impl From<candle_core::Error> for BackboneError {
    /// With RUST_BACKTRACE set, a candle error carries its backtrace in its message, which must not reach a journal.
    fn from(error: candle_core::Error) -> Self {
        let mut error = error;
        while let candle_core::Error::WithBacktrace { inner, .. } = error {
            error = *inner;
        }
        Self::Tensor(error)
    }
}

fn quoted(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
