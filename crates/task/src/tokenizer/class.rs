//! The tokenizer classes of transformers, and what each of them builds from a vocabulary.

use tokenizers::models::ModelWrapper;
use tokenizers::normalizers::{BertNormalizer, NormalizerWrapper};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::processors::PostProcessorWrapper;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::processors::roberta::RobertaProcessing;
use tokenizers::{EncodeInput, Tokenizer};

use super::settings::{Settings, SpecialToken};
use crate::TaskError;

/// A group of classes that read a vocabulary in the same way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// BERT's classes, whose normaliser and pre-tokenizer follow from the settings.
    WordPiece,
    /// MPNet's class, which puts RoBERTa's tokens around BERT's.
    MpnetWordPiece,
    /// RoBERTa's classes, whose pre-tokenizer follows from the settings and which have no normaliser.
    ByteLevel,
    /// XLM-RoBERTa's classes, whose pre-tokenizer follows from the settings.
    Unigram,
    /// The classes that use `tokenizer.json` as it is.
    AsFile,
}

/// The supported classes by their names.
const NAMES: [(&str, Class); 13] = [
    ("BertTokenizer", Class::WordPiece),
    ("DistilBertTokenizer", Class::WordPiece),
    ("ElectraTokenizer", Class::WordPiece),
    ("MPNetTokenizer", Class::MpnetWordPiece),
    ("RobertaTokenizer", Class::ByteLevel),
    ("XLMRobertaTokenizer", Class::Unigram),
    ("PreTrainedTokenizer", Class::AsFile),
    ("TokenizersBackend", Class::AsFile),
    ("GPT2Tokenizer", Class::AsFile),
    ("LlamaTokenizer", Class::AsFile),
    ("Qwen2Tokenizer", Class::AsFile),
    ("GemmaTokenizer", Class::AsFile),
    // Version 5 builds another normaliser, which differs in rare characters.
    ("DebertaV2Tokenizer", Class::AsFile),
];

