"""Text generation and chat."""

import atexit
import ctypes
import json
import queue
import threading
import weakref

from . import _library as c
from .device import Model, numpy
from .errors import InvalidArgument

_LISTS = {"dry_breakers", "dry_breaker_count", "logit_bias_tokens", "logit_biases", "logit_bias_count"}
_SAMPLING = {name for name, _ in c.SamplingOptions._fields_} - {"size"} - _LISTS


class Generation(str):
    """A continuation: a text, and how it came about.

    tokens: its ids, without an end token. prompt_tokens: those of the prompt. stop_reason: "max_tokens", "end_token",
    "stop_text", "context_full" or "cancelled". prompt_seconds, generate_seconds: until the first token, and after it.
    logprobs: where they were asked for, the natural logarithm of each token's probability, else None; best_tokens:
    as many pairs (token, logprob) for each token as were asked for, the most probable first.
    """

    @classmethod
    def _of(cls, made):
        text = cls(c.text_at(made.text, made.bytes))
        text.tokens = list(made.tokens[:made.token_count])
        text.prompt_tokens = list(made.prompt_tokens[:made.prompt_token_count])
        text.stop_reason = made.stop_reason.decode()
        text.prompt_seconds = made.prompt_seconds
        text.generate_seconds = made.generate_seconds
        text.device_losses = made.device_losses
        text.logprobs = text.best_tokens = None
        if made.logprobs:
            text.logprobs = list(made.logprobs[:made.token_count])
            text.best_tokens = [[(made.best_tokens[i], made.best_logprobs[i]) for i in range(at, at + made.best_count)]
                                for at in (place * made.best_count for place in range(made.token_count))]
        return text


def sampling_of(options):
    """Takes the sampling options out of `options`."""
    breakers = c.ids_of(options.pop("dry_breakers", None) or [])
    bias = options.pop("logit_bias", None) or {}
    if not hasattr(bias, "items"):
        raise InvalidArgument(f"logit_bias: {bias!r}, expected a dict of token ids and numbers")
    tokens = c.ids_of(bias)
    made = c.options(c.SamplingOptions, **{name: options.pop(name) for name in list(options) if name in _SAMPLING})
    made.dry_breakers, made.dry_breaker_count = breakers, len(breakers)
    try:
        made.logit_biases = (ctypes.c_double * len(tokens))(*bias.values())
    except TypeError as error:
        raise InvalidArgument(f"logit_bias: expected numbers ({error})") from None
    made.logit_bias_tokens, made.logit_bias_count = tokens, len(tokens)
    return made


_alive = weakref.WeakSet()
_alive_lock = threading.Lock()


def _stop_all():
    """At the end of the program: a thread that came back from C when Python is gone would take the program with it."""
    with _alive_lock:
        works = list(_alive)
    for work in works:
        work.stop()


# atexit's turn may come after that of the models, which wait for their threads when they close.
getattr(threading, "_register_atexit", atexit.register)(_stop_all)


class _Work:
    """What a Stream and its thread share; the thread does not keep the Stream alive."""

    def __init__(self, work):
        self.work = work
        self.pieces = queue.SimpleQueue()
        self.stopped = threading.Event()
        self.generation = None
        self.error = None
        # Python waits for threads that are no daemons before it asks anybody to stop them.
        self.thread = threading.Thread(target=self._run, daemon=True)
        with _alive_lock:
            _alive.add(self)
        self.thread.start()

    def stop(self):
        """Stops it, if it goes on, and waits until it has."""
        self.stopped.set()
        self.thread.join()

    def _run(self):

        def take(pointer, count):
            self.pieces.put(c.text_at(pointer, count))
            return self.stopped.is_set()

        try:
            self.generation = self.work(take, self.stopped.is_set)
        except BaseException as error:  # pylint: disable=broad-except
            self.error = error
        self.pieces.put(None)


