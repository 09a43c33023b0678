"""The tokenizers of the golden models: trained on a page of Alice, in the four manners that checkpoints come in.

Each make_* function writes the tokenizer's files into a folder and returns what to take expected ids from.
"""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, GPT2TokenizerFast, PreTrainedTokenizerFast

# Alice's Adventures in Wonderland (Lewis Carroll, 1865; public domain), then a line of digits, accents and marks.
CORPUS = """\
Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do: once or twice
she had peeped into the book her sister was reading, but it had no pictures or conversations in it, "and what is the
use of a book," thought Alice "without pictures or conversations?"
So she was considering in her own mind (as well as she could, for the hot day made her feel very sleepy and stupid),
whether the pleasure of making a daisy-chain would be worth the trouble of getting up and picking the daisies, when
suddenly a White Rabbit with pink eyes ran close by her.
There was nothing so very remarkable in that; nor did Alice think it so very much out of the way to hear the Rabbit
say to itself, "Oh dear! Oh dear! I shall be late!" (when she thought it over afterwards, it occurred to her that she
ought to have wondered at this, but at the time it all seemed quite natural); but when the Rabbit actually took a watch
out of its waistcoat-pocket, and looked at it, and then hurried on, Alice started to her feet, for it flashed across
her mind that she had never before seen a rabbit with either a waistcoat-pocket, or a watch to take out of it, and
burning with curiosity, she ran across the field after it, and fortunately was just in time to see it pop down a large
rabbit-hole under the hedge.
It's 1865; don't we'll they've I'm he'd you're 0123456789 naïve café.
"""

# What every tokenizer is asked to encode.
TEXTS = [
    "",
    "Alice",
    "Alice was beginning to get very tired.",
    " leading space",
    "trailing space ",
    "  two  double  spaces  ",
    " ",
    "   ",
    "\n",
    "one\ntwo\n\nthree\n\n\n",
    "  \n  indented\r\n\tand tabbed\t\t",
    "0 12 345 6789 1234567890",
    "3.14159e-10, $1,000.00 (50%)",
    "I'm sure it's what they've said; he'd, we'll, you're, don't",
    "IT'S WE'LL they'RE it'ſ 'tis ''s",
    "naïve café, Ærøskøbing, Füße, İstanbul",
    "e\u0301 n\u0303 o\u0308\u0323 combining, \ufb01 ligature, ① ½ ² Ⅷ ٣٤",
    "Привет, мир! Γειά σου",
    "日本語のテキスト。中文分词，한국어",
    "हिन्दी ไทย العربية שלום",
    "🙂 👩‍👩‍👧‍👦 🇫🇷 👍🏽",
    "no\u00a0break, ideographic\u3000space, zero\u200bwidth, next\u0085line, line\u2028separator",
    "a▁b ▁▁c",
    "<0x41> <0x0A>",
    "a </s> b",
    "<s>Alice</s><unk> </s>",
    "<|begin_of_text|>Alice<|end_of_text|> <|endoftext|>x",
    "<s",
    "!!!???...---===***((([[[{{{",
    "snake_case camelCase __init__(self, x=0): # code\n    return x**2;\n",
    "waistcoat-pocket wonderland Wonderland",
    "supercalifragilistic",
    "a" * 50,
    "supercalifragilisticexpialidocious" * 4,
    "the the\tthe  the   the    the",
    "nul\u0000byte and \u007f\u0001 controls",
    "\ufeffbyte order mark, \ufffd replacement, \U0010ffff last",
]

# What every tokenizer is asked to decode, a token a byte: UTF-8 cut short, alone and after valid text; impossible
# bytes; an encoded surrogate; an overlong form; bytes that begin with a space.
BYTES = [
    b"\xc3\xa9",
    b"\xf0\x9f\x99",
    b"A\xf0\x9f\x99\x82\xe2\x82",
    b"\xc3\xa9\xff\xc3\xa9",
    b"\xed\xa0\x80",
    b"\xc0\x80x",
    b"  \xe2\x96\x81\n",
    b"\x80\xf0\x9fz",
]

LLAMA3_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True)
class GoldenTokenizer:
    """What expected ids come from. `encode` adds special tokens as the library does by default; `decode` skips them."""

    vocab_size: int
    bos: int
    eos: int
    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    byte_ids: list[int]  # the token of each single byte


