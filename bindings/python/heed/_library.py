"""heed.h for ctypes: structures, functions, and how a failure becomes an exception."""

import ctypes
import glob
import operator
import os
import signal
import threading
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint64, c_void_p

from .errors import Cancelled, DeviceLost, Error, InvalidArgument, OutOfMemory

ABI_VERSION = 0
_NAME = f"libheed.so.{ABI_VERSION}"

OnText = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(ctypes.c_char), c_size_t)
Asked = ctypes.CFUNCTYPE(c_int32, c_void_p)
Progress = ctypes.CFUNCTYPE(c_int32, c_void_p, c_int64, c_int64)
OnSamples = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(c_float), c_size_t)


def _structure(name, members):
    """A structure that begins with its size."""
    return type(name, (ctypes.Structure,), {"_fields_": [("size", c_size_t), *members]})


DeviceInfo = _structure("DeviceInfo", [
    ("name", c_char_p), ("driver", c_char_p), ("type", c_char_p), ("uuid", c_char_p), ("unusable", c_char_p),
    ("memory", c_uint64), ("memory_left", c_uint64), ("index", c_size_t)])

DeviceList = _structure("DeviceList", [("count", c_size_t), ("devices", POINTER(POINTER(DeviceInfo)))])

Text = _structure("Text", [("bytes", c_size_t), ("text", POINTER(ctypes.c_char))])

Tokens = _structure("Tokens", [("count", c_size_t), ("ids", POINTER(c_int32))])

SamplingOptions = _structure("SamplingOptions", [
    ("temperature", c_double), ("top_p", c_double), ("min_p", c_double), ("repetition_penalty", c_double),
    ("seed", c_uint64), ("top_k", c_int32), ("penalty_window", c_int32), ("presence_penalty", c_double),
    ("frequency_penalty", c_double), ("typical_p", c_double), ("xtc_probability", c_double),
    ("xtc_threshold", c_double), ("dry_multiplier", c_double), ("dry_base", c_double),
    ("dry_allowed_length", c_int32), ("dry_window", c_int32), ("no_repeat_ngram", c_int32),
    ("dry_breakers", POINTER(c_int32)), ("dry_breaker_count", c_size_t), ("logit_bias_tokens", POINTER(c_int32)),
    ("logit_biases", POINTER(c_double)), ("logit_bias_count", c_size_t)])

TextModelOptions = _structure("TextModelOptions", [("context", c_int64), ("cache", c_char_p)])

TextModelInfo = _structure("TextModelInfo", [
    ("context", c_int64), ("vocabulary", c_int64), ("has_tokenizer", c_int32), ("has_chat", c_int32)])

GenerateOptions = _structure("GenerateOptions", [
    ("sampling", POINTER(SamplingOptions)), ("max_tokens", c_int64), ("stop", POINTER(c_char_p)),
    ("stop_count", c_size_t), ("end_tokens", POINTER(c_int32)), ("end_token_count", c_size_t),
    ("ignore_end", c_int32), ("on_text", OnText), ("cancelled", Asked), ("user", c_void_p), ("logprobs", c_int32),
    ("grammar", c_char_p), ("json_schema", c_char_p)])

Generation = _structure("Generation", [
    ("text", POINTER(ctypes.c_char)), ("bytes", c_size_t), ("prompt_tokens", POINTER(c_int32)),
    ("prompt_token_count", c_size_t), ("tokens", POINTER(c_int32)), ("token_count", c_size_t),
    ("stop_reason", c_char_p), ("prompt_seconds", c_double), ("generate_seconds", c_double),
    ("device_losses", c_int32), ("logprobs", POINTER(c_float)), ("best_count", c_size_t),
    ("best_tokens", POINTER(c_int32)), ("best_logprobs", POINTER(c_float))])

ChatOptions = _structure("ChatOptions", [
    ("tools", c_char_p), ("variables", c_char_p), ("name", c_char_p), ("add_generation_prompt", c_int32),
    ("specials_in_messages", c_int32)])

TranslateOptions = _structure("TranslateOptions", [
    ("beams", c_int32), ("n_best", c_int32), ("length_penalty", c_double), ("max_tokens", c_int64),
    ("min_tokens", c_int64), ("from_", c_char_p), ("to", c_char_p), ("prefix", c_char_p), ("samples", c_int32),
    ("sampling", POINTER(SamplingOptions)), ("cancelled", Asked), ("user", c_void_p)])

Translation = _structure("Translation", [
    ("line", c_size_t), ("text", POINTER(ctypes.c_char)), ("bytes", c_size_t), ("tokens", POINTER(c_int32)),
    ("token_count", c_size_t), ("score", c_double), ("ended", c_int32)])

Translations = _structure("Translations", [
    ("count", c_size_t), ("translations", POINTER(POINTER(Translation))), ("cancelled", c_int32)])


PLANES_F32, INTERLEAVED_U8 = 0, 1

Picture = _structure("Picture", [
    ("width", c_int64), ("height", c_int64), ("channels", c_int64), ("format", c_int32), ("data", c_void_p)])

Pictures = _structure("Pictures", [("count", c_size_t), ("pictures", POINTER(POINTER(Picture)))])

