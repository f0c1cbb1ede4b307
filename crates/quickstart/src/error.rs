use std::path::PathBuf;

/// What can go wrong while the folders are written.
#[derive(Debug, thiserror::Error)]
pub enum QuickstartError {
    /// There is something in the folder already.
    #[error("the folder `{folder}` is not empty; give the name of a new one")]
    NotEmpty {
        /// The folder asked for.
        folder: PathBuf,
    },
    /// A file stands where the folder should be made.
    #[error("`{path}` is a file; give the name of a folder")]
    NotAFolder {
        /// The path asked for.
        path: PathBuf,
    },
    /// The folder could not be looked into.
    #[error("cannot read `{path}`: {source}")]
    Read {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder or file could not be written.
    #[error("cannot write `{path}`: {source}")]
    Write {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A picture could not be written.
    #[error("cannot write the picture `{path}`: {source}")]
    Picture {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: image::ImageError,
    },
}
