"""Translation."""

import ctypes

from . import _library as c
from .device import Model
from .errors import InvalidArgument
from .text import sampling_of


class Translation(str):
    """A translation: a text with `tokens`, `score` (greater is better), and `ended`: by an end token, and not for its
    length."""

    @classmethod
    def _of(cls, made):
        text = cls(c.text_at(made.text, made.bytes))
        text.tokens = list(made.tokens[:made.token_count])
        text.score = made.score
        text.ended = bool(made.ended)
        return text


class TranslationModel(Model):
    """A model that translates."""

    _open = "translation_model_open"

    def translate(self, lines, n_best=None, source=None, target=None, **options):
        """The best translation of each line, a list of Translation; of a single text one Translation.

        n_best: lists of so many for each line instead. source, target: languages, of models that have tokens for them.
        beams, length_penalty, max_tokens, min_tokens, prefix; samples: draws so many (give n_best as well to see them)
        with temperature, top_k, top_p, min_p, repetition_penalty, seed. Ctrl-C ends it.
        """
        texts = [lines] if isinstance(lines, str) else list(lines)
        sampling = sampling_of(options)
        known = {name: options.pop(name, None)
                 for name in ("beams", "length_penalty", "max_tokens", "min_tokens", "prefix", "samples")}
        if options:
            raise InvalidArgument(f"unknown options: {', '.join(sorted(options))}")
        made = c.options(c.TranslateOptions, n_best=n_best, from_=source, to=target, **known)
        made.sampling = ctypes.pointer(sampling)
        encoded = (ctypes.c_char_p * len(texts))(*[c.c_text(text, "a line") for text in texts])
        found = [[] for _ in texts]
        with c.Callbacks() as callbacks:
            made.cancelled = callbacks.wrap(c.Asked)
            with c.result("translate", c.Translations, self._handle, encoded, len(texts), made) as translations:
                for i in range(translations.count):
                    translation = translations.translations[i].contents
                    found[translation.line].append(Translation._of(translation))
        if n_best is None:
            found = [best[0] if best else Translation() for best in found]
        return found[0] if isinstance(lines, str) else found
