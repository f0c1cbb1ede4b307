use std::io;
use std::path::PathBuf;

/// What can be wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It could not be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its content is not what is expected.
    #[error("`{}`: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: ContentError,
    },
}

/// What can be wrong with the content of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// It is of another version, or something else.
    #[error("its format is `{found}`, this version reads `{supported}`")]
    Format {
        /// The format that it has.
        found: String,
        /// The format that is read.
        supported: &'static str,
    },
    /// A line of TOML does not parse, or has a field or value that is not expected.
    #[error("line {line}: {problem}")]
    Line {
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It does not parse, or holds something that it may not hold.
    #[error("{0}")]
    Other(String),
}

impl ContentError {
    /// The problem, as one of the field at `path`, which is a dot at the root.
    pub(crate) fn of_field(self, path: &str) -> Self {
        let named = |problem: String| {
            // The problem names an unknown field itself.
            let (parent, field) = path.rsplit_once('.').unwrap_or(("", path));
            let path = match problem.contains(&format!("`{field}`")) {
                true => parent,
                false => path,
            };
            match path {
                "" | "." => problem,
                path => format!("`{path}`: {problem}"),
            }
        };
        match self {
            Self::Line { line, problem } => Self::Line {
                line,
                problem: named(problem),
            },
            Self::Other(problem) => Self::Other(named(problem)),
            format @ Self::Format { .. } => format,
        }
    }
}
