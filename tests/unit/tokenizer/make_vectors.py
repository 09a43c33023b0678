#!/usr/bin/env python3
"""Makes vectors.json: small tokenizers in heed's form with what sentencepiece and Hugging Face tokenizers make of texts.

usage: make_vectors.py OUTPUT

They cover what the models under tests/golden/hf do not: user-defined and unused pieces, unknown pieces, prefixes of every
kind, several splits. Hugging Face is asked with encode_special_tokens, that is, text that spells a special token is text.
"""

import io
import json
import sys

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

CORPUS = """\
The rose is red, the violet's blue, the honey's sweet, and so are you. Thou art my love and I am thine; I drew thee to my
Valentine. The lot was cast and then I drew, and fortune said it should be you. Roses are red, 12 violets and 365 days.
"""
TEXTS = [
    "", "the rose", " the rose", "  the  violets are  blue  ", " ", "   ", "\n", "a\nb\n\n c", "rose<sep>rose",
    "<sep>", "<sep><sep> the", " <sep> the<sep>", "the <sep>  the", "<s>the</s>", "</s>", "<unk>", "<se", "x<s>y <s> z",
    "12 365 2024", "zzz qqq", "the zebra's zoo", "zß9 ßßzz ß", "naïve café", "日本 the 語", "▁the▁ rose", "don't we'll 's",
    "the\u00a0rose\u3000is", "🙂", "aaaaaaaaaaaaaaaaaaaa", "sweetsweet sweet", "<0x41>", "\t\ttab",
]  # fmt: skip
KINDS = {"control": "is_control", "byte": "is_byte", "unused": "is_unused"}
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def vector(name, description, encode, decode, shows_unknown=False):
    cases = []
    for text in TEXTS:
        ids = encode(text)
        shown = shows_unknown and description.get("unknown") in ids
        cases.append({"text": text, "ids": ids, "decoded": None if shown else decode(ids)})
    return {"name": name, "description": {"version": 2} | description, "cases": cases}


def from_sentencepiece(name, user_defined=(), unused=None, dummy_prefix=True, **options):
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.splitlines()), model_writer=model, model_type="bpe",
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=dummy_prefix,
        user_defined_symbols=list(user_defined), num_threads=1, minloglevel=2, **options,
    )  # fmt: skip
    proto = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue())
    for piece in proto.pieces:
        if unused and piece.type == piece.NORMAL and unused(piece.piece):
            piece.type = piece.UNUSED
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())
    size = processor.get_piece_size()
    pieces = [processor.id_to_piece(i) for i in range(size)]
    description = {
        "pieces": pieces,
        "scores": [processor.get_score(i) for i in range(size)],
        "unknown": processor.unk_id(),
        "merging": "scores", "fuse_unknown": True, "escape_spaces": True, "match_normalized": True,
        "prefix": "first" if dummy_prefix else "never", "strip_prefix": dummy_prefix,
        "user_defined": [i for i in range(size) if pieces[i] in user_defined],
        "before": [processor.bos_id()], "end": [processor.eos_id()],
    }  # fmt: skip
    for kind, test in KINDS.items():
        ids = [i for i in range(size) if getattr(processor, test)(i)]
        if ids:
            description[kind] = ids
    return vector(name, description, lambda t: processor.encode(t, add_bos=True), processor.decode, True)


def from_tokenizers(name, flags, pre_tokenizer=None, normalizer=None, decoder=None, alphabet=(), size=100, **options):
    bytes_ = [f"<0x{b:02X}>" for b in range(256)] if options.get("byte_fallback") else []
    special = ["<unk>", "<s>", "</s>"] + bytes_
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizer or pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(
        vocab_size=len(special) + len(alphabet) + size, special_tokens=special, initial_alphabet=list(alphabet),
        show_progress=False,
    )  # fmt: skip
    trained.train_from_iterator(CORPUS.splitlines(), trainer)
    model = json.loads(trained.to_str())["model"]
    vocab, merges = model["vocab"], [tuple(pair) for pair in model["merges"]]
    if not flags.get("alphabet"):
        options["unk_token"] = "<unk>"
    tokenizer = Tokenizer(models.BPE(vocab, merges, **options))
    if pre_tokenizer:
        tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.decoder = decoder
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special[:3]])
    tokenizer.add_tokens([AddedToken("<sep>", special=False, normalized=False)])
    tokenizer.encode_special_tokens = True
    vocab = tokenizer.get_vocab()
    description = {
        "pieces": sorted(vocab, key=vocab.get),
        "merges": [[vocab[left], vocab[right]] for left, right in merges],
        "merging": "ranks",
        "control": [vocab[t] for t in ("<s>", "</s>")],
        "user_defined": [vocab["<sep>"]],
    }
    assert sorted(vocab.values()) == list(range(len(vocab)))
    description["unknown"] = vocab["<unk>"]
    if bytes_:
        description["byte"] = [vocab[t] for t in bytes_]
    return vector(name, description | flags, lambda t: tokenizer.encode(t).ids, tokenizer.decode)


