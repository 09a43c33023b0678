#!/usr/bin/env python3
"""Makes what Hugging Face's tokenizers library says, for heed's reader of tokenizer.json to be held against.

usage: make_library_tokenizers.py parts OUT.json             small tokenizers, at least one for each part that heed reads
       make_library_tokenizers.py real FOLDER OUT.json       the ones in FOLDER/NAME/tokenizer.json, ids only
       make_library_tokenizers.py fuzz SEED COUNT OUT.json   COUNT random tokenizers, each with random texts

tests/golden/library_tokenizers/ keeps the first two; of the third HEED_LIBRARY_TOKENIZERS=OUT.json build/tests/unit_convert
-tc='*library*parts*' compares any. Special tokens that a text spells stay text (encode_special_tokens); the real tokenizers
are asked a second time without that, when they become tokens.
"""

import json
import random
import sys
from pathlib import Path

sys.dont_write_bytecode = True

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers  # noqa: F401  (versions are checked by use)

# What the small tokenizers are asked.
SHORT = [
    "",
    " ",
    "  Two  spaces\there\r\n",
    "Hello, wORLD! don't 12 345",
    "e\u0301 \u00c5 \ufb01 \u2460\u00bd \u1112\u1161\u11ab",
    "\u0130I\u00df \u00c9t\u00e9 n\u0303o\u0308\u0323",
    "\u732bcat\u3002\u540d\u524d \uff21\uff11",
    "a\u0000b\u00ad\u200b\ufeffc\ufffd\u0085d\u00a0e",
    "\u0e44\u0e17\u0e22 \u0939\u093f\u0928\u094d \u0639\u064e\u0631",
    "\U0001f468\u200d\U0001f469 \u2581a\u2581\u2581b x--y__z...",
    "<mask>a<mask> b <tag>c a<tag> d <Tag> <tag>tag <s>x</s>",
    "aab ab abab\nbaa the  other theother",
]