impl Class {
    /// The class that `AutoTokenizer` selects: the one that is named, else that of the model.
    pub(super) fn of(settings: &Settings) -> Result<Self, TaskError> {
        let Some(name) = settings.class()? else {
            return Ok(match settings.model_type.as_deref() {
                Some("bert" | "distilbert" | "electra") => Self::WordPiece,
                Some("mpnet") => Self::MpnetWordPiece,
                Some("roberta") => Self::ByteLevel,
                Some("xlm-roberta") => Self::Unigram,
                _ => Self::AsFile,
            });
        };
        let known = NAMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, class)| *class).ok_or_else(|| {
            let names: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            settings.contradiction(format!(
                "the tokenizer class `{name}` is not supported; the supported ones are {}",
                names.join(", ")
            ))
        })
    }

    /// The special token of this kind if no file names one.
    pub(super) fn special_token(self, kind: SpecialToken) -> Option<String> {
        let [begin, end, unknown, separator, padding, class, mask] = match self {
            Self::AsFile => return None,
            Self::WordPiece => ["", "", "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"],
            Self::MpnetWordPiece => ["<s>", "</s>", "[UNK]", "</s>", "<pad>", "<s>", "<mask>"],
            Self::ByteLevel | Self::Unigram => {
                ["<s>", "</s>", "<unk>", "</s>", "<pad>", "<s>", "<mask>"]
            }
        };
        let token = match kind {
            SpecialToken::Begin => begin,
            SpecialToken::End => end,
            SpecialToken::Unknown => unknown,
            SpecialToken::Separator => separator,
            SpecialToken::Padding => padding,
            SpecialToken::Class => class,
            SpecialToken::Mask => mask,
        };
        (!token.is_empty()).then(|| token.to_owned())
    }

    /// Gives `tokenizer` the parts that its class builds from the settings.
    pub(super) fn rebuild(
        self,
        tokenizer: &mut Tokenizer,
        settings: &Settings,
    ) -> Result<(), TaskError> {
        let of_class = matches!(
            (self, tokenizer.get_model()),
            (
                Self::WordPiece | Self::MpnetWordPiece,
                ModelWrapper::WordPiece(_)
            ) | (Self::ByteLevel, ModelWrapper::BPE(_))
                | (Self::Unigram, ModelWrapper::Unigram(_))
                | (Self::AsFile, _)
        );
        if !of_class {
            return Err(settings.contradiction(format!(
                "the tokenizer's class builds {}, but the vocabulary is of another kind; let `tokenizer_config.json` name the class \
                 `PreTrainedTokenizerFast` if `tokenizer.json` alone is right",
                self.vocabulary()
            )));
        }
        let prefix = settings.switch("add_prefix_space")?;
        match self {
            Self::WordPiece | Self::MpnetWordPiece => word_piece(tokenizer, settings)?,
            Self::ByteLevel => byte_level(tokenizer, settings, prefix.unwrap_or(false))?,
            Self::Unigram => unigram(tokenizer, settings, prefix)?,
            Self::AsFile => {
                if let Some((prefix, of_file)) = prefix.zip(prefix_space(tokenizer))
                    && prefix != of_file
                {
                    return Err(settings.contradiction(format!(
                        "`add_prefix_space` is {prefix} here and {of_file} in `tokenizer.json`"
                    )));
                }
            }
        }
        Ok(())
    }

    fn vocabulary(self) -> &'static str {
        match self {
            Self::WordPiece | Self::MpnetWordPiece => "a WordPiece vocabulary",
            Self::ByteLevel => "byte-level BPE",
            Self::Unigram => "a unigram vocabulary",
            Self::AsFile => "any",
        }
    }

    /// Puts the special tokens of the class around texts and pairs.
    ///
    /// # Errors
    /// If `tokenizer.json` puts other tokens there. Then transformers 4 uses those of the file, and 5 those of the
    /// class.
    pub(super) fn frame(
        self,
        tokenizer: &mut Tokenizer,
        settings: &Settings,
    ) -> Result<(), TaskError> {
        let (begin, end) = match self {
            Self::WordPiece | Self::MpnetWordPiece | Self::ByteLevel => {
                (SpecialToken::Class, SpecialToken::Separator)
            }
            Self::Unigram => (SpecialToken::Begin, SpecialToken::End),
            Self::AsFile => return check_ends(tokenizer, settings),
        };
        let token = |kind: SpecialToken| {
            let named = settings.special_token(kind)?;
            let token = named
                .or_else(|| self.special_token(kind))
                .unwrap_or_default();
            match tokenizer.token_to_id(&token) {
                Some(id) => Ok((token, id)),
                None => Err(settings.contradiction(format!(
                    "`{}` is `{token}`, which the vocabulary lacks",
                    kind.key()
                ))),
            }
        };
        let (begin, end) = (token(begin)?, token(end)?);
        let names = format!("`{}` and `{}`", begin.0, end.0);
        let of_class: PostProcessorWrapper = match self {
            Self::WordPiece => BertProcessing::new(end, begin).into(),
            _ => RobertaProcessing::new(end, begin).into(),
        };
        let framed = |tokenizer: &Tokenizer| -> Result<Vec<(u32, u32)>, TaskError> {
            let mut tokens = Vec::new();
            for empty in [EncodeInput::from(""), ("", "").into()] {
                let encoding = tokenizer
                    .encode_fast(empty, true)
                    .map_err(|error| settings.contradiction(error.to_string()))?;
                let types = encoding.get_type_ids().iter().copied();
                tokens.extend(encoding.get_ids().iter().copied().zip(types));
            }
            Ok(tokens)
        };
        let of_file = match tokenizer.get_post_processor() {
            Some(_) => Some(framed(tokenizer)?),
            None => None,
        };
        tokenizer.with_post_processor(Some(of_class));
        if of_file.is_some_and(|of_file| framed(tokenizer).ok() != Some(of_file)) {
            return Err(settings.contradiction(format!(
                "its class puts {names} around texts and pairs, but `tokenizer.json` does so differently"
            )));
        }
        Ok(())
    }
}