DrawOptions = _structure("DrawOptions", [
    ("format", c_int32), ("count", c_int32), ("seed", c_uint64), ("caption", c_char_p), ("name", c_char_p),
    ("guidance", c_double), ("temperature", c_double), ("top_p", c_double), ("top_k", c_int32),
    ("steps", c_int32), ("truncation", c_double), ("progress", Progress), ("user", c_void_p)])

TransformOptions = _structure("TransformOptions", [
    ("format", c_int32), ("tile", c_int64), ("overlap", c_int64), ("progress", Progress), ("user", c_void_p)])

SoundOptions = _structure("SoundOptions", [
    ("text", c_char_p), ("voice", c_char_p), ("seconds", c_double), ("temperature", c_double),
    ("seed", c_uint64), ("features", POINTER(c_float)), ("feature_count", c_size_t), ("on_samples", OnSamples),
    ("cancelled", Asked), ("user", c_void_p)])

Sound = _structure("Sound", [
    ("sample_rate", c_int64), ("count", c_int64), ("samples", POINTER(c_float)), ("cancelled", c_int32)])


F32, I64 = 0, 1

Array = _structure("Array", [
    ("name", c_char_p), ("type", c_int32), ("rank", c_int32), ("shape", POINTER(c_int64)), ("data", c_void_p),
    ("graph_type", c_char_p)])

Arrays = _structure("Arrays", [("count", c_size_t), ("arrays", POINTER(POINTER(Array)))])

RunOptions = _structure("RunOptions", [
    ("graph", c_char_p), ("dimensions", POINTER(c_char_p)), ("dimension_sizes", POINTER(c_int64)),
    ("dimension_count", c_size_t)])


_FUNCTIONS = {
    "free": [c_void_p],
    "close": [c_void_p],
    "list_devices": [POINTER(POINTER(DeviceList))],
    "device_open": [c_char_p, POINTER(c_void_p)],
    "device_describe": [c_void_p, POINTER(POINTER(DeviceInfo))],
    "file_task": [c_char_p, POINTER(POINTER(Text))],
    "text_model_open": [c_void_p, c_char_p, POINTER(TextModelOptions), POINTER(c_void_p)],
    "text_model_describe": [c_void_p, POINTER(POINTER(TextModelInfo))],
    "tokenize": [c_void_p, c_char_p, c_size_t, c_int32, POINTER(POINTER(Tokens))],
    "detokenize": [c_void_p, POINTER(c_int32), c_size_t, POINTER(POINTER(Text))],
    "generate": [c_void_p, c_char_p, c_size_t, POINTER(GenerateOptions), POINTER(POINTER(Generation))],
    "generate_from_tokens": [c_void_p, POINTER(c_int32), c_size_t, POINTER(GenerateOptions),
                             POINTER(POINTER(Generation))],
    "chat": [c_void_p, c_char_p, POINTER(ChatOptions), POINTER(GenerateOptions), POINTER(POINTER(Generation))],
    "chat_prompt": [c_void_p, c_char_p, POINTER(ChatOptions), POINTER(POINTER(Text)), POINTER(POINTER(Tokens))],
    "logits": [c_void_p, POINTER(c_int32), c_size_t, POINTER(c_float), c_size_t],
    "translation_model_open": [c_void_p, c_char_p, POINTER(c_void_p)],
    "translate": [c_void_p, POINTER(c_char_p), c_size_t, POINTER(TranslateOptions), POINTER(POINTER(Translations))],
    "picture_model_open": [c_void_p, c_char_p, POINTER(c_void_p)],
    "draw": [c_void_p, POINTER(DrawOptions), POINTER(POINTER(Pictures))],
    "transform": [c_void_p, POINTER(Picture), POINTER(TransformOptions), POINTER(POINTER(Picture))],
    "sound_model_open": [c_void_p, c_char_p, POINTER(c_void_p)],
    "make_sound": [c_void_p, POINTER(SoundOptions), POINTER(POINTER(Sound))],
    "graph_model_open": [c_void_p, c_char_p, POINTER(c_void_p)],
    "run": [c_void_p, POINTER(POINTER(Array)), c_size_t, POINTER(RunOptions), POINTER(POINTER(Arrays))],
    "graph_reset": [c_void_p],
    "graph_model_describe": [c_void_p, POINTER(POINTER(Text))],
}
# Each has heed_NAME_init().
_OPTIONS = {
    SamplingOptions: "sampling_options", TextModelOptions: "text_model_options", GenerateOptions: "generate_options",
    ChatOptions: "chat_options", TranslateOptions: "translate_options", Picture: "picture",
    DrawOptions: "draw_options", TransformOptions: "transform_options", SoundOptions: "sound_options",
    Array: "array", RunOptions: "run_options",
}


def _places():
    """Where the library may be, best first: as HEED_LIBRARY says; beside an installed package; in the build folder of the
    sources that this package is part of; where the system's linker finds it."""
    named = os.environ.get("HEED_LIBRARY")
    if named:
        return [named]
    here = os.path.dirname(os.path.abspath(__file__))
    beside = os.path.join(here, "..", "..", "..")  # lib/python3/dist-packages/heed
    found = [place for pattern in (_NAME, os.path.join("*", _NAME)) for place in glob.glob(os.path.join(beside, pattern))]
    return [*found, os.path.join(here, "..", "..", "..", "build", _NAME), _NAME]


