#!/usr/bin/env python3
"""Makes vocabularies of unigrams ("t5") and word pieces ("bert") with llama.cpp's converter, and what becomes of texts.

usage: make_gguf_tokenizers.py GOLDEN_FOLDER      (needs transformers, sentencepiece, llama.cpp's tools and its gguf package)

GOLDEN_FOLDER/gguf/tokenizers/NAME.gguf has metadata alone; NAME.json what llama-tokenize makes of each of `texts` (`ids`), with
the special tokens that texts spell parsed too (`parsed_ids`), and where a library was given the same tokenizer, what it makes
of them (`library`: tokenizers or sentencepiece; 0 where the ids are those of `ids`) and `decoded`, its text of these ids, null
where that shows an unknown piece. llama-tokenize adds special tokens where a text begins with one, so not the end alone. Text
that spells one is text, but for `parsed_ids`. `--converter` says where llama.cpp's package `conversion` is.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Tokenizer, trainers
from transformers import BertTokenizerFast

# Beside the texts of tests/golden/tokenizers. Where llama.cpp and the libraries differ, and heed with one of them:
# tests/unit/convert/gguf_tokenizers.cpp.
TEXTS = [
    "Hello, world! It's John's 3rd try: unbelievable, isn't it?", "  two  spaces ", "\u00c9t\u00e9 na\u00efve \u00c5ngstr\u00f6m",
    "a <extra_id_0> b<extra_id_1>c <extra_id_0>", "<tool>x <tool> y", "[MASK] or [mask]", "the [SEP] end", "wonder##land ##x",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8", "a" * 130, "word " * 40, "snake_case x+y=z $5 ~tilde^ `code`", "\t tab\nline ",
]  # fmt: skip


def stub(cls, folder: Path, vocabulary: int | None, writer):
    """llama.cpp's converter of that class for a folder that has a tokenizer and no model."""
    model = cls.__new__(cls)
    model.dir_model = folder
    model.hparams = {} if vocabulary is None else {"vocab_size": vocabulary}
    model.gguf_writer = writer
    model.get_vocab_base_pre = lambda tokenizer: "default"
    return model


def write(path: Path, convert, name: str, changes: dict) -> None:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(8)
    writer.add_feed_forward_length(8)
    writer.add_head_count(1)
    writer.add_layer_norm_rms_eps(1e-5)
    convert(writer)
    for key, value in changes.items():
        (writer.add_bool if isinstance(value, bool) else writer.add_uint32)(f"tokenizer.ggml.{key}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_ids(path: Path, text: str, parse: bool) -> list[int]:
    command = ["llama-tokenize", "-m", str(path), "--stdin", "--ids", "--log-disable"] + ([] if parse else ["--no-parse-special"])
    made = subprocess.run(command, input=text.encode(), capture_output=True)
    if made.returncode != 0:
        sys.exit(f"{path}: {text!r}: {made.stderr.decode()[-500:]}")
    return json.loads(made.stdout)


def sentencepiece_folder(source: Path, folder: Path, squeeze: bool | None = None) -> sentencepiece.SentencePieceProcessor:
    found = next(p for p in (source / "tokenizer.model", source / "spiece.model") if p.is_file())
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(found.read_bytes())
    if squeeze is not None:
        proto.normalizer_spec.remove_extra_whitespaces = squeeze
    (folder / "spiece.model").write_bytes(proto.SerializeToString())
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())


def train_bert(folder: Path, texts: list[str], lower: bool) -> Tokenizer:
    plain = BertTokenizerFast(do_lower_case=lower, strip_accents=None, vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4})
    inner = plain.backend_tokenizer
    trainer = trainers.WordPieceTrainer(vocab_size=330, show_progress=False, min_frequency=1, limit_alphabet=120,
                                        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])  # fmt: skip
    inner.train_from_iterator(texts, trainer)
    fast = BertTokenizerFast(tokenizer_object=inner, do_lower_case=lower)
    fast.add_tokens([AddedToken("<tool>", normalized=False)])
    fast.save_pretrained(folder)
    return Tokenizer.from_file(str(folder / "tokenizer.json"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--converter", default="/usr/share/llama.cpp/llama.cpp-tools")
    options = parser.parse_args()
    sys.path.insert(0, options.converter)
    from conversion.bert import BertModel
    from conversion.t5 import T5Model

    sources = options.folder / "tokenizers"
    out = options.folder / "gguf" / "tokenizers"
    out.mkdir(parents=True, exist_ok=True)
    texts = [text for text in json.loads((sources / "texts.json").read_text())[:90] if "\0" not in text and len(text) < 90] + TEXTS

    def make(name: str, convert, library, changes: dict | None = None) -> None:
        path = out / f"{name}.gguf"
        write(path, convert, name, changes or {})
        golden = {"texts": texts, "ids": [llama_ids(path, text, False) for text in texts]}
        golden["parsed_ids"] = [llama_ids(path, text, True) if re.search(r"[<[]", text) else 0 for text in texts]
        if library is not None:
            made = [library(text) for text in texts]
            golden["library"] = [ids if ids != plain else 0 for (ids, _), plain in zip(made, golden["ids"])]
            golden["decoded"] = [None if "\u2047" in decoded else decoded for _, decoded in made]  # sentencepiece's unknown
            for text, (ids, _), plain in zip(texts, made, golden["ids"]):
                if ids != plain:
                    print(f"{name}: {text!r}: llama.cpp {plain}, library {ids}")
        lines = [f' {json.dumps(key)}: [\n{",\n".join(json.dumps(item) for item in items)}]' for key, items in golden.items()]
        (out / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        # T5 as published: the vocabulary's end are tokens that the model knows, and some that nobody has.
        sentencepiece_folder(sources / "t5", folder)
        (folder / "added_tokens.json").write_text(json.dumps({f"<extra_id_{i}>": 298 - i for i in range(4)}))
        (folder / "tokenizer_config.json").write_text("{}")
        fast = Tokenizer.from_file(str(sources / "t5" / "tokenizer.json"))

        def by_fast(text: str, tokenizer=fast):
            tokenizer.encode_special_tokens = True
            ids = tokenizer.encode(text).ids
            return ids, tokenizer.decode(ids)

        make("t5", lambda writer: T5Model.set_vocab(stub(T5Model, folder, 302, writer)), by_fast)
    for name, source, squeeze in (("unigram", "unigram", None), ("unigram_spaces", "unigram", False),
                                  ("unigram_no_prefix", "unigram_no_prefix", False), ("unigram_bytes", "unigram_bytes", None)):  # fmt: skip
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            processor = sentencepiece_folder(sources / source, folder, squeeze)
            (folder / "tokenizer_config.json").write_text("{}")

            def by_pieces(text: str, processor=processor):
                ids = processor.encode(text)
                return ids, processor.decode(ids)

            changes = {"add_bos_token": False, "add_eos_token": False, "unknown_token_id": 0}
            make(name, lambda writer, folder=folder: T5Model.set_vocab(stub(T5Model, folder, None, writer)), by_pieces, changes)
    for name, lower in (("bert", True), ("bert_cased", False)):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            tokenizer = train_bert(folder, texts, lower)
            make(name, lambda writer, folder=folder: BertModel.set_vocab(stub(BertModel, folder, None, writer)),
                 lambda text, tokenizer=tokenizer: by_fast(text, tokenizer))  # fmt: skip


if __name__ == "__main__":
    main()
