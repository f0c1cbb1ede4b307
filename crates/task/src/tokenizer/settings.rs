//! The settings in the files next to a tokenizer's vocabulary, key by key.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::{AddedToken, TruncationDirection};

use crate::TaskError;

const CONFIG: &str = "config.json";
const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";
const ADDED_TOKENS: &str = "added_tokens.json";
const SENTENCE_BERT: &str = "sentence_bert_config.json";

/// A token with a special role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpecialToken {
    Begin,
    End,
    Unknown,
    Separator,
    Padding,
    Class,
    Mask,
}

impl SpecialToken {
    pub(super) const ALL: [Self; 7] = [
        Self::Begin,
        Self::End,
        Self::Unknown,
        Self::Separator,
        Self::Padding,
        Self::Class,
        Self::Mask,
    ];

    /// The key of the token in the files.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Begin => "bos_token",
            Self::End => "eos_token",
            Self::Unknown => "unk_token",
            Self::Separator => "sep_token",
            Self::Padding => "pad_token",
            Self::Class => "cls_token",
            Self::Mask => "mask_token",
        }
    }
}

/// The contents of the files. A file that does not exist is empty.
pub(super) struct Settings {
    folder: PathBuf,
    tokenizer: Map<String, Value>,
    special: Map<String, Value>,
    added: Map<String, Value>,
    sentence_bert: Map<String, Value>,
    /// The model type in `config.json`.
    pub(super) model_type: Option<String>,
    /// The id of the token for the end of a text in `config.json`, the first one of several.
    pub(super) end_of_text: Option<u32>,
}

impl Settings {
    pub(super) fn read(folder: &Path) -> Result<Self, TaskError> {
        let read = |name: &str| object(&folder.join(name));
        let config = read(CONFIG)?;
        let end = config.get("eos_token_id");
        let end = end.and_then(|end| end.as_u64().or_else(|| end.get(0)?.as_u64()));
        Ok(Self {
            folder: folder.to_owned(),
            tokenizer: read(TOKENIZER_CONFIG)?,
            special: read(SPECIAL_TOKENS)?,
            added: read(ADDED_TOKENS)?,
            sentence_bert: read(SENTENCE_BERT)?,
            end_of_text: end.and_then(|end| u32::try_from(end).ok()),
            model_type: config
                .get("model_type")
                .and_then(Value::as_str)
                .map(str::to_owned),
        })
    }

