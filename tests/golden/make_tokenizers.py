#!/usr/bin/env python3
"""Makes the golden data under tokenizers/: tiny tokenizers of translation models, and what their own libraries make of texts.

usage: make_tokenizers.py FOLDER [--full]

Writes FOLDER/texts.json and FOLDER/NAME/ with the tokenizer's files and cases.json for each. With --full the models get
SentencePiece's own rules of normalization (nmt_nfkc, nmt_nfkc_cf) and there are thousands of texts: too large to keep, but
HEED_TOKENIZERS=FOLDER build/tests/unit_convert -tc='*golden tokenizers*' compares with them all the same.
"""

import json
import os
import random
import sys
import unicodedata
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.dont_write_bytecode = True

import sentencepiece
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, M2M100Tokenizer, MarianTokenizer, NllbTokenizer, T5Config

from hf_tokenizers import CORPUS, TEXTS

JAPANESE = """\
吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。
吾輩はここで始めて人間というものを見た。しかもあとで聞くとそれは書生という人間中で一番獰悪な種族であったそうだ。
"""  # Natsume Soseki, 1905; public domain

# A few rules in the manner of nmt_nfkc, since all of it takes 240 KB: compatibility forms, composition, deletion, spaces.
RULES = [
    *(("\uff01\uff1f\uff0c"[i], "!?,"[i]) for i in range(3)),
    *((chr(0xFF10 + i), str(i)) for i in range(10)),
    *((chr(0xFF21 + i), chr(0x41 + i)) for i in range(26)),
    ("ﬁ", "fi"), ("ﬁ\u0301", "fí"), ("①", "1"), ("½", "1\u20442"), ("…", "..."), ("™", "TM"), ("㍿", "株式会社"), ("ｶ", "カ"), ("ｶﾞ", "ガ"),
    ("e\u0301", "é"), ("o\u0308", "ö"), ("o\u0308\u0323", "ọ̈"), ("A\u030a", "Å"), ("か\u3099", "が"), ("\u1112\u1161\u11ab", "한"),
    ("\t", " "), ("\n", " "), ("\r", " "), ("\u00a0", " "), ("\u3000", " "), ("\u200b", " "), ("\ufeff", " "), ("\u2028", " "),
    ("\u200c", ""), ("\u00ad", ""), ("\u0001", ""), ("\u007f", ""), ("\ufffd", " "), ("ﷺ", "صلى الله عليه وسلم"), ("▁", " "),
]  # fmt: skip

MORE_TEXTS = [
    "  both  ends  ", "\t\ttabs\tbetween\t", " \n ", "\u3000", "\u200b", "\u200c", "\u00ad", "a\u200cb\u00adc", "\u200ba", "a\u200b", "▁", "▁▁", " ▁", "▁ a", "a▁",
    "a ▁b", "a▁ b", "ＡＢＣ　１２３！", "ﬁne ﬁ\u0301 ﬁ\u0327x", "ｶﾞｷ ｶ", "e\u0301", "e\u0301\u0301", "xe\u0301x", "o\u0308\u0323o\u0323\u0308", "e\u0327\u0301", "A\u030a\u0301",
    "1\ufe0f\u20e3 2\u20e3", "か\u3099かﾞ", "한국어 \u1112\u1161\u11ab", "①½…™㍿", "\r\n", "a\r\nb", "\n\u0301", "\u0301", " \u0301a", "ﷺ", "🏴\U000e0067\U000e0062\U000e007f 🇫🇷🇩🇪", "न\u094dम क\u094d\u200dष",
    "吾輩は猫である。", "名前　は まだ無い", "猫a猫 1猫", "مرحبا بالعالم", "שלום עולם", "สวัสดี", "Alice は cat🙂🙂猫🙃", "zz🙂zz🙂", "🙂", "🙂🙂 🙂",
    "x" * 100, "猫" * 50, "the " * 40, "🙂" * 20, " " * 64, "a " * 30, "ÀÉÎÕÜ àéîõü", "ß ſ ẞ", "\u0000", "a\u0000b", "\u2581\u2581x", "aA" * 40,
    ">>fra<< Alice was", ">>jpn<<Alice", ">>", ">> Alice << was", "<<Alice>>", "a>>fra<<b", "eng_Latn Alice", "__en__ Alice", "ninety-nine $1,234.56!?", "http://example.org/a?b=c&d=e#f",
]  # fmt: skip


def lines() -> list[str]:
    return CORPUS.splitlines() + JAPANESE.splitlines()