def _load():
    problems = []
    for place in _places():
        if os.sep in place and not os.path.exists(place):
            problems.append(f"{place} is not there")
            continue
        try:
            library = ctypes.CDLL(place)
        except OSError as error:
            problems.append(str(error))
            continue
        library.heed_version.restype = c_char_p
        library.heed_last_error.restype = c_char_p
        if library.heed_abi_version() != ABI_VERSION:
            problems.append(f"{place} has ABI {library.heed_abi_version()}, expected {ABI_VERSION}")
            continue
        for name, arguments in _FUNCTIONS.items():
            getattr(library, "heed_" + name).argtypes = arguments
        for structure, name in _OPTIONS.items():
            getattr(library, f"heed_{name}_init").argtypes = [POINTER(structure), c_size_t]
        return library
    raise ImportError(f"heed's shared library cannot be loaded ({'; '.join(problems)}); install heed, or set HEED_LIBRARY")


library = _load()
_ERRORS = {1: Error, 2: InvalidArgument, 3: DeviceLost, 4: OutOfMemory, 5: Cancelled}


def check(status):
    """Raises what a status says."""
    if status != 0:
        raise _ERRORS.get(status, Error)(library.heed_last_error().decode("utf-8", "replace"))


def call(name, *arguments):
    """Calls heed_NAME and raises its failure."""
    check(getattr(library, "heed_" + name)(*arguments))


def options(structure, **values):
    """A structure with its defaults, and `values` where they are not None. Texts are encoded."""
    made = structure()
    kinds = dict(structure._fields_)
    check(getattr(library, f"heed_{_OPTIONS[structure]}_init")(ctypes.byref(made), ctypes.sizeof(made)))
    for name, value in values.items():
        if value is None:
            continue
        try:
            if isinstance(value, str) or kinds[name] is c_char_p:  # which ctypes would make of an integer too
                value = c_text(value, name)
            elif hasattr(value, "__index__"):  # numpy's integers too
                value = in_range(structure, name, operator.index(value))
            setattr(made, name, value)
        except (TypeError, OverflowError) as error:
            raise InvalidArgument(f"{name}: {value!r} makes no sense ({error})") from None
    return made


_INTEGERS = {c_int32: (-2**31, 2**31 - 1), c_int64: (-2**63, 2**63 - 1), c_uint64: (0, 2**64 - 1)}


def in_range(structure, name, value):
    """An integer that fits its member; ctypes itself would cut it."""
    for member, kind in structure._fields_:
        if member == name and kind in _INTEGERS:
            least, most = _INTEGERS[kind]
            if not least <= value <= most:
                raise InvalidArgument(f"{name}: {value} does not fit, expected {least} to {most}")
    return value


def c_text(text, what):
    """Bytes of a text for C. Raises InvalidArgument for what is none, and for one that has a zero within."""
    if not isinstance(text, (str, bytes)):
        raise InvalidArgument(f"{what}: {text!r}, expected a text")
    encoded = text.encode("utf-8") if isinstance(text, str) else text
    if b"\0" in encoded:
        raise InvalidArgument(f"{what}: a zero character within the text")
    return encoded


def ids_of(tokens):
    """Token ids for C."""
    ids = []
    for token in tokens:
        if not hasattr(token, "__index__") or not -2**31 <= operator.index(token) < 2**31:
            raise InvalidArgument(f"token {token!r}: expected an integer of 32 bits")
        ids.append(operator.index(token))
    return (c_int32 * len(ids))(*ids)


class result:
    """A result of heed that is given back at the end: with result("tokenize", Tokens, ...) as tokens."""

    def __init__(self, name, structure, *arguments):
        self._pointer = POINTER(structure)()
        call(name, *arguments, ctypes.byref(self._pointer))

    def __enter__(self):
        return self._pointer.contents

    def __exit__(self, *_):
        call("free", self._pointer)


def text_at(pointer, count):
    """A text that C holds."""
    return ctypes.string_at(pointer, count).decode("utf-8", "replace")


class Callbacks:
    """Functions that C calls while it works. What they raise ends the work, and is raised again behind it; Ctrl-C too,
    which Python would otherwise throw into a callback, where it is lost."""

    def __init__(self):
        self._error = None
        self._interrupted = False
        self._before = None

    def wrap(self, kind, function=None):
        """`function` for C, or for None one that only lets Ctrl-C through."""

        def called(_, *arguments):
            if self._interrupted or self._error is not None:
                return 1
            try:
                return 1 if function is not None and function(*arguments) else 0
            except BaseException as error:  # pylint: disable=broad-except
                self._error = error
                return 1

        return kind(called)

    def _interrupt(self, *_):
        self._interrupted = True

    def __enter__(self):
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind, error, trace):
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
        if self._interrupted:
            raise KeyboardInterrupt from None
        if self._error is not None:
            raise self._error
        return False
