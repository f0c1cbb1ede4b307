//! The tokenizer of a backbone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::{Encoding, PostProcessor, Tokenizer, TruncationParams, TruncationStrategy};

use crate::contained::contained;
use crate::rows::{Row, Text};
use crate::tokenizer::{self, FolderTokenizer};
use crate::{EncodedText, Place, TaskError, Texts};

/// The tokenizer of a backbone folder, with the longest input that it may produce.
#[derive(Clone, Debug)]
pub struct TextEncoder {
    // The tokenizer is shared, so cloning the encoder is cheap.
    tokenizer: Arc<Tokenizer>,
    path: PathBuf,
    files: Arc<[&'static str]>,
    vocabulary: usize,
    max_length: usize,
    /// The id of the token for the end of a text, if the files name one.
    end_of_text: Option<u32>,
    /// Whether words that are tokenized one by one need a space before them.
    space_before_words: bool,
}

impl TextEncoder {
    /// Reads the tokenizer of a backbone with `vocabulary` word embeddings and `max_positions` position embeddings,
    /// like `AutoTokenizer`: `tokenizer.json` and the settings next to it, or for a BERT only `vocab.txt` if there is
    /// nothing else.
    ///
    /// Inputs of more than `max_length` tokens (including special tokens) are truncated, the longer text of a pair
    /// first. Padding and lengths that the files ask for are ignored, because batches have no padding.
    ///
    /// # Errors
    /// If a file is missing or broken, if the files contradict each other, if `max_length` exceeds `max_positions` or
    /// leaves no room besides the special tokens of a pair.
    pub fn from_folder(
        backbone_folder: &Path,
        vocabulary: usize,
        max_positions: usize,
        max_length: usize,
    ) -> Result<Self, TaskError> {
        if max_length > max_positions {
            return Err(TaskError::MaxLengthTooLong {
                backbone: backbone_folder.to_owned(),
                max_length,
                max_positions,
            });
        }
        let read = || Self::read(backbone_folder, vocabulary, max_length);
        // The library makes unchecked assumptions about what it reads.
        contained(read).unwrap_or_else(|message| {
            let path = backbone_folder.join("tokenizer.json");
            Err(TaskError::InvalidTokenizer { path, message })
        })
    }