def train_merges(pre_tokenizer, alphabet: list[str], merges: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Trains a BPE on CORPUS; returns its tokens (alphabet, then merged pieces, by id) and its merges in order."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizer
    trained.train_from_iterator(
        CORPUS.splitlines(),
        trainers.BpeTrainer(vocab_size=len(alphabet) + merges, initial_alphabet=alphabet, show_progress=False),
    )
    model = json.loads(trained.to_str())["model"]
    assert len(model["merges"]) == merges
    return sorted(model["vocab"], key=model["vocab"].get), [tuple(pair) for pair in model["merges"]]


def byte_tokens() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def byte_letters() -> list[str]:
    """The letters that byte-level BPE writes for bytes 0 to 255: printable Latin-1 as itself, others from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte if byte in printable else 0x100 + others.index(byte)) for byte in range(256)]
    assert set(letters) == set(pre_tokenizers.ByteLevel.alphabet())
    return letters


def numbered(tokens: list[str]) -> dict[str, int]:
    assert len(set(tokens)) == len(tokens)
    return {token: i for i, token in enumerate(tokens)}


def special(token: str) -> AddedToken:
    return AddedToken(token, special=True, normalized=False)


def open_saved(folder: Path, bos: str, eos: str) -> GoldenTokenizer:
    """The tokenizer.json in `folder` as the tokenizers library reads it, checked against transformers' own loading."""
    raw = Tokenizer.from_file(str(folder / "tokenizer.json"))
    loaded = AutoTokenizer.from_pretrained(folder)
    for text in TEXTS:
        ids = raw.encode(text).ids
        assert ids == loaded(text)["input_ids"], text
        assert raw.decode(ids) == loaded.decode(ids, skip_special_tokens=True), text
    vocab = raw.get_vocab()
    return GoldenTokenizer(
        len(vocab),
        vocab[bos],
        vocab[eos],
        lambda text: raw.encode(text).ids,
        raw.decode,
        [vocab[token] for token in (byte_tokens() if "<0x00>" in vocab else byte_letters())],
    )


def make_llama2_tokenizer(folder: Path) -> GoldenTokenizer:
    """tokenizer.json in the manner of Llama 2: BPE over characters with byte fallback, spaces as U+2581."""
    alphabet = sorted(set(CORPUS.replace("\n", "").replace(" ", "▁")))
    tokens, merges = train_merges(pre_tokenizers.Metaspace(prepend_scheme="always", split=True), alphabet, 56)
    # Sentencepiece's order: control tokens, bytes, merged pieces, single characters.
    pieces = [t for t in tokens if len(t) > 1] + [t for t in tokens if len(t) == 1]
    vocab = numbered(["<unk>", "<s>", "</s>"] + byte_tokens() + pieces)
    tokenizer = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", vocab["<s>"])]
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([special("<unk>"), special("<s>"), special("</s>")])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return open_saved(folder, "<s>", "</s>")


def make_llama3_tokenizer(folder: Path) -> GoldenTokenizer:
    """tokenizer.json in the manner of Llama 3: byte-level BPE behind a regex; whole words in the vocabulary win."""
    split = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=False),
        ]
    )
    tokens, merges = train_merges(split, sorted(byte_letters()), 90)
    # No merges lead to these: only ignore_merges finds them, and only as whole words.
    tokens += ["Ġwonderland", "ĠWonderland", "supercalifragilistic", "ĠÐ¼Ð¸ÑĢ"]
    vocab = numbered(tokens + ["<|begin_of_text|>", "<|end_of_text|>"])
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=True))
    tokenizer.pre_tokenizer = split
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(add_prefix_space=True, trim_offsets=False, use_regex=True),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", vocab["<|begin_of_text|>"])],
            ),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([special("<|begin_of_text|>"), special("<|end_of_text|>")])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>"
    ).save_pretrained(folder)
    return open_saved(folder, "<|begin_of_text|>", "<|end_of_text|>")


def make_gpt2_tokenizer(folder: Path) -> GoldenTokenizer:
    """tokenizer.json as GPT2TokenizerFast saves it, with the merges as "a b" strings as older files have them."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens, merges = train_merges(byte_level, sorted(byte_letters()), 63)
    vocab = numbered(tokens + ["<|endoftext|>"])
    GPT2TokenizerFast(vocab=vocab, merges=merges).save_pretrained(folder)
    path = folder / "tokenizer.json"
    saved = json.loads(path.read_text())
    saved["model"]["merges"] = [" ".join(pair) for pair in saved["model"]["merges"]]
    path.write_text(json.dumps(saved, indent=2, ensure_ascii=False) + "\n")
    return open_saved(folder, "<|endoftext|>", "<|endoftext|>")


def make_sentencepiece(folder: Path) -> GoldenTokenizer:
    """tokenizer.model by the sentencepiece library with Llama's training options, and no tokenizer.json."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=368,
        byte_fallback=True,
        split_digits=True,
        add_dummy_prefix=True,
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return GoldenTokenizer(
        processor.get_piece_size(),
        processor.bos_id(),
        processor.eos_id(),
        lambda text: processor.encode(text, add_bos=True),
        processor.decode,
        [processor.piece_to_id(token) for token in byte_tokens()],
    )