# What real ones are asked, beside SHORT.
AWKWARD = [
    "The quick brown fox jumps over the lazy dog.",
    "  leading and trailing  ",
    "a\r\nb\r\n\r\nc\n\n\n\nd\r\re",
    "tabs\t\tand\t spaces \t mixed",
    " " * 33 + "x" + " " * 70 + "y",
    "\n" * 12 + " \n \n",
    "0 12 345 6789 1234567890 0x1F 3.14159e-10 1,000,000.00 50%",
    "I'm you're he's WE'LL THEY'D don\u2019t 'tis O'Neill's",
    "na\u00efve caf\u00e9 \u00c6r\u00f8sk\u00f8bing F\u00fc\u00dfe \u0130stanbul \u0132sselmeer",
    "e\u0301\u0323 n\u0303 o\u0308\u0323 a\u030a\u0301 \u1e9b\u0323 \u212b \u2126 decomposed",
    "\ufb01\ufb02 \u2460 \u00bd \u00b2 \u2167 \u0663\u0664 \u3371 \u33a1 \uff26\uff35\uff2c\uff2c",
    "Z\u0351\u036b\u0343\u036a\u0302a\u0332\u0330\u0323l\u0347\u0333g\u033b\u0356o\u0313\u0319",
    "\U0001f642 \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea \U0001f44d\U0001f3fd 1\ufe0f\u20e3 \u2764\ufe0f\u200d\U0001f525",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3002\u4e2d\u6587\u5206\u8bcd\uff0c\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\uae00",
    "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01 \u0e01\u0e33\u0e25\u0e31\u0e07",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645 \u0641\u064e\u062a\u0652\u062d\u064e\u0629 \ufefb",
    "\u05e9\u05b8\u05c1\u05dc\u05d5\u05b9\u05dd \u05e2\u05d5\u05dc\u05dd \u200f(rtl)\u200e",
    "\u0939\u093f\u0928\u094d\u0926\u0940 \u0915\u094d\u0937\u0924\u094d\u0930\u093f\u092f \u0bb5\u0ba3\u0b95\u0bcd\u0b95\u0bae\u0bcd",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u0393\u03b5\u03b9\u03ac \u03c3\u03bf\u03c5 \u039a\u03cc\u03c3\u03bc\u03b5",
    "def f(x, *, y=None):\n    return {k: v ** 2 for k, v in x.items()}  # comment\n\n",
    "for (int i = 0; i < n; ++i) { a[i] += b->c[i] && !d; }\t// \u2713\n",
    "SELECT * FROM t WHERE a <> 'b''c' AND d >= 1e3;--",
    "https://example.org/a/b?c=d&e=%20f#g user@example.com C:\\Users\\x",
    "<html><body class=\"x\">&nbsp;</body></html>",
    "nul\u0000 bell\u0007 esc\u001b[31m del\u007f next\u0085line c1\u009f",
    "\ufeffbom zero\u200bwidth\u200c\u200djoin\u2060er soft\u00adhyphen",
    "no\u00a0break thin\u2009space ideographic\u3000space line\u2028sep para\u2029sep",
    "\ufffd replacement \U0010ffff last \ue000 private \ufdd0 nonchar \U000e0001 tag",
    "<s>Alice</s><unk> <pad> <bos> <eos> <mask>",
    "<|begin_of_text|>x<|end_of_text|><|eot_id|> <|start_header_id|>user<|end_header_id|>",
    "<|im_start|>system\nYou<|im_end|>\n<|endoftext|><think>hm</think><tool_call>{}</tool_call>",
    "<start_of_turn>user\nhi<end_of_turn>\n<unused0><unused10> <unused99>[multimodal]",
    "<|start|>assistant<|channel|>final<|message|>ok<|return|><|call|>",
    "<\uff5cbegin\u2581of\u2581sentence\uff5c>a<\uff5cUser\uff5c>b<\uff5cAssistant\uff5c><\uff5cfim\u2581hole\uff5c>",
    "\n\nHuman: hi\n\nAssistant: <META> <EOT> <META_START>",
    "\u2581under\u2581\u2581score \u2581 x\u2581 <0x41> <0x0A>",
    "!!!???...---===***((([[[{{{\u2026\u2014\u2013\u00ab\u00bb\u201c\u201d",
    "supercalifragilisticexpialidocious" * 3,
    "a" * 200,
    "ab" * 100 + "\u732b" * 60,
    "the the\tthe  the   the    the     the      the",
    "CamelCaseHTTPServer snake_case_name kebab-case-name SCREAMING_CASE",
    "\u2200x\u2208\u211d: \u2308x\u2309 = \u2212\u230a\u2212x\u230b, \u03b1 \u2227 \u00ac\u03b2 = \u00ac(\u00ac\u03b1 \u2228 \u03b2) \U0001d4d0\U0001d4d1",
    "1\u00bd\u00be \u2150 \u0967\u0968\u0969 \u4e00\u4e8c\u4e09 \u2160\u2161\u2162 \u2488\u2489",
    " \u0301x \u0301\u0301 \n\u0301",
    "\u1e9e\u017f\u2c6f \u01c4\u01c5\u01c6 \u02bb\u02bc \u10d0\u10d1 \u1c90",
]  # fmt: skip


# What real ones are asked about some of their own special tokens, {t}, {u} and {v}; {half} and {rest} are {t} cut in two.
OWN = [
    "{t}",
    " {t}",
    "{t} ",
    "  {t}  \n {u}\t",
    "word{t}word",
    "word {t} word",
    "{t}{t}",
    "{t} {t}  {t}",
    "{t}{u}{v}",
    "{t}\n\n{u}\r\n{v}",
    "{half}",
    "{rest}",
    "{half} {rest}",
    "{half}{t}{rest}",
    "{half}{half}{rest}{rest}",
    "{t}{half}",
    "<{t}> [{t}] \u2581{t}\u2581",
    "e{t}\u0301 \u00e9{t}\u200d{t}",
    "\u732b{t}\u732b 12{t}345{u}6789",
    "{t}don't{u}'ll {v}'s",
    "{upper} {lower}",
    "{t}user\nHello,  wORLD! {u}\n{v}assistant\n",
]  # fmt: skip
MOST_OWN_TOKENS = 4