    fn read(folder: &Path, vocabulary: usize, max_length: usize) -> Result<Self, TaskError> {
        let FolderTokenizer {
            mut tokenizer,
            path,
            truncation: direction,
            end_of_text,
            files,
        } = tokenizer::read(folder)?;
        let invalid = |message: String| TaskError::InvalidTokenizer {
            path: path.clone(),
            message,
        };
        let special_tokens = tokenizer
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(true));
        // Each text of a pair needs room for one token.
        let minimum = special_tokens + 2;
        if max_length < minimum {
            return Err(TaskError::MaxLengthTooShort {
                path,
                max_length,
                minimum,
            });
        }
        tokenizer.with_padding(None);
        let truncation = TruncationParams {
            direction,
            max_length,
            strategy: TruncationStrategy::LongestFirst,
            stride: 0,
        };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| invalid(error.to_string()))?;
        Ok(TextEncoder {
            space_before_words: needs_space(&tokenizer),
            end_of_text,
            max_length,
            tokenizer: Arc::new(tokenizer),
            path,
            files: files.into(),
            vocabulary,
        })
    }

    /// The names of the backbone's files that determine the tokens of a text, the vocabulary's first.
    #[must_use]
    pub fn files(&self) -> &[&'static str] {
        &self.files
    }

    /// Tokenizes the rows in parallel on the current rayon pool.
    pub(crate) fn encode(&self, rows: &[&Row<Text>]) -> Result<(Texts, Vec<Read>), TaskError> {
        let encoded: Result<Vec<(EncodedText, Read)>, TaskError> = rows
            .par_iter()
            .map(|row| self.encode_row(&row.content, &row.place))
            .collect::<Vec<_>>()
            // Collecting the results in order makes the reported error that of the first broken row, whatever the
            // threads do.
            .into_iter()
            .collect();
        let (texts, read) = encoded?.into_iter().unzip();
        Ok((Texts { texts }, read))
    }

    fn encode_row(&self, content: &Text, place: &Place) -> Result<(EncodedText, Read), TaskError> {
        let not_tokenized = |message: String| TaskError::NotTokenized {
            place: place.clone(),
            path: self.path.clone(),
            message,
        };
        let encode = || match content {
            Text::Plain { text, pair: None } => self.tokenizer.encode_fast(text.as_str(), true),
            Text::Plain {
                text,
                pair: Some(pair),
            } => {
                let pair = (text.as_str(), pair.as_str());
                self.tokenizer.encode_fast(pair, true)
            }
            Text::Words(words) => {
                let space = if self.space_before_words { " " } else { "" };
                let words: Vec<String> =
                    words.iter().map(|word| format!("{space}{word}")).collect();
                self.tokenizer.encode(words, true)
            }
            Text::Prompted { prompt, completion } => {
                let text = format!("{prompt}{completion}");
                self.tokenizer.encode(text, true)
            }
        };
        let encoding = contained(encode)
            .map_err(not_tokenized)?
            .map_err(|error| not_tokenized(error.to_string()))?;
        let mut text = EncodedText {
            ids: encoding.get_ids().to_vec(),
            type_ids: encoding.get_type_ids().to_vec(),
            cut: !encoding.get_overflowing().is_empty(),
        };
        if text.ids.is_empty() {
            return Err(not_tokenized("it is empty after normalisation".to_owned()));
        }
        let read = match content {
            Text::Plain { .. } => Read::Whole,
            Text::Words(words) => first_tokens(&encoding, words.len(), place)?,
            Text::Prompted { prompt, .. } => {
                let start = self.completion(&encoding, prompt.len(), place)?;
                self.end(&mut text);
                match (start.max(1) as usize) < text.ids.len() {
                    true => Read::From(start),
                    false => {
                        let place = place.clone();
                        return Err(TaskError::NothingToPredict { place });
                    }
                }
            }
        };
        match text.ids.iter().find(|&&id| id as usize >= self.vocabulary) {
            Some(&id) => Err(TaskError::OutsideVocabulary {
                path: self.path.clone(),
                id,
                vocabulary: self.vocabulary,
                place: place.clone(),
            }),
            None => Ok((text, read)),
        }
    }

    /// The position of the first token of a completion, which begins behind the `prompt` bytes of its prompt. A token
    /// with characters of both belongs to the completion.
    fn completion(
        &self,
        encoding: &Encoding,
        prompt: usize,
        place: &Place,
    ) -> Result<u32, TaskError> {
        let offsets = encoding.get_offsets().iter();
        let special = encoding.get_special_tokens_mask();
        let mut tokens = offsets.zip(special);
        let start = tokens.position(|(&(_, end), &special)| special == 0 && end > prompt);
        let start = start.ok_or_else(|| TaskError::CompletionCutAway {
            place: place.clone(),
            max_length: self.max_length,
        })?;
        Ok(start as u32)
    }

    /// Lets a completion end with the token for the end of a text, which a model has to predict as well, unless it was
    /// cut.
    fn end(&self, text: &mut EncodedText) {
        let Some(end) = self.end_of_text else { return };
        let room = text.ids.len() < self.max_length;
        if room && !text.cut && text.ids.last() != Some(&end) {
            text.ids.push(end);
            text.type_ids.push(0);
        }
    }
}

/// The tokens of an example at which something is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The example is read as a whole.
    Whole,
    /// The first token of each word. `None` if the word was cut off, or has no token.
    Words(Vec<Option<u32>>),
    /// All tokens from this position on.
    From(u32),
}

fn first_tokens(encoding: &Encoding, words: usize, place: &Place) -> Result<Read, TaskError> {
    let mut first = vec![None; words];
    for (position, word) in (0..).zip(encoding.get_word_ids()) {
        if let Some(word) = word {
            first[*word as usize].get_or_insert(position);
        }
    }
    match first.iter().any(Option::is_some) {
        true => Ok(Read::Words(first)),
        false => {
            let place = place.clone();
            Err(TaskError::NoTaggedToken { place })
        }
    }
}

