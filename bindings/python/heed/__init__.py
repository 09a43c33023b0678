"""heed: generative models with attention on any Vulkan device.

    import heed

    with heed.load("shakespeare.heed") as model:
        for piece in model.generate("ROMEO:", max_tokens=100, stream=True):
            print(piece, end="", flush=True)

load() looks at what a file is for and gives a TextModel, TranslationModel, PictureModel, SoundModel or GraphModel; each
opens any file of its kind by itself, and GraphModel opens all. Models on one device may be used by any thread, one at a
time: calls wait for each other. What goes wrong is a heed.Error.
"""

import os as _os

from . import _library as _c
from .device import Device, DeviceInfo, devices
from .errors import Cancelled, DeviceLost, Error, InvalidArgument, OutOfMemory
from .graph import GraphModel
from .pictures import PictureModel
from .sound import SoundModel
from .text import Generation, Stream, TextModel
from .translation import Translation, TranslationModel

__version__ = _c.library.heed_version().decode()
__all__ = [
    "Cancelled", "Device", "DeviceInfo", "DeviceLost", "Error", "Generation", "GraphModel", "InvalidArgument",
    "OutOfMemory", "PictureModel", "SoundModel", "Stream", "TextModel", "Translation", "TranslationModel", "devices",
    "load", "task",
]

_MODELS = {"text-generation": TextModel, "translation": TranslationModel, "draw": PictureModel,
           "image-to-image": PictureModel, "text-to-image": PictureModel, "sound": SoundModel}


def task(file):
    """What a .heed file is for: "text-generation", "translation", "draw", "image-to-image", "text-to-image", "sound",
    another, or "" where it does not say."""
    with _c.result("file_task", _c.Text, _c.c_text(_os.fsencode(file), "the file's name")) as text:
        return _c.text_at(text.text, text.bytes)


def load(file, device=None, **options):
    """Opens a .heed file for what it is for. `device` is a Device, or a text that names one (default: the best);
    options are those of the model's class. Loading cannot be interrupted."""
    return _MODELS.get(task(file), GraphModel)(file, device, **options)
