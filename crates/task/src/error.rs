//! Everything that can be wrong with a task or with the encoder of a backbone.

use std::io;
use std::path::PathBuf;

use crate::picture::MAX_PIXELS;
use crate::{Part, Place};

/// Why a task could not be read or encoded.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TaskError {
    /// The task folder is missing or a file.
    #[error("the task folder `{}` does not exist or is no folder; give the path of a folder with a `train` part", folder.display())]
    MissingFolder { folder: PathBuf },
    /// A file or folder that exists cannot be read.
    #[error("cannot read `{}`: {source}; check its permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// Neither text nor pictures to train on.
    #[error(
        "the task folder `{}` has no training part{}; add `train.jsonl`, `train.csv`, `train.tsv` or `train.parquet`, or a folder `train` with one folder of pictures per class",
        folder.display(), instead(found)
    )]
    MissingTrainPart { folder: PathBuf, found: Vec<String> },
    /// Two files, or two folders, that are the same part.
    #[error("the task folder `{}` has two {part} parts, `{}` and `{}`; remove or rename one of them", folder.display(), names[0], names[1])]
    TwoOfOnePart {
        folder: PathBuf,
        part: Part,
        names: [String; 2],
    },
    /// Files that belong together, of which some are missing.
    #[error("the {part} part of `{}` has {found} of {count} files; add the others", folder.display())]
    MissingFiles {
        folder: PathBuf,
        part: Part,
        found: usize,
        count: usize,
    },
    /// A folder of Arrow files.
    #[error("the folder `{}` was written by `save_to_disk` of the library `datasets`; write Parquet instead: `dataset[\"train\"].to_parquet(\"train.parquet\")`", folder.display())]
    SavedToDisk { folder: PathBuf },
    /// A text backbone was given an image task.
    #[error("the backbone reads text, but the task `{}` consists of pictures; choose an image backbone or a text task", folder.display())]
    TextBackboneImageTask { folder: PathBuf },
    /// An image backbone was given a text task.
    #[error("the backbone reads images, but the task `{}` consists of text; choose a text backbone or an image task", folder.display())]
    ImageBackboneTextTask { folder: PathBuf },
    /// A part without examples.
    #[error("the {part} part `{}` is empty; add examples or remove it", path.display())]
    EmptyPart { part: Part, path: PathBuf },
    /// A part whose examples all have the same label.
    #[error("the {part} part `{}` has only one class, `{class}`; add examples of at least one other class", path.display())]
    OneClass {
        part: Part,
        path: PathBuf,
        class: String,
    },
    /// Pictures that stand in the folder of a part instead of one of a class.
    #[error("{pictures} pictures stand directly in `{}`; put those of each class into a folder with its name", path.display())]
    WithoutClass { path: PathBuf, pictures: usize },
    /// A label that train does not have.
    #[error(
        "{place}: no training example has the label `{label}` (train has {}); correct it or add training examples",
        listed(classes)
    )]
    UnknownLabel {
        place: Place,
        label: String,
        classes: Vec<String>,
    },
    /// A row in which a required value is absent, null or blank.
    #[error("{place}: the row has no `{column}`; every row needs one")]
    MissingValue { place: Place, column: String },
    /// A value of the wrong type.
    #[error("{place}: `{column}` must be {expected}, not `{found}`")]
    InvalidValue {
        place: Place,
        column: String,
        expected: &'static str,
        found: String,
    },
    /// A line that is no JSON object.
    #[error(
        "{place}: not a JSON object: {message}; every line must be one object such as {{\"text\": \"...\", \"label\": \"...\"}}"
    )]
    InvalidJson { place: Place, message: String },
    /// A row that is no CSV.
    #[error(
        "{place}: not valid CSV: {message}; every row needs as many comma-separated cells as the header"
    )]
    InvalidCsv { place: Place, message: String },
    /// A Parquet file that cannot be read.
    #[error("cannot read `{}` as Parquet: {message}; write or download it again", path.display())]
    InvalidParquet { path: PathBuf, message: String },
    /// A column of a type that cannot be what it is needed for.
    #[error("the column `{column}` of `{}` holds {found}, but must hold {expected}", path.display())]
    ColumnType {
        path: PathBuf,
        column: String,
        expected: &'static str,
        found: String,
    },
    /// A quote that is never closed.
    #[error(
        "{place}: a quote is opened here and never closed; close it, or double it (`\"\"`) if it belongs to the text"
    )]
    OpenQuote { place: Place },
    /// A file whose columns lack one.
    #[error("`{}` has no column `{column}` (it has {}); name the columns so, a CSV's in its first line, or say what they are called: `--text-column`, `--pair-column`, `--label-column`, `--image-column`", path.display(), listed(found))]
    MissingColumn {
        path: PathBuf,
        column: String,
        found: Vec<String>,
    },
    /// Bytes, or a file name, that are not UTF-8.
    #[error("{place}: not valid UTF-8; save the file, or name it, in UTF-8")]
    NotUtf8 { place: Place },
    /// No validation part, and too little to split one off.
    #[error(
        "the task `{}` has no validation part, and its training part is too small to split one off: two classes need two or more examples each; add a validation part",
        folder.display()
    )]
    TooSmallToSplit { folder: PathBuf },
    /// A missing or broken `tokenizer.json`.
    #[error("the tokenizer `{}` cannot be used: {message}; take `tokenizer.json` from where the backbone came from", path.display())]
    InvalidTokenizer { path: PathBuf, message: String },
    /// A file beside the vocabulary that says what cannot be honoured.
    #[error("`{}`: {message}", path.display())]
    TokenizerSetting { path: PathBuf, message: String },
    /// Longer inputs than the backbone has positions for.
    #[error("a maximum length of {max_length} tokens is more than the {max_positions} positions of the backbone `{}`; choose at most {max_positions}", backbone.display())]
    MaxLengthTooLong {
        backbone: PathBuf,
        max_length: usize,
        max_positions: usize,
    },
    /// Shorter inputs than the special tokens alone need.
    #[error("a maximum length of {max_length} tokens leaves no room for text beside the special tokens of `{}`; choose at least {minimum}", path.display())]
    MaxLengthTooShort {
        path: PathBuf,
        max_length: usize,
        minimum: usize,
    },
    /// The tokenizer does not belong to the backbone.
    #[error("the tokenizer `{}` gives the id {id}{}, but the backbone has a vocabulary of {vocabulary}; take the `tokenizer.json` that belongs to it", path.display(), for_place(place))]
    OutsideVocabulary {
        path: PathBuf,
        id: u32,
        vocabulary: usize,
        place: Option<Place>,
    },
    /// A text that the tokenizer refuses, or of which it leaves nothing.
    #[error("{place}: the tokenizer `{}` gives no tokens for this text: {message}; correct or remove the row", path.display())]
    NotTokenized {
        place: Place,
        path: PathBuf,
        message: String,
    },
    /// A missing or unusable `preprocessor_config.json`.
    #[error("the preprocessing `{}` cannot be used: {message}", path.display())]
    InvalidPreprocessing { path: PathBuf, message: String },
    /// The preprocessing makes pictures of another size than the backbone takes.
    #[error("`{}` makes pictures of {height} x {width} pixels, but the backbone takes {image_size} x {image_size}; correct `size` or `crop_size` there", path.display())]
    PreprocessedSize {
        path: PathBuf,
        height: u64,
        width: u64,
        image_size: usize,
    },
    /// A picture that comes out in another size than the backbone takes.
    #[error(
        "the picture {place} comes out of the preprocessing with {height} x {width} pixels, but the backbone takes {image_size} x {image_size}; set `size` or `crop_size` in the backbone's `{file}`"
    )]
    PictureSize {
        place: Place,
        file: String,
        height: u64,
        width: u64,
        image_size: usize,
    },
    /// A Parquet file that names another one, which cannot be read.
    #[error("{place} holds no picture but the path `{}`: {message}; put the file there, or write the pictures into the Parquet file (`embed_table_storage` of the library `datasets`)", path.display())]
    MissingPicture {
        place: Place,
        path: PathBuf,
        message: String,
    },
    /// A picture that cannot be decoded.
    #[error("the picture {place} cannot be decoded: {message}; replace or remove it")]
    BrokenPicture { place: Place, message: String },
    /// A picture that would take too much memory.
    #[error("the picture {place} has {width} x {height} pixels, the limit is {} megapixels; scale it down or remove it", MAX_PIXELS / 1_000_000)]
    PictureTooLarge {
        place: Place,
        width: u64,
        height: u64,
    },
}

fn instead(found: &[String]) -> String {
    match found.is_empty() {
        true => String::new(),
        false => format!(", but {}", listed(found)),
    }
}

/// At most ten names in backquotes, then how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(10)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len() - shown.len();
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

fn for_place(place: &Option<Place>) -> String {
    match place {
        Some(place) => format!(" for {place}"),
        None => " for padding".to_owned(),
    }
}
