"""Devices, and what models on them have in common."""

import ctypes
import weakref
from dataclasses import dataclass

from . import _library as c


@dataclass(frozen=True)
class DeviceInfo:
    """A Vulkan device. `memory` and `memory_left` are bytes; `unusable` says why heed cannot run on it, or is empty."""

    index: int
    name: str
    driver: str
    type: str
    uuid: str
    memory: int
    memory_left: int
    unusable: str


def _info(info):
    texts = {name: getattr(info, name).decode("utf-8", "replace")
             for name in ("name", "driver", "type", "uuid", "unusable")}
    return DeviceInfo(index=info.index, memory=info.memory, memory_left=info.memory_left, **texts)


def devices():
    """All Vulkan devices, the best first."""
    with c.result("list_devices", c.DeviceList) as found:
        return [_info(found.devices[i].contents) for i in range(found.count)]


class _Handle:
    """Something that is opened, and closed at the end of `with`, by close(), or when nobody has it any more."""

    def __init__(self, function, *arguments):
        handle = ctypes.c_void_p()
        c.call(function, *arguments, ctypes.byref(handle))
        self._handle = handle
        self._closing = weakref.finalize(self, c.library.heed_close, handle)

    def close(self):
        """Gives back its memory. What is done with it after that raises InvalidArgument."""
        self._closing()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Device(_Handle):
    """A device that models are loaded on: the best, or the one of an index, a part of a name, or a UUID."""

    def __init__(self, which=""):
        super().__init__("device_open", c.c_text(str(which), "device"))

    @property
    def info(self):
        """Its DeviceInfo."""
        with c.result("device_describe", c.DeviceInfo, self._handle) as info:
            return _info(info)


_opened = weakref.WeakValueDictionary()


def device_of(device):
    """A Device as it is, or the one that a text names, which models share as long as one of them lives."""
    if isinstance(device, Device):
        return device
    name = "" if device is None else str(device)
    opened = _opened.get(name)
    if opened is None or not opened._closing.alive:
        opened = _opened[name] = Device(name)
    return opened


class Model(_Handle):
    """A model on a device. A `with` block, close(), or its end as an object give back its memory."""

    _open = ""

    def __init__(self, file, device=None, *options):
        import os

        self.device = device_of(device)
        path = c.c_text(os.fsencode(file), "the file's name")
        super().__init__(self._open, self.device._handle, path, *options)


def numpy():
    """The module, which only arrays need."""
    try:
        import numpy as module
    except ImportError:
        raise ImportError("arrays need numpy (Debian: python3-numpy)") from None
    return module
