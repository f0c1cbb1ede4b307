use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{ContentError, FileError, write_atomically};

/// The content of a file that carries its format, in a field `format`.
pub trait Document: Serialize + DeserializeOwned {
    /// The format that this version writes: a name, a slash, a version.
    const FORMAT: &'static str;

    /// Earlier formats that this version reads, too.
    const ALSO_READ: &'static [&'static str] = &[];

    /// Checks what the type cannot express; called for every document that is read.
    ///
    /// # Errors
    /// What is wrong, in a clause.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// How JSON is laid out. A line break ends it in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// On one line.
    Compact,
    /// Indented, one value a line.
    Pretty,
}

#[derive(Deserialize)]
struct Format {
    format: Option<String>,
}

impl Format {
    fn check<D: Document>(self) -> Result<(), ContentError> {
        match self.format {
            Some(found) if found != D::FORMAT && !D::ALSO_READ.contains(&found.as_str()) => {
                Err(ContentError::Format {
                    found,
                    supported: D::FORMAT,
                })
            }
            // A missing format is reported with its place, as any other missing field is.
            _ => Ok(()),
        }
    }
}

/// The document in `bytes`, checked.
///
/// # Errors
/// [`ContentError`] without the name of a file.
pub fn from_json<D: Document>(bytes: &[u8]) -> Result<D, ContentError> {
    let other = |error: serde_json::Error| ContentError::Other(error.to_string());
    serde_json::from_slice::<Format>(bytes)
        .map_err(other)?
        .check::<D>()?;
    let document: D = serde_json::from_slice(bytes).map_err(other)?;
    document.check().map_err(ContentError::Other)?;
    Ok(document)
}

/// The document in `text`, checked.
///
/// # Errors
/// [`ContentError`] without the name of a file.
pub fn from_toml<D: Document>(text: &str) -> Result<D, ContentError> {
    let problem = |error| toml_problem(&error, text);
    let format: Format = toml::from_str(text).map_err(problem)?;
    format.check::<D>()?;
    let deserializer = toml::Deserializer::parse(text).map_err(problem)?;
    let document: D = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        problem(error.into_inner()).of_field(&path)
    })?;
    document.check().map_err(ContentError::Other)?;
    Ok(document)
}

/// The document in a parsed `table`, checked.
///
/// # Errors
/// [`ContentError`] without the name of a file and without lines.
pub fn from_table<D: Document>(table: &toml::Table) -> Result<D, ContentError> {
    // Its text, because a table as a deserializer turns dates into texts.
    let text = toml::to_string(table).map_err(|error| ContentError::Other(error.to_string()))?;
    from_toml(&text).map_err(|error| match error {
        ContentError::Line { problem, .. } => ContentError::Other(problem),
        error => error,
    })
}

/// A parser's error as its line and one line of text.
#[must_use]
pub fn toml_problem(error: &toml::de::Error, text: &str) -> ContentError {
    let problem = error.message().trim().replace('\n', ", ");
    match error.span() {
        Some(span) => {
            let before = &text.as_bytes()[..span.start.min(text.len())];
            let line = 1 + before.iter().filter(|&&byte| byte == b'\n').count();
            ContentError::Line { line, problem }
        }
        None => ContentError::Other(problem),
    }
}

/// The document in the file at `path`, checked.
///
/// # Errors
/// [`FileError::Read`] and [`FileError::Content`].
pub fn read_json<D: Document>(path: &Path) -> Result<D, FileError> {
    let bytes = std::fs::read(path).map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })?;
    from_json(&bytes).map_err(in_file(path))
}

/// The document in the file at `path`, checked.
///
/// # Errors
/// [`FileError::Read`] and [`FileError::Content`].
pub fn read_toml<D: Document>(path: &Path) -> Result<D, FileError> {
    let text = std::fs::read_to_string(path).map_err(|source| FileError::Read {
        path: path.to_owned(),
        source,
    })?;
    from_toml(&text).map_err(in_file(path))
}