/// Checks that `tokenizer.json` puts tokens around texts where `add_bos_token` and `add_eos_token` say so. Otherwise only some
/// versions of transformers follow them.
fn check_ends(tokenizer: &Tokenizer, settings: &Settings) -> Result<(), TaskError> {
    let framed = tokenizer
        .encode_fast("", true)
        .map_err(|error| settings.contradiction(error.to_string()))?;
    let ids = framed.get_ids();
    let ends = [
        ("add_bos_token", SpecialToken::Begin, ids.first()),
        ("add_eos_token", SpecialToken::End, ids.last()),
    ];
    for (key, kind, of_file) in ends {
        let Some(wanted) = settings.switch(key)? else {
            continue;
        };
        let token = settings.special_token(kind)?.unwrap_or_default();
        let id = tokenizer.token_to_id(&token);
        let added = id.is_some() && of_file.copied() == id;
        if added != wanted {
            return Err(settings.contradiction(format!(
                "`{key}` is {wanted} here, but `tokenizer.json` {} `{token}`",
                if added { "adds" } else { "does not add" }
            )));
        }
    }
    Ok(())
}

fn word_piece(tokenizer: &mut Tokenizer, settings: &Settings) -> Result<(), TaskError> {
    let switch = |key| settings.switch(key);
    let lower = switch("do_lower_case")?;
    let normalizer = BertNormalizer::new(
        true,
        switch("tokenize_chinese_chars")?.unwrap_or(true),
        switch("strip_accents")?,
        lower.unwrap_or(true),
    );
    if let Some(NormalizerWrapper::BertNormalizer(of_file)) = tokenizer.get_normalizer()
        && lower.is_none()
        && !of_file.lowercase
    {
        tracing::warn!(
            "the tokenizer lowercases texts, because `tokenizer_config.json` does not set `\"do_lower_case\": false`, although \
             `tokenizer.json` does not lowercase them; transformers reads these files in the same way"
        );
    }
    tokenizer
        .with_normalizer(Some(normalizer))
        .map_err(|error| settings.contradiction(error.to_string()))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    Ok(())
}

fn byte_level(
    tokenizer: &mut Tokenizer,
    settings: &Settings,
    prefix: bool,
) -> Result<(), TaskError> {
    if tokenizer.get_normalizer().is_some() {
        return Err(settings.contradiction(
            "RoBERTa's class has no normaliser, but `tokenizer.json` has one; name the class `PreTrainedTokenizerFast` if that is \
             right",
        ));
    }
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(prefix, true, true)));
    Ok(())
}

/// Checks that `tokenizer.json` contains what XLM-RoBERTa's class builds. If not, the file is refused because
/// transformers 4 uses it as it is.
fn unigram(
    tokenizer: &mut Tokenizer,
    settings: &Settings,
    prefix: Option<bool>,
) -> Result<(), TaskError> {
    let usual = match tokenizer.get_pre_tokenizer() {
        Some(PreTokenizerWrapper::Sequence(steps)) => matches!(
            steps.as_ref(),
            [
                PreTokenizerWrapper::WhitespaceSplit(_),
                PreTokenizerWrapper::Metaspace(_)
            ]
        ),
        _ => false,
    };
    let normalized = matches!(
        tokenizer.get_normalizer(),
        None | Some(NormalizerWrapper::Precompiled(_))
    );
    if usual && normalized && prefix.unwrap_or(true) {
        return Ok(());
    }
    Err(settings.contradiction(
        "XLM-RoBERTa's class splits at white space and puts a space before the text, but `tokenizer.json` or `add_prefix_space` says \
         otherwise; name the class `PreTrainedTokenizerFast` if `tokenizer.json` alone is right",
    ))
}

/// Whether a byte-level tokenizer puts a space before the text. `None` for other tokenizers.
fn prefix_space(tokenizer: &Tokenizer) -> Option<bool> {
    fn of(step: &PreTokenizerWrapper) -> Option<bool> {
        match step {
            PreTokenizerWrapper::ByteLevel(bytes) => Some(bytes.add_prefix_space),
            PreTokenizerWrapper::Sequence(steps) => steps.as_ref().iter().find_map(of),
            _ => None,
        }
    }
    of(tokenizer.get_pre_tokenizer()?)
}
