//! Pictures in class folders.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use image::ImageFormat;
use walkdir::WalkDir;

use crate::layout::{entries, file_name};
use crate::rows::{Label, RawPart, Row};
use crate::{Part, Place, TaskError};

/// The number of bytes that is enough to recognise every format.
const HEAD: u64 = 32;

/// The location of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PictureAt {
    /// The picture is a file.
    File,
    /// The picture is in these columns of a Parquet file, in the row of its place.
    Columns(PictureColumns),
}

/// The columns of a Parquet file that hold pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureColumns {
    /// The column with the encoded content.
    pub(crate) bytes: usize,
    /// The column with the path of the file, for pictures without content.
    pub(crate) path: Option<usize>,
}

/// Lists the pictures of `path`, which has a folder for each class, sorted by class and path.
///
/// The content of a file decides whether it is a picture, not its name. Folders within a class belong to it. One
/// warning lists what was skipped.
pub(crate) fn list_images(path: &Path, part: Part) -> Result<RawPart<PictureAt>, TaskError> {
    let mut rows = Vec::new();
    let mut passed = PassedOver::default();
    let mut loose = 0;
    for (class_folder, label) in entries(path)? {
        if !class_folder.is_dir() {
            match kind(&class_folder)? {
                Kind::Picture => loose += 1,
                Kind::Other(reason) => passed.add(reason, &class_folder, path),
            }
            continue;
        }
        let before = rows.len();
        for file in files(&class_folder)? {
            match kind(&file)? {
                Kind::Picture => rows.push(Row {
                    place: Place {
                        path: file,
                        line: None,
                    },
                    label: Label::One(label.clone()),
                    content: PictureAt::File,
                }),
                Kind::Other(reason) => passed.add(reason, &file, path),
            }
        }
        if rows.len() == before {
            tracing::warn!(
                "no pictures in the class folder `{}`",
                class_folder.display()
            );
        }
    }
    let path = path.to_owned();
    if loose > 0 {
        return Err(TaskError::WithoutClass {
            path,
            pictures: loose,
        });
    }
    passed.warn(&path);
    Ok(RawPart { part, path, rows })
}

/// All files and links in the folder except hidden ones, sorted by path. Links to folders are not followed because they
/// may lead out of it.
fn files(folder: &Path) -> Result<Vec<PathBuf>, TaskError> {
    let walk = WalkDir::new(folder).sort_by_file_name();
    let visible = walk.into_iter().filter_entry(|entry| {
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    });
    let mut found = Vec::new();
    for entry in visible {
        let path = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => entry.into_path(),
            Err(error) => {
                return Err(TaskError::Unreadable {
                    path: error.path().unwrap_or(folder).to_owned(),
                    source: error.into(),
                });
            }
        };
        if path.to_str().is_none() {
            let place = Place { path, line: None };
            return Err(TaskError::NotUtf8 { place });
        }
        found.push(path);
    }
    Ok(found)
}

enum Kind {
    Picture,
    /// The reason why the file is skipped.
    Other(&'static str),
}

fn kind(path: &Path) -> Result<Kind, TaskError> {
    if !path.is_file() {
        return Ok(Kind::Other(match path.is_symlink() {
            true => "broken links",
            false => "neither files nor folders",
        }));
    }
    let unreadable = |source| TaskError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let mut head = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(HEAD).read_to_end(&mut head).map_err(unreadable)?;
    Ok(match image::guess_format(&head) {
        Ok(format) if format.reading_enabled() => Kind::Picture,
        Ok(_) => Kind::Other("pictures in an unsupported format"),
        // A damaged picture must not go unnoticed.
        Err(_) if ImageFormat::from_path(path).is_ok_and(|format| format.reading_enabled()) => {
            Kind::Picture
        }
        Err(_) => Kind::Other("files that are not pictures"),
    })
}

/// Skipped files, by the reason.
#[derive(Debug, Default)]
struct PassedOver(BTreeMap<&'static str, (usize, String)>);

impl PassedOver {
    fn add(&mut self, reason: &'static str, file: &Path, folder: &Path) {
        let name = file.strip_prefix(folder).unwrap_or(file);
        let first = || (0, name.display().to_string());
        self.0.entry(reason).or_insert_with(first).0 += 1;
    }

    fn warn(&self, folder: &Path) {
        if self.0.is_empty() {
            return;
        }
        let count: usize = self.0.values().map(|(count, _)| count).sum();
        let reasons: Vec<String> = self
            .0
            .iter()
            .map(|(reason, (count, first))| format!("{count} {reason} (the first is `{first}`)"))
            .collect();
        tracing::warn!(
            "{count} entries of `{}` are skipped: {}",
            file_name(folder),
            reasons.join(", ")
        );
    }
}