class Stream:
    """An iterator over a text as it is generated, in pieces of whole characters. The work is done in a thread of its own;
    it is stopped by close(), at the end of a `with`, and when nobody has the iterator any more."""

    def __init__(self, work):
        self._work = _Work(work)
        self._ending = weakref.finalize(self, self._work.stopped.set)

    @property
    def generation(self):
        """The whole, a Generation, once it has ended; None before."""
        return self._work.generation

    def __iter__(self):
        return self

    def __next__(self):
        piece = None if self._work.stopped.is_set() else self._work.pieces.get()
        if piece is not None:
            return piece
        self.close()
        error, self._work.error = self._work.error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self):
        """Stops the generation, if it goes on, and waits until it has."""
        self._work.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class TextModel(Model):
    """A model that continues texts and answers chats.

    context: how many tokens it keeps, 0 for the model's own. cache: "f32", "f16" or "auto".
    """

    _open = "text_model_open"

    def __init__(self, file, device=None, context=None, cache=None):
        super().__init__(file, device, c.options(c.TextModelOptions, context=context, cache=cache))
        with c.result("text_model_describe", c.TextModelInfo, self._handle) as info:
            self.context = info.context
            self.vocabulary = info.vocabulary
            self.has_tokenizer = bool(info.has_tokenizer)
            self.has_chat = bool(info.has_chat)

    def tokenize(self, text, specials=False):
        """Token ids of a text. With `specials` special tokens that it spells become those; else they are text."""
        encoded = text.encode("utf-8")
        with c.result("tokenize", c.Tokens, self._handle, encoded, len(encoded), int(specials)) as tokens:
            return list(tokens.ids[:tokens.count])

    def detokenize(self, tokens):
        """The text of token ids."""
        with c.result("detokenize", c.Text, self._handle, c.ids_of(tokens), len(tokens)) as text:
            return c.text_at(text.text, text.bytes)

    def generate(self, prompt, stream=False, **options):
        """Continues a prompt, a text or a list of token ids.

        max_tokens, stop (a list of texts), end_tokens, ignore_end; temperature (0 takes the likeliest token, always),
        top_k, top_p, min_p, typical_p, seed; repetition_penalty, presence_penalty, frequency_penalty, penalty_window,
        no_repeat_ngram; xtc_probability, xtc_threshold; dry_multiplier, dry_base, dry_allowed_length, dry_window,
        dry_breakers (token ids); logit_bias, {token id: -100 to 100, or -inf}. grammar: the text is one of a grammar in
        GBNF; json_schema: JSON by a JSON Schema, a dict or its text. logprobs: log probabilities of each token and of so
        many of the best. Returns a Generation, or with `stream` a Stream. Ctrl-C ends it.
        """
        if isinstance(prompt, str):
            encoded = prompt.encode("utf-8")
            return self._start("generate", (encoded, len(encoded)), stream, options)
        return self._start("generate_from_tokens", (c.ids_of(prompt), len(prompt)), stream, options)

    def chat(self, messages, stream=False, tools=None, variables=None, template=None, specials_in_messages=False,
             **options):
        """The model's answer to messages, [{"role": "user", "content": "Hello"}]; the other arguments as generate()
        has them. `tools` is a list of tools' descriptions, `variables` a dict for the template, `template` its name."""
        chat = self._chat_options(tools, variables, template, specials_in_messages)
        return self._start("chat", (json.dumps(messages).encode(), ctypes.byref(chat)), stream, options)

    def chat_prompt(self, messages, tools=None, variables=None, template=None, specials_in_messages=False):
        """The prompt that the model's chat template makes of messages."""
        chat = self._chat_options(tools, variables, template, specials_in_messages)
        text = ctypes.POINTER(c.Text)()
        c.call("chat_prompt", self._handle, json.dumps(messages).encode(), chat, ctypes.byref(text), None)
        try:
            return c.text_at(text.contents.text, text.contents.bytes)
        finally:
            c.call("free", text)

    def logits(self, tokens):
        """Logits at every position, a numpy array [tokens, vocabulary] of float32."""
        made = numpy().empty((len(tokens), self.vocabulary), dtype="float32")
        place = made.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        c.call("logits", self._handle, c.ids_of(tokens), len(tokens), place, made.size)
        return made

    @staticmethod
    def _chat_options(tools, variables, template, specials_in_messages):
        return c.options(c.ChatOptions, name=template, specials_in_messages=int(specials_in_messages),
                         tools=None if tools is None else json.dumps(tools),
                         variables=None if variables is None else json.dumps(variables))

    def _start(self, function, prompt, stream, options):
        sampling = sampling_of(options)
        stop = options.pop("stop", None) or []
        stop = [stop] if isinstance(stop, str) else stop
        stops = (ctypes.c_char_p * len(stop))(*[c.c_text(text, "stop") for text in stop])
        ends = c.ids_of(options.pop("end_tokens", None) or [])
        known = {name: options.pop(name, None) for name in ("max_tokens", "ignore_end", "grammar", "logprobs")}
        schema = options.pop("json_schema", None)
        known["json_schema"] = json.dumps(schema) if isinstance(schema, (dict, bool)) else schema
        if options:
            raise InvalidArgument(f"unknown options: {', '.join(sorted(options))}")
        made = c.options(c.GenerateOptions, **known)
        made.sampling = ctypes.pointer(sampling)
        made.stop, made.stop_count = stops, len(stops)
        made.end_tokens, made.end_token_count = ends, len(ends)

        def work(on_text=None, stopped=None):
            with c.Callbacks() as callbacks:
                if on_text is not None:
                    made.on_text = callbacks.wrap(c.OnText, on_text)
                made.cancelled = callbacks.wrap(c.Asked, stopped)
                with c.result(function, c.Generation, self._handle, *prompt, made) as generation:
                    return Generation._of(generation)

        return Stream(work) if stream else work()