/// Writes `value` to `path`, or leaves what was there.
///
/// # Errors
/// [`FileError::Write`].
pub fn write_json(path: &Path, value: &impl Serialize, layout: Layout) -> Result<(), FileError> {
    let text = match layout {
        Layout::Compact => serde_json::to_vec(value),
        Layout::Pretty => serde_json::to_vec_pretty(value),
    };
    text.map_err(Into::into)
        .and_then(|mut text| {
            text.push(b'\n');
            write_atomically(path, &text)
        })
        .map_err(|source| FileError::Write {
            path: path.to_owned(),
            source,
        })
}

fn in_file(path: &Path) -> impl Fn(ContentError) -> FileError {
    |problem| FileError::Content {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        format: String,
        low: f64,
        high: f64,
    }

    impl Document for Pair {
        const FORMAT: &'static str = "test.pair/2";
        const ALSO_READ: &'static [&'static str] = &["test.pair/1"];

        fn check(&self) -> Result<(), String> {
            match self.low <= self.high {
                true => Ok(()),
                false => Err("`low` is above `high`".to_owned()),
            }
        }
    }

    #[test]
    fn json_and_toml_read_the_same() {
        let json = br#"{"format": "test.pair/1", "low": 0.1, "high": 0.30000000000000004}"#;
        let toml = "format = \"test.pair/1\"\nlow = 0.1\nhigh = 0.30000000000000004\n";
        let pair: Pair = from_json(json).unwrap();
        assert_eq!(pair.high, 0.1 + 0.2);
        assert_eq!(from_toml::<Pair>(toml).unwrap(), pair);
        assert_eq!(
            from_table::<Pair>(&toml::from_str(toml).unwrap()).unwrap(),
            pair
        );
    }

    #[test]
    fn every_problem_is_one_line_that_says_where() {
        let problem = |text: &str| from_toml::<Pair>(text).unwrap_err().to_string();
        let cases = [
            // The format comes first, whatever else is there.
            (
                "format = \"test.pair/3\"\nother = 1\n",
                "its format is `test.pair/3`, this version reads `test.pair/2`",
            ),
            (
                "format = \"test.pair/2\"\nlow = 2\nhigh = 1\n",
                "`low` is above `high`",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(problem(text), expected);
            let table = from_table::<Pair>(&toml::from_str(text).unwrap());
            assert_eq!(table.unwrap_err().to_string(), expected);
        }
        let unknown = problem("format = \"test.pair/2\"\nlow = 1\nhihg = 2\n");
        assert!(
            unknown.starts_with("line 3: unknown field `hihg`"),
            "{unknown}"
        );
        assert!(problem("low = 1\nhigh = 2\n").contains("missing field `format`"));
        let wrong = problem("format = \"test.pair/2\"\nlow = 1\nhigh = \"two\"\n");
        assert!(
            wrong.starts_with("line 3: `high`: invalid type: string \"two\""),
            "{wrong}"
        );
        let table = "format = \"test.pair/2\"\nlow = 1\nhigh = \"two\"\n";
        let wrong = from_table::<Pair>(&toml::from_str(table).unwrap());
        let wrong = wrong.unwrap_err().to_string();
        assert!(
            wrong.starts_with("`high`: invalid type: string \"two\""),
            "{wrong}"
        );
        for text in [&b"{"[..], b"[]", b"\xff", b"{\"format\": 3}"] {
            let problem = from_json::<Pair>(text).unwrap_err().to_string();
            assert!(!problem.contains('\n'), "{problem}");
        }
    }

    #[test]
    fn messages_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pair.json");
        let missing = read_json::<Pair>(&path).unwrap_err();
        assert!(matches!(missing, FileError::Read { .. }));
        let pair = Pair {
            format: Pair::FORMAT.to_owned(),
            low: 1.0,
            high: 2.0,
        };
        write_json(&path, &pair, Layout::Pretty).unwrap();
        assert_eq!(read_json::<Pair>(&path).unwrap(), pair);
        std::fs::write(&path, "{}").unwrap();
        for error in [missing, read_json::<Pair>(&path).unwrap_err()] {
            assert!(error.to_string().contains(&*path.to_string_lossy()));
        }
        let nowhere = folder.path().join("no/pair.json");
        let error = write_json(&nowhere, &pair, Layout::Compact).unwrap_err();
        assert!(matches!(error, FileError::Write { .. }));
    }
}
