"""Pretrains a small GPT-2 on plain texts, to try language modelling where no pretrained decoder is at hand.

    python small_decoder.py OUT TEXTS.jsonl...

Each line of TEXTS has a `text`, a `text_pair` or a list of `tokens`. OUT becomes a Hugging Face folder: byte-level BPE of 4,096
tokens, 4 blocks of width 192, contexts of 128 tokens. Needs torch, transformers and tokenizers; some 20 minutes on two cores.
"""

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

VOCABULARY = 4096
CONTEXT = 128
BATCH = 32
STEPS = 1500
LEARNING_RATE = 2e-3
END = "<|endoftext|>"


def texts(paths: list[str]) -> list[str]:
    found = []
    for path in paths:
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            each = [row.get("text"), row.get("text_pair"), " ".join(row.get("tokens", []))]
            found += [text for text in each if text]
    return found


def tokenizer_of(corpus: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, special_tokens=[END], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END)


def main(out: str, paths: list[str]) -> None:
    torch.manual_seed(0)
    corpus = texts(paths)
    tokenizer = tokenizer_of(corpus)
    end = tokenizer.eos_token_id
    order = torch.randperm(len(corpus)).tolist()
    stream = [token for index in order for token in [end, *tokenizer(corpus[index])["input_ids"]]]
    rows = torch.tensor(stream[: len(stream) // CONTEXT * CONTEXT]).view(-1, CONTEXT)
    held_out, rows = rows[: len(rows) // 50], rows[len(rows) // 50 :]
    print(f"{len(corpus):,} texts, {rows.numel():,} tokens to train on", flush=True)
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(tokenizer),
            n_positions=CONTEXT,
            n_embd=192,
            n_layer=4,
            n_head=6,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            bos_token_id=end,
            eos_token_id=end,
        )
    )
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = get_cosine_schedule_with_warmup(optimiser, 100, STEPS)
    for step in range(STEPS):
        batch = rows[torch.randint(len(rows), (BATCH,))]
        loss = model(input_ids=batch, labels=batch).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if (step + 1) % 100 == 0:
            with torch.no_grad():
                unseen = model(input_ids=held_out[:64], labels=held_out[:64]).loss.item()
            print(f"step {step + 1}: loss {loss.item():.3f}, unseen {unseen:.3f}", flush=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