def token(ident: int, content: str, **flags) -> dict:
    names = ("single_word", "lstrip", "rstrip", "normalized", "special")
    return {"id": ident, "content": content, **{name: flags.get(name, False) for name in names}}


def byte_letters() -> list[str]:
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte if byte in printable else 0x100 + others.index(byte)) for byte in range(256)]


def numbered(pieces: list[str]) -> dict[str, int]:
    return {piece: i for i, piece in enumerate(pieces)}


def pairs(*merges: str) -> list[list[str]]:
    return [merge.split(" ") for merge in merges]


def small_models() -> dict[str, dict]:
    """Models that the tokenizers share. `bytes` shows in its ids what is left of a text, byte by byte."""
    bytes_vocab = ["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    letters = [chr(c) for c in range(0x20, 0x7F)]
    merged = ["ab", "aab", "th", "the", "▁a", "▁", "  ", "--", "▁▁", "猫"]
    words = ["[UNK]", "[CLS]", "[SEP]", "the", "other", "##other", "a", "##a", "##b", "ab", "b", "hello", ",", "!", "world", "猫"]
    words += ["Hello", "don", "'", "t", "12", "##45", "3", ".", "tag", "<", ">", "_", "x", "y", "z", "-", "e", "##\u0301", "cat", "#"]
    scores = {"<unk>": 0.0, "▁": -2.0, "▁a": -2.5, "ab": -3.0, "aab": -3.5, "b": -4.0, "a": -4.0, "th": -3.0, "e": -4.0, "the": -3.2, "▁the": -3.3,
              "o": -5.0, "r": -5.0, "other": -4.0, "c": -6.0, "t": -6.5, "h": -6.5, "ba": -3.0, " ": -5.0, "l": -6.0, "ll": -6.25, "1": -7.0, "2": -7.0}  # fmt: skip
    clip = ["<unk>"] + letters + [letter + "</w>" for letter in letters] + ["ab", "ab</w>", "th", "the</w>", "aab</w>"]
    byte_level = byte_letters() + ["ab", "aab", "Ġa", "the", "Ġthe", "th", "ĠĠ", "he", "Hello"]
    return {
        "bytes": {"type": "BPE", "unk_token": "<unk>", "byte_fallback": True, "vocab": numbered(bytes_vocab), "merges": []},
        "bpe": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": False, "vocab": numbered(["<unk>"] + letters + merged),
                "merges": pairs("a b", "a ab", "t h", "th e", "▁ a", "- -", "▁ ▁")},
        "bpe_fused": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": True, "ignore_merges": True,
                      "vocab": numbered(["<unk>"] + letters + merged), "merges": pairs("a b", "t h", "▁ a")},
        "bpe_suffix": {"type": "BPE", "unk_token": "<unk>", "end_of_word_suffix": "</w>", "vocab": numbered(clip),
                       "merges": pairs("a b", "a b</w>", "t h", "th e</w>", "a ab</w>")},
        "byte_level": {"type": "BPE", "vocab": numbered(byte_level),
                       "merges": pairs("a b", "a ab", "Ġ a", "t h", "th e", "Ġ the", "Ġ Ġ", "h e")},
        "byte_level_whole": {"type": "BPE", "ignore_merges": True, "vocab": numbered(byte_level), "merges": pairs("a b", "h e", "Ġ the")},
        "word_piece": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 12,
                       "vocab": numbered(words)},
        "word_level": {"type": "WordLevel", "unk_token": "[UNK]", "vocab": numbered(words)},
        "unigram": {"type": "Unigram", "unk_id": 0, "vocab": [[p, s] for p, s in scores.items()]},
        "unigram_bytes": {"type": "Unigram", "unk_id": 0, "byte_fallback": True,
                          "vocab": [[p, s] for p, s in scores.items()] + [[f"<0x{b:02X}>", -9.0] for b in range(256)]},
    }  # fmt: skip