def random_texts(count: int) -> list[str]:
    """Texts out of everything that the rules and pieces are about, and of any character of Unicode."""
    generator = random.Random(11)
    some = [*"abcdeit ,.'", " ", "  ", "▁", "\u3000", "\u200b", "猫", "は", "。", "🙂", "\u0301", "\u0308", "\u0323", "\r\n", "é", "\u0927", "\ufe0f", "\u200d"]
    some += [key for key, _ in RULES] + ["Alice ", "the ", "rabbit", "吾輩"]
    texts = []
    while len(texts) < count:
        parts = [generator.choice(some) for _ in range(generator.randint(1, 24))]
        for _ in range(generator.randint(0, 3)):
            code = generator.choice([generator.randrange(0x80, 0x3000), generator.randrange(0x3000, 0x11000), generator.randrange(0x1F000, 0x20000)])
            if unicodedata.category(chr(code)) not in ("Cs", "Cn", "Co"):
                parts.insert(generator.randrange(len(parts) + 1), chr(code))
        texts.append("".join(parts))
    return texts


def train(path: Path, sentences: list[str], rule: str | None, **options) -> None:
    """Trains a SentencePiece model; `rule` names one of its sets of rules, None means RULES."""
    if rule is None:
        table = path.parent / "rules.tsv"
        code_points = lambda text: " ".join(f"{ord(c):04X}" for c in text)
        table.write_text("".join(f"{code_points(key)}\t{code_points(value)}\n" for key, value in RULES))
        options["normalization_rule_tsv"] = str(table)
    else:
        options["normalization_rule_name"] = rule
    with open(path, "wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=file, character_coverage=1.0, num_threads=1,
            hard_vocab_limit=False, minloglevel=2, **options,
        )  # fmt: skip
    if rule is None:
        table.unlink()


def without_names(tokenizer) -> list[str]:
    return [*tokenizer.all_special_tokens, *(getattr(tokenizer, "additional_special_tokens", None) or [])]


def write_cases(folder: Path, texts: list[str], encode, decode, special: list[str], **more) -> None:
    """`ids` of each text, null where it names a special token, which heed takes for text; `decoded`, those ids as text."""
    for path in folder.glob("*.json"):  # without the spaces that they are indented by
        path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False, separators=(",", ":")) + "\n")
    ids = [None if any(name in text for name in special) else encode(text) for text in texts]
    decoded = [None if one is None else decode(one) for one in ids]
    (folder / "cases.json").write_text(json.dumps({**more, "ids": ids, "decoded": decoded}, ensure_ascii=False, separators=(",", ":")) + "\n")


def new_folder(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    return folder


def make_sentencepiece(root: Path, name: str, texts: list[str], rule: str | None, **options) -> None:
    folder = new_folder(root, name)
    train(folder / "tokenizer.model", lines(), rule, **options)
    library = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    unknown = library.unk_id()
    write_cases(folder, texts, library.encode, lambda ids: None if unknown in ids else library.decode(ids), [], kind="sentencepiece",
                vocabulary=library.get_piece_size())  # fmt: skip


def make_t5(root: Path, texts: list[str], rule: str | None) -> None:
    folder = new_folder(root, "t5")
    train(folder / "spiece.model", lines(), rule, vocab_size=420, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    T5Config().save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder, extra_ids=4)
    (folder / "config.json").unlink()
    (folder / "spiece.model").rename(folder / "model")  # kept for the folders that have no tokenizer.json
    tokenizer.save_pretrained(folder)
    (folder / "model").rename(folder / "spiece.model")
    write_cases(folder, texts, lambda text: tokenizer(text)["input_ids"], lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
                without_names(tokenizer), kind="t5", vocabulary=len(tokenizer))  # fmt: skip


def pieces_of(path: Path) -> list[str]:
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return [model.id_to_piece(i) for i in range(model.get_piece_size())]


def make_marian(root: Path, texts: list[str], rule: str | None) -> None:
    folder = new_folder(root, "marian")
    train(folder / "source.spm", CORPUS.splitlines(), rule, vocab_size=200)
    train(folder / "target.spm", JAPANESE.splitlines() + CORPUS.splitlines()[:3], rule, vocab_size=180)
    # Marian's own vocabulary: </s>, <unk>, the pieces of both but for a few, <pad> last.
    pieces = dict.fromkeys(pieces_of(folder / "source.spm")[3:] + pieces_of(folder / "target.spm")[3:])
    kept = [piece for i, piece in enumerate(sorted(pieces)) if i % 17 != 5]
    tokens = ["</s>", "<unk>", ">>fra<<", ">>jpn<<", *kept, "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False) + "\n")
    (folder / "tokenizer_config.json").write_text('{"source_lang": "eng", "target_lang": "mul", "tokenizer_class": "MarianTokenizer"}\n')
    tokenizer = MarianTokenizer.from_pretrained(folder)
    # Of a text that begins like a code but with one that nobody knows, the library makes <unk>, heed takes it for text.
    asked = [text for text in texts if not text.startswith(">> ")]
    write_cases(folder, texts, lambda text: tokenizer(text)["input_ids"] if text in asked else None,
                lambda ids: tokenizer.decode(ids, skip_special_tokens=True).replace(">>fra<<", "").replace(">>jpn<<", "").strip(),
                without_names(tokenizer), kind="marian", vocabulary=len(tokens),
                target=[tokenizer(text_target=text)["input_ids"] for text in texts[:60]])  # fmt: skip


def make_m2m100(root: Path, texts: list[str], rule: str | None) -> None:
    folder = new_folder(root, "m2m_100")
    train(folder / "sentencepiece.bpe.model", lines(), rule, model_type="bpe", vocab_size=460)
    pieces = pieces_of(folder / "sentencepiece.bpe.model")[3:]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *(piece for i, piece in enumerate(pieces) if i % 29 != 7)]
    tokens += [f"madeupword{i:04d}" for i in range(2)]
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False) + "\n")
    tokenizer = M2M100Tokenizer(folder / "vocab.json", folder / "sentencepiece.bpe.model", src_lang="en", tgt_lang="ja")
    tokenizer.save_pretrained(folder)
    # To transformers 5 the tokens of languages are not special when it decodes.
    write_cases(folder, texts, lambda text: tokenizer(text)["input_ids"], lambda ids: tokenizer.decode(ids[1:], skip_special_tokens=True),
                without_names(tokenizer), kind="m2m_100", vocabulary=len(tokens) + 108, languages={code: tokenizer.get_lang_id(code) for code in ("af", "en", "ja", "zu")})  # fmt: skip


