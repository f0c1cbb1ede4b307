use std::path::PathBuf;

/// An error while the folders are written.
#[derive(Debug, thiserror::Error)]
pub enum QuickstartError {
    /// The folder already contains something.
    #[error("the folder `{folder}` is not empty; choose a new one")]
    NotEmpty {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// There is a file where the folder should be created.
    #[error("`{path}` is a file; choose the path of a folder")]
    NotAFolder {
        /// The path asked for.
        path: PathBuf,
    },
    /// The folder cannot be read.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The path of the folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A folder or file cannot be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// The path of the folder or file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// A picture cannot be written.
    #[error("cannot write the picture `{path}`: {source}")]
    Picture {
        /// The path of the picture.
        path: PathBuf,
        /// The reason.
        source: image::ImageError,
    },
}
