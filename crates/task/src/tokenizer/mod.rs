//! The tokenizer of a backbone folder, as read by `AutoTokenizer` of transformers 5 and by `SentenceTransformer`.
//!
//! `tokenizer.json` is not the only input. `tokenizer_config.json` names a class. The class builds its normaliser,
//! pre-tokenizer and special tokens from the settings next to its name, whatever `tokenizer.json` contains, and takes
//! only the vocabulary from it. Files that transformers 4 and 5 read differently are refused.

mod class;
mod settings;

use std::path::{Path, PathBuf};

use tokenizers::models::bpe::BPE;
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::{Lowercase, NormalizerWrapper, Sequence};
use tokenizers::{AddedToken, Tokenizer, TruncationDirection};

use crate::TaskError;
use class::Class;
use settings::{Settings, SpecialToken};

/// The tokenizer that the files of a folder describe.
pub(crate) struct FolderTokenizer {
    pub(crate) tokenizer: Tokenizer,
    /// The file with the vocabulary.
    pub(crate) path: PathBuf,
    /// The side on which longer texts are cut.
    pub(crate) truncation: TruncationDirection,
    /// The id of the token for the end of a text, if the files name one.
    pub(crate) end_of_text: Option<u32>,
    /// The names of the files that were used, the vocabulary's first.
    pub(crate) files: Vec<&'static str>,
}

/// Reads the tokenizer of a backbone.
///
/// # Errors
/// If there is none, if a file is broken, or if the files contradict each other.
pub(crate) fn read(folder: &Path) -> Result<FolderTokenizer, TaskError> {
    let settings = Settings::read(folder)?;
    let class = Class::of(&settings)?;
    let (mut tokenizer, vocabulary) = vocabulary(folder, class)?;
    class.rebuild(&mut tokenizer, &settings)?;
    if settings.lower_case()? {
        lower_case(&mut tokenizer).map_err(|error| settings.contradiction(error.to_string()))?;
    }
    add_tokens(&mut tokenizer, class, &settings)?;
    class.frame(&mut tokenizer, &settings)?;
    let end = settings.special_token(SpecialToken::End)?;
    let end = end.or_else(|| class.special_token(SpecialToken::End));
    let end_of_text = end
        .and_then(|end| tokenizer.token_to_id(&end))
        .or(settings.end_of_text);
    let mut files = vec![vocabulary];
    files.extend(settings.files());
    Ok(FolderTokenizer {
        tokenizer,
        path: folder.join(vocabulary),
        truncation: settings.truncation()?,
        end_of_text,
        files,
    })
}

const TOKENIZER: &str = "tokenizer.json";

/// A tokenizer with the folder's vocabulary, and the name of its file. If there is no `tokenizer.json`, it is built
/// from the older files, if the class supports that.
fn vocabulary(folder: &Path, class: Class) -> Result<(Tokenizer, &'static str), TaskError> {
    let path = folder.join(TOKENIZER);
    let there = |name: &str| folder.join(name).is_file();
    let text = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let broken = |name: &str, error: tokenizers::Error| TaskError::InvalidTokenizer {
        path: folder.join(name),
        message: error.to_string(),
    };
    if !there(TOKENIZER)
        && matches!(class, Class::WordPiece | Class::MpnetWordPiece)
        && there("vocab.txt")
    {
        let model = WordPiece::from_file(&text("vocab.txt")).build();
        let model = model.map_err(|error| broken("vocab.txt", error))?;
        return Ok((Tokenizer::new(model), "vocab.txt"));
    }
    if !there(TOKENIZER) && class == Class::ByteLevel && there("vocab.json") && there("merges.txt")
    {
        let model = BPE::from_file(&text("vocab.json"), &text("merges.txt")).build();
        let model = model.map_err(|error| broken("vocab.json", error))?;
        return Ok((Tokenizer::new(model), "vocab.json"));
    }
    let bytes = std::fs::read(&path).map_err(|error| broken(TOKENIZER, Box::new(error)))?;
    let tokenizer = Tokenizer::from_bytes(&bytes).map_err(|error| broken(TOKENIZER, error))?;
    Ok((tokenizer, TOKENIZER))
}

/// Applies `do_lower_case` of `sentence_bert_config.json`: converts to lower case before all else, unless that is
/// already done.
fn lower_case(tokenizer: &mut Tokenizer) -> tokenizers::Result<()> {
    fn lowers(normalizer: &NormalizerWrapper) -> bool {
        match normalizer {
            NormalizerWrapper::Lowercase(_) => true,
            NormalizerWrapper::BertNormalizer(bert) => bert.lowercase,
            NormalizerWrapper::Sequence(all) => all.as_ref().iter().any(lowers),
            _ => false,
        }
    }
    let before = tokenizer.get_normalizer().cloned();
    if !before.as_ref().is_some_and(lowers) {
        let all = [Some(Lowercase.into()), before].into_iter().flatten();
        tokenizer.with_normalizer(Some(Sequence::new(all.collect())))?;
    }
    Ok(())
}

/// Adds the tokens that are never split: those of the settings, with their flags, and the special tokens in the
/// vocabulary.
fn add_tokens(
    tokenizer: &mut Tokenizer,
    class: Class,
    settings: &Settings,
) -> Result<(), TaskError> {
    for (id, token) in settings.added_tokens()? {
        let content = token.content.clone();
        let failed = |error: tokenizers::Error| settings.contradiction(error.to_string());
        tokenizer.add_tokens([token]).map_err(failed)?;
        let found = tokenizer.token_to_id(&content);
        if found != id && id.is_some() {
            return Err(settings.contradiction(format!(
                "its token `{content}` has the id {}, but {} in the vocabulary",
                id.unwrap_or_default(),
                found.unwrap_or_default()
            )));
        }
    }
    for kind in SpecialToken::ALL {
        let named = settings.special_token(kind)?;
        let Some(content) = named.or_else(|| class.special_token(kind)) else {
            continue;
        };
        let added = tokenizer.get_added_tokens_decoder();
        let known = added.values().any(|token| token.content == content);
        if !known && tokenizer.token_to_id(&content).is_some() {
            let token = AddedToken::from(content, true);
            let failed = |error: tokenizers::Error| settings.contradiction(error.to_string());
            tokenizer.add_special_tokens([token]).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