    /// The names of the existing files.
    pub(super) fn files(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (TOKENIZER_CONFIG, &self.tokenizer),
            (SPECIAL_TOKENS, &self.special),
            (ADDED_TOKENS, &self.added),
            (SENTENCE_BERT, &self.sentence_bert),
        ];
        let there = all.into_iter().filter(|(_, content)| !content.is_empty());
        there.map(|(name, _)| name)
    }

    /// The error for something in `tokenizer_config.json` that cannot be honoured, or in `config.json` if that alone
    /// names the class.
    pub(super) fn contradiction(&self, message: impl Into<String>) -> TaskError {
        let name = match self.tokenizer.is_empty() {
            true => CONFIG,
            false => TOKENIZER_CONFIG,
        };
        self.wrong(name, message)
    }

    fn wrong(&self, name: &str, message: impl Into<String>) -> TaskError {
        TaskError::TokenizerSetting {
            path: self.folder.join(name),
            message: message.into(),
        }
    }

    /// The name of the class, without `Fast`.
    pub(super) fn class(&self) -> Result<Option<&str>, TaskError> {
        match present(&self.tokenizer, "tokenizer_class") {
            None => Ok(None),
            Some(Value::String(name)) => Ok(Some(name.strip_suffix("Fast").unwrap_or(name))),
            Some(other) => {
                Err(self.contradiction(format!("`tokenizer_class` must be a name, not `{other}`")))
            }
        }
    }

    /// A setting of `tokenizer_config.json` that is true, false or missing.
    pub(super) fn switch(&self, key: &str) -> Result<Option<bool>, TaskError> {
        switch(&self.tokenizer, key).map_err(|message| self.contradiction(message))
    }

    pub(super) fn truncation(&self) -> Result<TruncationDirection, TaskError> {
        match present(&self.tokenizer, "truncation_side").map(Value::as_str) {
            None | Some(Some("right")) => Ok(TruncationDirection::Right),
            Some(Some("left")) => Ok(TruncationDirection::Left),
            Some(_) => Err(self.contradiction("`truncation_side` must be left or right")),
        }
    }

    /// Whether a SentenceTransformer converts texts to lower case before its tokenizer sees them.
    pub(super) fn lower_case(&self) -> Result<bool, TaskError> {
        let lower = switch(&self.sentence_bert, "do_lower_case");
        let lower = lower.map_err(|message| self.wrong(SENTENCE_BERT, message))?;
        Ok(lower.unwrap_or(false))
    }

    /// The token that the files name for a role.
    pub(super) fn special_token(&self, kind: SpecialToken) -> Result<Option<String>, TaskError> {
        let files = [
            (TOKENIZER_CONFIG, &self.tokenizer),
            (SPECIAL_TOKENS, &self.special),
        ];
        for (name, file) in files {
            if let Some(value) = present(file, kind.key()) {
                let token = token(value, true).map_err(|message| self.wrong(name, message))?;
                return Ok(Some(token.content));
            }
        }
        Ok(None)
    }

    /// The tokens that are never split, with the ids that they should have, in the order in which transformers adds
    /// them.
    pub(super) fn added_tokens(&self) -> Result<Vec<(Option<u32>, AddedToken)>, TaskError> {
        let mut numbered = Vec::new();
        if let Some(decoder) = present(&self.tokenizer, "added_tokens_decoder") {
            let entries = decoder.as_object().ok_or_else(|| {
                self.contradiction(
                    "`added_tokens_decoder` must be an object of tokens by their ids",
                )
            })?;
            for (id, value) in entries {
                let id: u32 = id.parse().map_err(|_| {
                    self.contradiction(format!("`added_tokens_decoder` has `{id}` as an id"))
                })?;
                let token = token(value, false).map_err(|message| self.contradiction(message))?;
                numbered.push((id, token));
            }
        }
        for (content, id) in &self.added {
            let id = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = id.ok_or_else(|| {
                self.wrong(
                    ADDED_TOKENS,
                    format!("the id of `{content}` is not a number"),
                )
            })?;
            let known = |(_, token): &(u32, AddedToken)| token.content == *content;
            if !numbered.iter().any(known) {
                numbered.push((id, AddedToken::from(content.clone(), false)));
            }
        }
        numbered.sort_by_key(|(id, _)| *id);
        let mut tokens: Vec<(Option<u32>, AddedToken)> = numbered
            .into_iter()
            .map(|(id, token)| (Some(id), token))
            .collect();
        let lists = [
            (TOKENIZER_CONFIG, &self.tokenizer),
            (SPECIAL_TOKENS, &self.special),
        ];
        for (name, file) in lists {
            for key in ["additional_special_tokens", "extra_special_tokens"] {
                for value in listed(file, key) {
                    let token = token(value, true).map_err(|message| self.wrong(name, message))?;
                    let known = |(_, one): &(_, AddedToken)| one.content == token.content;
                    if !tokens.iter().any(known) {
                        tokens.push((None, token));
                    }
                }
            }
        }
        Ok(tokens)
    }
}

/// The JSON object in a file, which is empty if the file does not exist.
fn object(path: &Path) -> Result<Map<String, Value>, TaskError> {
    let wrong = |message: String| TaskError::TokenizerSetting {
        path: path.to_owned(),
        message,
    };
    match std::fs::read(path) {
        Ok(content) => serde_json::from_slice(&content)
            .map_err(|error| wrong(format!("it is not a JSON object: {error}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Map::new()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// The value of a key, where null means absent.
fn present<'a>(file: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    file.get(key).filter(|value| !value.is_null())
}

fn switch(file: &Map<String, Value>, key: &str) -> Result<Option<bool>, String> {
    match present(file, key) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(format!("`{key}` must be true or false, not `{other}`")),
    }
}

/// The values of a list, or of an object with names.
fn listed<'a>(file: &'a Map<String, Value>, key: &str) -> Vec<&'a Value> {
    match file.get(key) {
        Some(Value::Array(values)) => values.iter().collect(),
        Some(Value::Object(values)) => values.values().collect(),
        _ => Vec::new(),
    }
}

/// A token written as a text, or as an object with its content and flags.
fn token(value: &Value, special: bool) -> Result<AddedToken, String> {
    let object = match value {
        Value::String(content) => return Ok(AddedToken::from(content.clone(), special)),
        Value::Object(object) => object,
        other => return Err(format!("`{other}` is not a token")),
    };
    let Some(Value::String(content)) = object.get("content") else {
        return Err(format!("the token `{value}` has no `content`"));
    };
    let special = switch(object, "special")?.unwrap_or(special);
    let flag = |key| Ok::<_, String>(switch(object, key)?.unwrap_or(false));
    Ok(AddedToken {
        content: content.clone(),
        single_word: flag("single_word")?,
        lstrip: flag("lstrip")?,
        rstrip: flag("rstrip")?,
        normalized: switch(object, "normalized")?.unwrap_or(!special),
        special,
    })
}
