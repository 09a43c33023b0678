"""Pictures, as numpy arrays [height, width, channels] of uint8, or [channels, height, width] of float32 from 0 to 1."""

import ctypes

from . import _library as c
from .device import Model, numpy
from .errors import InvalidArgument

_FORMATS = {"uint8": c.INTERLEAVED_U8, "float32": c.PLANES_F32}


def _format(dtype):
    if dtype not in _FORMATS:
        raise InvalidArgument(f"dtype {dtype!r}, expected 'uint8' or 'float32'")
    return _FORMATS[dtype]


def _array(picture):
    np = numpy()
    count = picture.width * picture.height * picture.channels
    if picture.format == c.INTERLEAVED_U8:
        kind, shape = ctypes.c_uint8, (picture.height, picture.width, picture.channels)
    else:
        kind, shape = ctypes.c_float, (picture.channels, picture.height, picture.width)
    return np.ctypeslib.as_array((kind * count).from_address(picture.data)).reshape(shape).copy()


class PictureModel(Model):
    """A model that draws pictures, of noise or of texts, or that makes pictures of pictures."""

    _open = "picture_model_open"

    def draw(self, caption=None, count=1, seed=0, dtype="uint8", progress=None, **options):
        """Draws `count` pictures, a list of arrays. The same seed gives the same pictures.

        caption: what to draw, of models that draw texts (guidance, temperature, top_k, top_p). name: the class, of models
        that draw noise; without one each picture is of the next (truncation; steps, guidance). progress(done, total) is
        called meanwhile; what it raises ends the work, and so does Ctrl-C.
        """
        numpy()
        name = options.pop("name", None)
        known = {key: options.pop(key, None)
                 for key in ("guidance", "temperature", "top_p", "top_k", "steps", "truncation")}
        if options:
            raise InvalidArgument(f"unknown options: {', '.join(sorted(options))}")
        made = c.options(c.DrawOptions, format=_format(dtype), count=count, seed=seed, caption=caption,
                         name=None if name is None else str(name), **known)
        with c.Callbacks() as callbacks:
            made.progress = callbacks.wrap(c.Progress, _quiet(progress))
            with c.result("draw", c.Pictures, self._handle, made) as pictures:
                return [_array(pictures.pictures[i].contents) for i in range(pictures.count)]

    def upscale(self, picture, tile=None, overlap=None, dtype=None, progress=None):
        """A picture of a picture: larger, or in another style.

        picture: [height, width, channels] of uint8, [height, width] of uint8 for grey, or [channels, height, width] of
        float32. tile: side of the parts it is worked on in, overlap: of them, in pixels. dtype: of the result, else that
        of the picture. progress as of draw().
        """
        np = numpy()
        array = np.ascontiguousarray(picture)
        if array.dtype == np.uint8 and array.ndim == 2:
            array = array[:, :, None]
        if array.ndim != 3 or array.dtype.name not in _FORMATS:
            raise InvalidArgument(f"a picture of shape {array.shape} and type {array.dtype}, expected [height, width, "
                                  "channels] of uint8 or [channels, height, width] of float32")
        is_bytes = array.dtype == np.uint8
        height, width, channels = array.shape if is_bytes else (*array.shape[1:], array.shape[0])
        given = c.options(c.Picture, width=width, height=height, channels=channels, data=array.ctypes.data,
                          format=_format(array.dtype.name))
        made = c.options(c.TransformOptions, tile=tile, overlap=overlap, format=_format(dtype or array.dtype.name))
        with c.Callbacks() as callbacks:
            made.progress = callbacks.wrap(c.Progress, _quiet(progress))
            with c.result("transform", c.Picture, self._handle, given, made) as result:
                return _array(result)


def _quiet(progress):
    """What it returns is nobody's wish to stop."""
    if progress is None:
        return None

    def called(done, total):
        progress(done, total)
        return False

    return called