/// Whether the first of the words of a text, and so each of them, has to begin with a space to be tokenized as within a
/// text.
fn needs_space(tokenizer: &Tokenizer) -> bool {
    fn needs(of: &PreTokenizerWrapper) -> bool {
        match of {
            PreTokenizerWrapper::ByteLevel(bytes) => !bytes.add_prefix_space,
            PreTokenizerWrapper::Sequence(all) => all.as_ref().iter().any(needs),
            _ => false,
        }
    }
    tokenizer.get_pre_tokenizer().is_some_and(needs)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use adaplace_testkit::{TinyBert, tiny_bert};

    use super::*;
    use crate::rows::Label;

    fn row(text: &str, pair: Option<&str>) -> Row<Text> {
        Row {
            place: Place {
                path: "task/train.jsonl".into(),
                line: Some(1),
            },
            label: Label::One("x".to_owned()),
            content: Text::Plain {
                text: text.to_owned(),
                pair: pair.map(str::to_owned),
            },
        }
    }

    fn backbone() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        tiny_bert(folder.path(), &TinyBert::default());
        folder
    }

    // The tiny vocabulary is [PAD] [UNK] [CLS] [SEP] [MASK] ##s . , and then the words: baba is 8, dane is 9.
    fn encode(max_length: usize, text: &str, pair: Option<&str>) -> (Vec<u32>, Vec<u32>) {
        let folder = backbone();
        let encoder = TextEncoder::from_folder(folder.path(), 64, 64, max_length).unwrap();
        let mut texts = encoder.encode(&[&row(text, pair)]).unwrap().0.texts;
        let encoded = texts.remove(0);
        (encoded.ids, encoded.type_ids)
    }

    #[test]
    fn texts_and_pairs_get_special_tokens_but_no_padding() {
        let (ids, type_ids) = encode(16, "Baba, danes xyz.", None);
        assert_eq!(ids, [2, 8, 7, 9, 5, 1, 6, 3]);
        assert_eq!(type_ids, [0; 8]);
        let (ids, type_ids) = encode(16, "baba", Some("dane dane"));
        assert_eq!(ids, [2, 8, 3, 9, 9, 3]);
        assert_eq!(type_ids, [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn the_longer_text_of_a_pair_is_truncated_first() {
        let (ids, _) = encode(7, "baba baba baba baba baba baba", Some("dane dane"));
        assert_eq!(ids, [2, 8, 8, 3, 9, 9, 3]);
    }

    #[test]
    fn a_text_that_was_cut_says_so() {
        let folder = backbone();
        let encoder = TextEncoder::from_folder(folder.path(), 64, 64, 6).unwrap();
        let rows = [
            row("baba dane baba dane", None),
            row("baba dane baba dane baba", None),
            row("baba dane", Some("dane dane")),
        ];
        let rows: Vec<&Row<Text>> = rows.iter().collect();
        let cut = encoder.encode(&rows).unwrap().0.texts;
        let cut: Vec<bool> = cut.iter().map(|text| text.cut).collect();
        assert_eq!(cut, [false, true, true]);
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let folder = backbone();
        let message = |max_length| {
            TextEncoder::from_folder(folder.path(), 64, 64, max_length)
                .unwrap_err()
                .to_string()
        };
        assert!(message(65).contains("65 tokens is more than the 64 positions"));
        assert!(message(4).contains("choose at least 5"));
        assert!(message(0).contains("choose at least 5"));
    }

    #[test]
    fn an_id_outside_the_vocabulary_is_refused() {
        let folder = backbone();
        let encoder = TextEncoder::from_folder(folder.path(), 9, 64, 16).unwrap();
        let error = encoder.encode(&[&row("baba", None), &row("dane", None)]);
        let message = error.unwrap_err().to_string();
        assert!(
            message.contains("tokenizer.json` produces the id 9 for `task/train.jsonl:1`"),
            "{message}"
        );
        assert!(message.contains("a vocabulary of 9"));
    }

    /// The library expects a string as the key, and panics.
    #[test]
    fn a_tokenizer_that_the_library_panics_at_is_refused() {
        let folder = backbone();
        let path = folder.path().join("tokenizer.json");
        let content = fs::read_to_string(&path).unwrap();
        let at = content.find("\"decoder\":").unwrap() + "\"decoder\":".len();
        let damaged = format!("{} {{3: 4}},\n\"rest\":{}", &content[..at], &content[at..]);
        fs::write(&path, damaged).unwrap();
        let message = TextEncoder::from_folder(folder.path(), 64, 64, 16)
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("tokenizer.json` cannot be used"),
            "{message}"
        );
    }

    #[test]
    fn a_missing_or_broken_tokenizer_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = || {
            TextEncoder::from_folder(folder.path(), 64, 64, 16)
                .unwrap_err()
                .to_string()
        };
        assert!(message().contains("tokenizer.json` cannot be used: No such file"));
        fs::write(folder.path().join("tokenizer.json"), "{\"version\"").unwrap();
        assert!(message().contains("tokenizer.json` cannot be used: EOF"));
    }
}
