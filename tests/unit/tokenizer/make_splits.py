#!/usr/bin/env python3
"""Makes splits.json: how Hugging Face tokenizers cuts texts at patterns that regular-expression libraries disagree about.

usage: make_splits.py OUTPUT

The file holds the texts once, and for each pattern the pieces of each text, in order. Made with tokenizers 0.23.1, whose
patterns are Oniguruma's.
"""

import json
import sys

from tokenizers import Regex, pre_tokenizers

PATTERNS = [
    # Of published models.
    r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}&&[^\p{Han}]]+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+",
    # Intersections and nested classes.
    r"[a-z&&[^aeiou]]+", r"[\p{L}&&\p{ASCII}]+", r"[a[0-9]\s]+", r"[^a[^b]]", r"[[:alpha:]&&[^\p{Latin}]]+",
    # What means something else, or nothing, elsewhere.
    r"\b", r"\B", r"\h+", r"\H+", r"\v+", r"\w+", r"\W+", r"\s+", r"\d+", r"\R", r"\X", r"\O", r"\N+",
    r"[[:punct:]]+", r"[[:alpha:]]+", r"[[:alnum:]]+", r"[[:upper:]]", r"[[:graph:]]+", r"[[:space:]]+", r"[[:word:]]+",
    r"[[:print:]]+", r"[[:blank:]]+", r"[[:cntrl:]]+", r"[[:xdigit:]]+", r"\p{Alnum}+", r"\p{Han}", r"\p{^Han}+", r"\p{Greek}+",
    r"^", r"$", r"^a", r"o$", r"\Ab", r"\Z", r"(?m:a.b)", r"(?i)straSSe", r"(?<=a)b?", r"a\K", r"(?=a\K)", r"(?=o)", r"a|(?=c)",
    r"\G[^ ]", r"a{,2}", r"(?<x>[ab])\g<x>", r"(?>a+)b|a", r"\Qa b\E", r"(*FAIL)|o",
]  # fmt: skip
TEXTS = [
    "", "a", "deadbeef CAFE", "the fox's 12 jumps, isn't it?", "a\nb\r\nc\n\n aa b\n", "  two  spaces \t tab ", "x\u000by\u000cz\u0085w\u2028v",
    "naïve café ÉCOLE", "e\u0301a\u0308 \u200dx", "日本語 かな カナ 한글 漢字kanji", "١٢٣ ४५ Ⅷ ½ ²", "Straße STRASSE strasſe",
    "snake_case-kebab+a=b", "$5 <10 ^_^ `~ |x|", "«quoted» “text” — ¿qué?", "👩‍👩‍👧 🇩🇪🇫🇷 👍🏽 ok", "a\u00a0b\u3000c\u180ed\u200be", "αβγ ΑΒΓ кот",
    "\u0001\u007f\u009f ctl", "aaaa aab bcaaab", "foo boo\noo", "Qa bE \\Q",
]  # fmt: skip


def pieces(pattern, text):
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return [piece for piece, _ in split.pre_tokenize_str(text)] if text else []


def main():
    rows = [{"pattern": pattern, "pieces": [pieces(pattern, text) for text in TEXTS]} for pattern in PATTERNS]
    for row in rows:
        assert all("".join(found) == text for found, text in zip(row["pieces"], TEXTS, strict=True))
    with open(sys.argv[1], "w") as file:
        dump = lambda value: json.dumps(value, ensure_ascii=True, separators=(",", ":"))  # noqa: E731
        file.write('{"texts":' + dump(TEXTS) + ',\n"splits":[\n' + ",\n".join(map(dump, rows)) + "\n]}\n")


if __name__ == "__main__":
    main()