def main():
    byte_level = pre_tokenizers.ByteLevel
    alphabet = sorted(byte_level.alphabet())
    underscore = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    stripped = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    prepend = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    escaped = {"escape_spaces": True, "strip_prefix": True}
    cut_at_spaces = ["▁[^▁]*|[^▁]+"]
    vectors = [
        from_sentencepiece("sentencepiece, unknown pieces", vocab_size=90),
        from_sentencepiece("sentencepiece, user-defined", ("<sep>", "▁▁", "▁the", "the", "\n"), vocab_size=90),
        from_sentencepiece(
            "sentencepiece, no prefix, bytes", ("<sep>", "\n\n"), dummy_prefix=False, vocab_size=350, byte_fallback=True
        ),
        from_sentencepiece("sentencepiece, unused", unused=lambda p: len(p) in (2, 4), vocab_size=90),
        from_tokenizers(
            "tokenizers, Prepend", escaped | {"prefix": "always"}, normalizer=prepend, decoder=stripped, fuse_unk=False
        ),
        from_tokenizers(
            "tokenizers, Prepend, fuse_unk", escaped | {"prefix": "always", "fuse_unknown": True}, normalizer=prepend,
            decoder=stripped, fuse_unk=True,
        ),
        from_tokenizers(
            "tokenizers, Prepend, byte_fallback", escaped | {"prefix": "always", "fuse_unknown": True},
            normalizer=prepend, decoder=stripped, fuse_unk=True, byte_fallback=True,
        ),
        from_tokenizers(
            "tokenizers, Replace without prefix", {"escape_spaces": True}, normalizer=normalizers.Replace(" ", "▁"),
            decoder=underscore, byte_fallback=True,
        ),
        from_tokenizers(
            "tokenizers, Metaspace always",
            {"escape_spaces": True, "prefix": "always", "prefix_unless_space": True, "splits": cut_at_spaces},
            pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="always", split=True), decoder=underscore,
            byte_fallback=True,
        ),
        from_tokenizers(
            "tokenizers, Metaspace first",
            {"escape_spaces": True, "prefix": "first", "prefix_unless_space": True, "splits": cut_at_spaces},
            pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme="first", split=True), decoder=underscore,
            byte_fallback=True,
        ),
        from_tokenizers(
            "tokenizers, ByteLevel with prefix",
            {"alphabet": "bytes", "prefix": "always", "prefix_unless_space": True, "splits": [GPT2_PATTERN]},
            pre_tokenizer=byte_level(add_prefix_space=True), decoder=decoders.ByteLevel(), alphabet=alphabet,
        ),
        from_tokenizers(
            "tokenizers, Digits and ByteLevel", {"alphabet": "bytes", "splits": [r"\p{N}", GPT2_PATTERN]},
            pre_tokenizer=pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(individual_digits=True), byte_level(add_prefix_space=False)]
            ),
            decoder=decoders.ByteLevel(), alphabet=alphabet,
        ),
        from_tokenizers(
            "tokenizers, words by ignore_merges",
            {"alphabet": "bytes", "splits": [r"\p{L}+"], "whole_pieces_first": True},
            pre_tokenizer=pre_tokenizers.Sequence(
                [
                    pre_tokenizers.Split(Regex(r"\p{L}+"), behavior="isolated"),
                    byte_level(add_prefix_space=False, use_regex=False),
                ]
            ),
            decoder=decoders.ByteLevel(), alphabet=alphabet, ignore_merges=True,
        ),
    ]  # fmt: skip
    rows = ",\n".join(json.dumps(v, ensure_ascii=True, separators=(",", ":")) for v in vectors)
    with open(sys.argv[1], "w") as file:
        file.write("[\n" + rows + "\n]\n")


if __name__ == "__main__":
    main()