def sequence(kind: str, *steps) -> dict:
    return {"type": "Sequence", kind: list(steps)}


def metaspace(scheme: str, split: bool, replacement: str = "▁") -> dict:
    return {"type": "Metaspace", "replacement": replacement, "prepend_scheme": scheme, "split": split}


# Behind other pre-tokenizers it puts a mark before each stretch, which ids of bytes then show.
MARK = metaspace("always", False, "|")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


def marked(*steps) -> dict:
    return sequence("pretokenizers", *steps, MARK)


def split(pattern: dict, behavior: str = "Isolated", invert: bool = False) -> dict:
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


BEHAVIORS = ["Isolated", "Removed", "Contiguous", "MergedWithPrevious", "MergedWithNext"]
BERT = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None, "lowercase": True}
FUSED = sequence("decoders", {"type": "ByteFallback"}, {"type": "Fuse"})
LLAMA = sequence("decoders", {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                 {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0})  # fmt: skip
NORMALIZERS = [
    *({"type": name} for name in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt")),
    {"type": "Strip", "strip_left": True, "strip_right": False},
    {"type": "Strip", "strip_left": False, "strip_right": True},
    {"type": "Prepend", "prepend": "▁"},
    {"type": "Replace", "pattern": {"String": "a"}, "content": "<>"},
    {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
    {"type": "Replace", "pattern": {"Regex": r"[a-c]*"}, "content": "-"},
    {"type": "Replace", "pattern": {"String": "the"}, "content": ""},
    BERT,
    {**BERT, "strip_accents": False, "handle_chinese_chars": False},
    {**BERT, "lowercase": False, "clean_text": False, "strip_accents": True},
    sequence("normalizers", {"type": "NFKD"}, {"type": "StripAccents"}, {"type": "Lowercase"}, {"type": "NFC"}),
    sequence("normalizers"),
]
PRE_TOKENIZERS = [
    *(split({"Regex": r"\s+"}, behavior) for behavior in BEHAVIORS),
    *(split({"String": "a"}, behavior) for behavior in BEHAVIORS),
    *(split({"Regex": r"\w+|[^\w\s]+"}, behavior, True) for behavior in BEHAVIORS),
    split({"Regex": r"(?=[A-Z])"}),
    {"type": "Digits", "individual_digits": True},
    {"type": "Digits", "individual_digits": False},
    *({"type": "Punctuation", "behavior": behavior} for behavior in BEHAVIORS),
    *({"type": name} for name in ("Whitespace", "WhitespaceSplit", "BertPreTokenizer")),
    {"type": "CharDelimiterSplit", "delimiter": "-"},
    *(metaspace(scheme, split) for scheme in ("always", "first", "never") for split in (True, False)),
]
# Ids follow in `case`.
ADDED = [
    token(300, "<mask>", lstrip=True, normalized=True),
    token(301, "<tag>", single_word=True, normalized=True),
    token(302, "other", rstrip=True),
    token(303, "<s>", special=True),
    token(304, "</s>", special=True),
    token(305, "BAA", normalized=True, single_word=True),
]
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [303], "tokens": ["<s>"]}, "</s>": {"id": "</s>", "ids": [304], "tokens": ["</s>"]}}}  # fmt: skip


def case(name: str, model: str, **parts) -> dict:
    """Added tokens get the ids that the library gives them: the model's own, or the next ones."""
    known = small_models()[model]["vocab"]
    ids = dict(known) if isinstance(known, dict) else {piece: i for i, (piece, _) in enumerate(known)}
    added = []
    for one in parts.get("added_tokens", []):
        added.append({**one, "id": ids.setdefault(one["content"], len(ids))})
    whole = json.dumps({k: v for k, v in parts.items() if v is not None and k != "added_tokens"})
    for one, numbered_one in zip(parts.get("added_tokens", []), added):
        whole = whole.replace(str(one["id"]), str(numbered_one["id"])) if one["id"] >= 300 else whole
    return {"name": name, "model": model, "parts": {**json.loads(whole), "added_tokens": sorted(added, key=lambda t: t["id"])}}