def make_nllb(root: Path, texts: list[str], rule: str | None) -> None:
    folder = new_folder(root, "nllb")
    train(folder / "sentencepiece.bpe.model", lines(), rule, model_type="bpe", vocab_size=460)
    languages = ["eng_Latn", "fra_Latn", "jpn_Jpan"]
    tokenizer = NllbTokenizer.from_pretrained(folder, src_lang="eng_Latn", additional_special_tokens=languages)
    (folder / "sentencepiece.bpe.model").unlink()
    tokenizer.save_pretrained(folder)
    write_cases(folder, texts, lambda text: tokenizer(text)["input_ids"], lambda ids: tokenizer.decode(ids, skip_special_tokens=True),
                without_names(tokenizer), kind="nllb", vocabulary=len(tokenizer), languages={code: tokenizer.convert_tokens_to_ids(code) for code in languages})  # fmt: skip


def make_bart(root: Path, texts: list[str]) -> None:
    folder = new_folder(root, "bart")
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trained.train_from_iterator(lines(), trainers.BpeTrainer(
        vocab_size=420, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))  # fmt: skip
    model = json.loads(trained.to_str())["model"]
    vocab = dict(sorted(model["vocab"].items(), key=lambda item: item[1]))
    vocab["<mask>"] = len(vocab)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False) + "\n")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(" ".join(pair) + "\n" for pair in model["merges"]))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BartTokenizer"}\n')
    # As transformers' RobertaTokenizer puts it together.
    tokenizer = Tokenizer(models.BPE(vocab, [tuple(pair) for pair in model["merges"]]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", vocab["</s>"]), ("<s>", vocab["<s>"]), add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_special_tokens([AddedToken("<mask>", special=True, lstrip=True)])
    tokenizer.save(str(folder / "tokenizer.json"))
    write_cases(folder, texts, lambda text: tokenizer.encode(text).ids, tokenizer.decode, [*special, "<mask>"], kind="bart", vocabulary=len(vocab))


def main() -> None:
    root = Path(sys.argv[1])
    full = "--full" in sys.argv[2:]
    texts = list(dict.fromkeys([*TEXTS, *MORE_TEXTS, *random_texts(6000 if full else 40)]))
    rule = "nmt_nfkc" if full else None
    root.mkdir(parents=True, exist_ok=True)
    (root / "texts.json").write_text(json.dumps(texts, ensure_ascii=False, indent=0) + "\n")
    make_sentencepiece(root, "unigram", texts, rule, vocab_size=420, user_defined_symbols=["<sep>", "cat", "ab c"])
    make_sentencepiece(root, "unigram_bytes", texts, "identity", vocab_size=520, byte_fallback=True, remove_extra_whitespaces=False)
    make_sentencepiece(root, "unigram_no_prefix", texts, "nmt_nfkc_cf" if full else None, vocab_size=420, add_dummy_prefix=False)
    make_sentencepiece(root, "bpe_rules", texts, "nmt_nfkc_cf" if full else None, model_type="bpe", vocab_size=460, remove_extra_whitespaces=False,
                       user_defined_symbols=["cat", "ﬁne"])  # fmt: skip
    make_sentencepiece(root, "char", texts, rule, model_type="char", vocab_size=300)
    make_t5(root, texts, rule)
    make_marian(root, texts, rule)
    make_m2m100(root, texts, rule)
    make_nllb(root, texts, rule)
    make_bart(root, texts)


main()
