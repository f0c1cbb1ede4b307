//! The made-up words of the tiny backbone's vocabulary, in which the tiny text tasks are written.

use serde_json::{Value, json};

/// The tokens at the start of every vocabulary, in the order of their ids. The last three are a suffix and punctuation.
const FIRST_TOKENS: [&str; 8] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##s", ".", ",",
];

const CONSONANTS: &[u8] = b"bdfgklmnpr";
const VOWELS: &[u8] = b"aeiou";
const SYLLABLES: usize = 50;

/// The number of whole words in a vocabulary of this size.
pub(crate) fn word_count(vocabulary: usize) -> usize {
    assert!(
        (FIRST_TOKENS.len() + 8..=FIRST_TOKENS.len() + SYLLABLES * SYLLABLES).contains(&vocabulary),
        "a vocabulary of {vocabulary} is outside 16..=2508"
    );
    vocabulary - FIRST_TOKENS.len()
}

/// Word number `index`, which has two syllables. All words differ.
pub(crate) fn word(index: usize) -> String {
    // The second syllable advances by one each time all first syllables are used up, so pairs never repeat.
    let second = (index / SYLLABLES + 17 * index) % SYLLABLES;
    let mut word = String::new();
    for syllable in [index % SYLLABLES, second] {
        word.push(char::from(CONSONANTS[syllable % CONSONANTS.len()]));
        word.push(char::from(VOWELS[syllable / CONSONANTS.len()]));
    }
    word
}

/// The `tokenizer.json`: WordPiece with BERT's normaliser, pre-tokeniser and template. It asks for padding to 128
/// tokens like the tokenizers of sentence models, which readers have to switch off.
pub(crate) fn tokenizer(vocabulary: usize) -> Value {
    let words = (0..word_count(vocabulary)).map(word);
    let tokens = FIRST_TOKENS
        .iter()
        .map(|&token| token.to_owned())
        .chain(words);
    let entries: serde_json::Map<String, Value> = tokens
        .enumerate()
        .map(|(id, token)| (token, json!(id)))
        .collect();
    let added: Vec<Value> = FIRST_TOKENS[..5]
        .iter()
        .enumerate()
        .map(|(id, content)| {
            json!({
                "id": id, "content": content, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false,
            })
        })
        .collect();
    let classify = json!({ "SpecialToken": { "id": "[CLS]", "type_id": 0 } });
    let separate = |part: u32| json!({ "SpecialToken": { "id": "[SEP]", "type_id": part } });
    let sequence = |name: &str, part: u32| json!({ "Sequence": { "id": name, "type_id": part } });
    json!({
        "version": "1.0",
        "truncation": { "max_length": 128, "strategy": "LongestFirst", "stride": 0 },
        "padding": {
            "strategy": { "Fixed": 128 }, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]",
        },
        "added_tokens": added,
        "normalizer": {
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true,
        },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [classify, sequence("A", 0), separate(0)],
            "pair": [classify, sequence("A", 0), separate(0), sequence("B", 1), separate(1)],
            "special_tokens": {
                "[CLS]": { "id": "[CLS]", "ids": [2], "tokens": ["[CLS]"] },
                "[SEP]": { "id": "[SEP]", "ids": [3], "tokens": ["[SEP]"] },
            },
        },
        "decoder": { "type": "WordPiece", "prefix": "##", "cleanup": true },
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": entries,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_appears_twice() {
        let mut words: Vec<String> = (0..SYLLABLES * SYLLABLES).map(word).collect();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), 2500);
    }
}