def parts_cases() -> list[dict]:
    cases = []
    for i, normalizer in enumerate(NORMALIZERS):
        cases.append(case(f"normalizer {i} {normalizer['type']}", "bytes", normalizer=normalizer, decoder=FUSED))
    for i, pre in enumerate(PRE_TOKENIZERS):
        cases.append(case(f"pre-tokenizer {i} {pre['type']}", "bytes", pre_tokenizer=marked(pre), decoder=FUSED))
    bert_tokens = [token(1, "[CLS]", special=True), token(2, "[SEP]", special=True), token(0, "[UNK]", special=True)]
    bert_post = {"type": "BertProcessing", "sep": ["[SEP]", 2], "cls": ["[CLS]", 1]}
    lower = {"type": "Lowercase"}
    gpt2 = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    digits = {"type": "Digits", "individual_digits": True}
    cases += [
        case("added tokens", "bytes", added_tokens=ADDED, decoder=FUSED, post_processor=TEMPLATE),
        case("added tokens, lower case", "bytes", added_tokens=ADDED, normalizer=lower, decoder=FUSED),
        case("added tokens, first", "bytes", added_tokens=ADDED, pre_tokenizer=metaspace("first", True), decoder=LLAMA),
        case("strip, first", "bytes", normalizer={"type": "Strip", "strip_left": True, "strip_right": True},
             pre_tokenizer=metaspace("first", False), decoder=LLAMA),
        case("llama", "bpe", normalizer=sequence("normalizers", {"type": "Prepend", "prepend": "▁"}, {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}),
             added_tokens=[token(0, "<unk>", special=True)], decoder=LLAMA),
        case("bpe", "bpe", pre_tokenizer=metaspace("always", True), decoder=metaspace("always", True)),
        case("bpe without a decoder", "bpe", pre_tokenizer={"type": "Whitespace"}),
        case("bpe fused", "bpe_fused", pre_tokenizer=metaspace("first", True), decoder=metaspace("never", True)),
        case("bpe suffix", "bpe_suffix", normalizer=lower, pre_tokenizer={"type": "Whitespace"}, decoder={"type": "BPEDecoder", "suffix": "</w>"}),
        case("byte level", "byte_level", pre_tokenizer=gpt2, decoder=gpt2),
        case("byte level, added", "byte_level", pre_tokenizer=gpt2, decoder=gpt2, added_tokens=ADDED, normalizer={"type": "NFC"},
             post_processor={"type": "RobertaProcessing", "sep": ["</s>", 304], "cls": ["<s>", 303], "trim_offsets": True, "add_prefix_space": True}),
        case("byte level, whole", "byte_level_whole", pre_tokenizer=sequence("pretokenizers", digits, split({"Regex": r"\s?\w+"}, "Removed", True), BYTE_LEVEL), decoder=BYTE_LEVEL),
        case("word piece", "word_piece", normalizer=BERT, pre_tokenizer={"type": "BertPreTokenizer"}, added_tokens=bert_tokens, post_processor=bert_post, decoder={"type": "WordPiece", "prefix": "##", "cleanup": True}),
        case("word piece, plain", "word_piece", pre_tokenizer={"type": "WhitespaceSplit"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": False}),
        case("word level", "word_level", pre_tokenizer={"type": "Whitespace"}),
        case("unigram", "unigram", normalizer={"type": "NFKC"}, pre_tokenizer=metaspace("always", True), decoder=metaspace("always", True)),
        case("unigram, whitespace", "unigram", pre_tokenizer=sequence("pretokenizers", {"type": "WhitespaceSplit"}, metaspace("first", True)), decoder=metaspace("first", True), added_tokens=ADDED),
        case("unigram bytes", "unigram_bytes", decoder=FUSED),
    ]  # fmt: skip
    return cases


def tokenizer_json(model: dict, parts: dict) -> str:
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
             "pre_tokenizer": None, "post_processor": None, "decoder": None, **parts, "model": model}  # fmt: skip
    return json.dumps(whole)


def is_exact(decoded: str) -> bool:
    """Bytes that are no UTF-8 stay bytes in heed, where the library writes U+FFFD, once for each or for several."""
    return "\ufffd" not in decoded


def is_panic(error: BaseException) -> bool:
    """The library fails on some of what it is asked; it is no Exception then."""
    return type(error).__name__ == "PanicException"


def ask(library: Tokenizer, texts: list[str], specials: bool = False) -> dict:
    """`specials`: special tokens that the texts spell become those tokens."""
    library.encode_special_tokens = not specials
    ids, decoded, answered_texts = [], [], []
    for text in texts:
        try:
            encoded = library.encode(text).ids
            back = library.decode(encoded)
        except BaseException as error:
            if not is_panic(error):
                raise
            continue
        answered_texts.append(text)
        ids.append(encoded)
        decoded.append(None if not is_exact(back) else 0 if back == text else back)  # 0: the text itself
    return {"texts": answered_texts, "ids": ids, "decoded": decoded}


def own_texts(tokenizer: dict) -> list[str]:
    """About special tokens of a tokenizer that lie as far apart as can be, each of which comes once as the first."""
    specials = [one["content"] for one in tokenizer["added_tokens"] if one["special"]]
    count = min(len(specials), MOST_OWN_TOKENS)
    chosen = [specials[i * (len(specials) - 1) // max(count - 1, 1)] for i in range(count)]
    texts = []
    for i, t in enumerate(chosen):
        u, v = (chosen[(i + k) % count] for k in (1, 2))
        half, rest = t[: (len(t) + 1) // 2], t[(len(t) + 1) // 2 :]
        texts += [text.format(t=t, u=u, v=v, half=half, rest=rest, upper=t.upper(), lower=t.lower()) for text in OWN]
    return list(dict.fromkeys(texts))


def ask_whole(library: Tokenizer, texts: list[str], specials: bool = False) -> dict:
    answers = ask(library, texts, specials)
    assert answers.pop("texts") == texts
    return answers


def real_case(path: Path, texts: list[str]) -> dict:
    library = Tokenizer.from_file(str(path))
    own = own_texts(json.loads(path.read_text()))
    asked = {"texts": own, "text": ask_whole(library, own), "specials": ask_whole(library, own, True)}
    return {"name": path.parent.name, **ask_whole(library, texts), "specials": ask_whole(library, texts, True), "own": asked}


def answered(models: dict, cases: list[dict], texts: list[str]) -> dict:
    usable = []
    for one in cases:
        try:
            library = Tokenizer.from_str(tokenizer_json(models[one["model"]], one["parts"]))
        except BaseException as error:
            if not is_panic(error):
                raise
            continue
        usable.append(one)
        one.update(ask(library, one.get("texts", texts)))
        if one["texts"] == texts:
            del one["texts"]
    print(f"{len(usable)} of {len(cases)} tokenizers, {sum(len(one['ids']) for one in usable)} texts answered")
    return {"models": models, "texts": texts, "cases": usable}


ALPHABET = (
    list("aabbthe  \n\tABCxyz019.,!?-_'\"<>/|")
    + ["<mask>", "<tag>", "other", "<s>", "</s>", "the", "▁", "▁a", "ab", "\r\n", "  ", "猫", "é", "e\u0301", "\u0323\u0301", "İ", "ß", "ﬁ", "①", "½"]
    + ["\u00a0", "\u3000", "\u200b", "\u200d", "\u0085", "\0", "\u007f", "\ufeff", "\u00ad", "🙂", "👩‍👩‍👧", "🇫🇷", "ไ", "ท", "हि", "न्", "عَ", "한", "\u1112\u1161\u11ab", "Ａ", "…", "—", "٣"]
)  # fmt: skip


def random_text(choose: random.Random) -> str:
    pieces = []
    for _ in range(choose.choice([0, 1, 2, 3, 5, 8, 13, 21, 34, 60])):
        if choose.random() < 0.04:  # any character that Unicode 12 had, which all libraries agree on
            pieces.append(chr(choose.choice([choose.randrange(0x20, 0x24F), choose.randrange(0x370, 0x52F), choose.randrange(0x4E00, 0x9FA5)])))
        else:
            pieces.append(choose.choice(ALPHABET))
    return "".join(pieces)


def random_case(choose: random.Random, number: int) -> dict:
    model = choose.choice(["bytes", "bytes", "bpe", "bpe_fused", "bpe_suffix", "byte_level", "byte_level_whole", "word_piece", "word_level", "unigram", "unigram_bytes"])
    normal = [choose.choice(NORMALIZERS) for _ in range(choose.choice([0, 0, 1, 1, 2, 3]))]
    pre = [choose.choice(PRE_TOKENIZERS) for _ in range(choose.choice([0, 1, 1, 2, 3]))]
    if model.startswith("byte_level"):
        # The library puts what takes the place of nothing at the beginning twice then, or fails.
        normal = [step for step in normal if "[a-c]*" not in json.dumps(step)]
        pre.append({**BYTE_LEVEL, "use_regex": choose.random() < 0.5, "add_prefix_space": choose.random() < 0.3})
        decoder = BYTE_LEVEL
    else:
        if model == "bytes" and choose.random() < 0.7:
            pre.append(MARK)
        bert = {"type": "WordPiece", "prefix": "##", "cleanup": choose.random() < 0.5}
        decoder = choose.choice([FUSED, LLAMA, None, metaspace("always", True), metaspace("never", True), bert, {"type": "BPEDecoder", "suffix": "</w>"}])
    flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
    contents = choose.sample(["<mask>", "<tag>", "other", "<s>", "</s>", "ab", "a b", "<", "--", "The", "é", " x"], choose.choice([0, 0, 2, 4]))
    if model.startswith("byte_level"):
        contents = [content for content in contents if content != "é"]  # a letter for a byte, which is refused
    known = json.dumps(small_models()[model]["vocab"])
    added = []
    for content in contents:
        one = token(0, content, **{flag: choose.random() < 0.3 for flag in flags})
        # What the library's model makes of text even where it is a special token, heed never does.
        added.append({**one, "special": one["special"] and json.dumps(content) not in known})
    return {**case(f"random {number}", model, normalizer=sequence("normalizers", *normal), pre_tokenizer=sequence("pretokenizers", *pre), decoder=decoder, added_tokens=added),
            "texts": [random_text(choose) for _ in range(40)]}  # fmt: skip


def write(path: str, data: dict) -> None:
    lists = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    Path(path).write_text(lists.replace('{"name"', '\n{"name"') + "\n")


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["parts"] and len(arguments) == 2:
        write(arguments[1], answered(small_models(), parts_cases(), SHORT))
    elif arguments[:1] == ["real"] and len(arguments) == 3:
        texts = SHORT + AWKWARD
        cases = []
        for folder in sorted(Path(arguments[1]).iterdir()):
            if (folder / "tokenizer.json").exists():
                cases.append(real_case(folder / "tokenizer.json", texts))
        write(arguments[2], {"texts": texts, "cases": cases})
    elif arguments[:1] == ["fuzz"] and len(arguments) == 4:
        choose = random.Random(int(arguments[1]))
        write(arguments[3], answered(small_models(), [random_case(choose, i) for i in range(int(arguments[2]))], []))
    else:
        sys.exit(__doc__)


main()
