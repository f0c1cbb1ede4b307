//! The errors of tasks and of a backbone's encoder.

use std::io;
use std::path::PathBuf;

use crate::{Part, Place};

/// The largest number of pixels. Pictures with more are refused before they are decoded.
pub(crate) const MAX_PIXELS: u64 = 64_000_000;

/// An error while a task is read or encoded.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum TaskError {
    /// The task folder is missing, or is a file.
    #[error("the task folder `{}` does not exist or is not a folder; use a folder with a `train` part", folder.display())]
    MissingFolder { folder: PathBuf },
    /// An existing file or folder cannot be read.
    #[error("cannot read `{}`: {source}; check its permissions", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// There is neither text nor pictures to train on.
    #[error(
        "the task folder `{}` has no training part{}; add `train.jsonl`, `train.csv`, `train.tsv` or `train.parquet`, or a folder `train` with one folder of pictures per class",
        folder.display(), instead(found)
    )]
    MissingTrainPart { folder: PathBuf, found: Vec<String> },
    /// Two files, or two folders, are the same part.
    #[error("the task folder `{}` has two {part} parts, `{}` and `{}`; remove or rename one of them", folder.display(), names[0], names[1])]
    TwoOfOnePart {
        folder: PathBuf,
        part: Part,
        names: [String; 2],
    },
    /// Some of the files that make up a part are missing.
    #[error("the {part} part of `{}` has {found} of {count} files; add the others", folder.display())]
    MissingFiles {
        folder: PathBuf,
        part: Part,
        found: usize,
        count: usize,
    },
    /// The folder contains Arrow files.
    #[error("the folder `{}` was written by `save_to_disk` of the library `datasets`; write Parquet instead: `dataset[\"train\"].to_parquet(\"train.parquet\")`", folder.display())]
    SavedToDisk { folder: PathBuf },
    /// A text backbone was given an image task.
    #[error("the backbone reads text, but the task `{}` consists of pictures; choose an image backbone or a text task", folder.display())]
    TextBackboneImageTask { folder: PathBuf },
    /// An image backbone was given a text task.
    #[error("the backbone reads images, but the task `{}` consists of text; choose a text backbone or an image task", folder.display())]
    ImageBackboneTextTask { folder: PathBuf },
    /// A part has no examples.
    #[error("the {part} part `{}` is empty; add examples or remove it", path.display())]
    EmptyPart { part: Part, path: PathBuf },
    /// All examples of a part have the same label.
    #[error("the {part} part `{}` has only one class, `{class}`; add examples of at least one other class", path.display())]
    OneClass {
        part: Part,
        path: PathBuf,
        class: String,
    },
    /// All examples of a part have the same number or the same set of classes.
    #[error("all examples of the {part} part `{}` have the label {label}; add examples with other labels", path.display())]
    SameLabels {
        part: Part,
        path: PathBuf,
        label: String,
    },
    /// The training examples that are used all have the same number.
    #[error("the training examples of `{}` that are used all have the same number; use more of them", folder.display())]
    NumbersDoNotVary { folder: PathBuf },
    /// Labels of one part are of different kinds.
    #[error(
        "{place}: the label `{label}` is {}, but the labels before it are {}; write all labels in the same way, or say what they are with `--problem`", kinds[1], kinds[0]
    )]
    LabelsOfTwoKinds {
        place: Place,
        label: String,
        kinds: [&'static str; 2],
    },
    /// A label does not suit the kind of problem.
    #[error("{place}: the label must be {expected}, not `{found}`")]
    WrongLabel {
        place: Place,
        expected: &'static str,
        found: String,
    },
    /// There are not as many tags as words.
    #[error("{place}: there are {words} tokens, but tags for {tags}; every token needs one")]
    TagsAndWords {
        place: Place,
        words: usize,
        tags: usize,
    },
    /// No word of an example has a token.
    #[error("{place}: none of its words leaves a token that could be labelled")]
    NoTaggedToken { place: Place },
    /// A prompt leaves no room for its completion.
    #[error(
        "{place}: the prompt fills all {max_length} tokens, so the completion is cut away; raise `--max-length` or shorten the prompt"
    )]
    CompletionCutAway { place: Place, max_length: usize },
    /// A completion has no token that is predicted from another.
    #[error("{place}: the completion has no token behind another one; give it a prompt")]
    NothingToPredict { place: Place },
    /// The `task.toml` cannot be read.
    #[error("`{}`: {message}; it contains one line such as `problem = \"regression\"`", path.display())]
    InvalidTaskFile { path: PathBuf, message: String },
    /// Class weights were asked for, but the examples do not have one class each.
    #[error("`{}` is a {kind} task, but only classes can be weighted; leave out `--class-weights`", folder.display())]
    NoClassesToWeight { folder: PathBuf, kind: &'static str },
    /// Pictures are directly in the folder of a part instead of in that of a class.
    #[error("{pictures} pictures are directly in `{}`; put those of each class into a folder with its name", path.display())]
    WithoutClass { path: PathBuf, pictures: usize },
    /// A label does not occur in the training part.
    #[error(
        "{place}: no training example has the label `{label}` (train has {}); correct it or add training examples",
        listed(classes)
    )]
    UnknownLabel {
        place: Place,
        label: String,
        classes: Vec<String>,
    },
    /// A required value of a row is absent, null or blank.
    #[error("{place}: the row has no `{column}`; every row needs one")]
    MissingValue { place: Place, column: String },
    /// A value has the wrong type.
    #[error("{place}: `{column}` must be {expected}, not `{found}`")]
    InvalidValue {
        place: Place,
        column: String,
        expected: &'static str,
        found: String,
    },
    /// A line is not a JSON object.
    #[error(
        "{place}: not a JSON object: {message}; every line must be one object such as {{\"text\": \"...\", \"label\": \"...\"}}"
    )]
    InvalidJson { place: Place, message: String },
    /// A row is not valid CSV.
    #[error(
        "{place}: not valid CSV: {message}; every row needs as many comma-separated cells as the header"
    )]
    InvalidCsv { place: Place, message: String },
    /// A Parquet file cannot be read.
    #[error("cannot read `{}` as Parquet: {message}; write or download it again", path.display())]
    InvalidParquet { path: PathBuf, message: String },
    /// A column has a type that is unsuitable for its purpose.
    #[error("the column `{column}` of `{}` holds {found}, but must hold {expected}", path.display())]
    ColumnType {
        path: PathBuf,
        column: String,
        expected: &'static str,
        found: String,
    },
    /// A quote is never closed.
    #[error(
        "{place}: a quote is opened here and never closed; close it, or double it (`\"\"`) if it belongs to the text"
    )]
    OpenQuote { place: Place },
    /// A file lacks a column.
    #[error("`{}` has no column `{column}` (it has {}); rename the columns (those of a CSV file in its first line), or pass their names with `--text-column`, `--pair-column`, `--label-column`, `--image-column`", path.display(), listed(found))]
    MissingColumn {
        path: PathBuf,
        column: String,
        found: Vec<String>,
    },
    /// Bytes, or a file name, are not UTF-8.
    #[error("{place}: not valid UTF-8; save or name the file in UTF-8")]
    NotUtf8 { place: Place },
    /// There is no validation part, and the training part is too small to split one off.
    #[error(
        "the task `{}` has no validation part, and its training part is too small to split one off: two classes need two or more examples each; add a validation part",
        folder.display()
    )]
    TooSmallToSplit { folder: PathBuf },
    /// The `tokenizer.json` is missing or broken.
    #[error("the tokenizer `{}` cannot be used: {message}; get `tokenizer.json` from where the backbone came from", path.display())]
    InvalidTokenizer { path: PathBuf, message: String },
    /// A setting of the tokenizer, in a file next to the vocabulary, cannot be honoured.
    #[error("`{}`: {message}", path.display())]
    TokenizerSetting { path: PathBuf, message: String },
    /// The maximum length exceeds the positions of the backbone.
    #[error("a maximum length of {max_length} tokens is more than the {max_positions} positions of the backbone `{}`; choose at most {max_positions}", backbone.display())]
    MaxLengthTooLong {
        backbone: PathBuf,
        max_length: usize,
        max_positions: usize,
    },
    /// The maximum length leaves no room besides the special tokens.
    #[error("a maximum length of {max_length} tokens leaves no room for text besides the special tokens of `{}`; choose at least {minimum}", path.display())]
    MaxLengthTooShort {
        path: PathBuf,
        max_length: usize,
        minimum: usize,
    },
    /// The tokenizer does not belong to the backbone.
    #[error("the tokenizer `{}` produces the id {id} for {place}, but the backbone has a vocabulary of {vocabulary}; use the `tokenizer.json` that belongs to it", path.display())]
    OutsideVocabulary {
        path: PathBuf,
        id: u32,
        vocabulary: usize,
        place: Place,
    },
    /// The tokenizer rejects a text or leaves nothing of it.
    #[error("{place}: the tokenizer `{}` produces no tokens for this text: {message}; correct or remove the row", path.display())]
    NotTokenized {
        place: Place,
        path: PathBuf,
        message: String,
    },
    /// The `preprocessor_config.json` is missing or unusable.
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
    /// A preprocessed picture has another size than the backbone takes.
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
    /// A Parquet file refers to a picture that cannot be read.
    #[error("{place} contains no picture, only the path `{}`: {message}; put the file there, or write the pictures into the Parquet file (`embed_table_storage` of the library `datasets`)", path.display())]
    MissingPicture {
        place: Place,
        path: PathBuf,
        message: String,
    },
    /// A picture cannot be decoded.
    #[error("the picture {place} cannot be decoded: {message}; replace or remove it")]
    BrokenPicture { place: Place, message: String },
    /// A picture would take too much memory.
    #[error("the picture {place} has {width} x {height} pixels, but the limit is {} megapixels; scale it down or remove it", MAX_PIXELS / 1_000_000)]
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

/// At most ten names in backquotes, followed by the number of further ones.
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
