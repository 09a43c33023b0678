"""Sound."""

import ctypes

from . import _library as c
from .device import Model, numpy


class SoundModel(Model):
    """A model that makes sound, sample by sample."""

    _open = "sound_model_open"

    def sound(self, text=None, voice=None, seconds=None, seed=0, temperature=None, features=None):
        """Makes sound: a pair of the samples, a numpy array of float32 from -1 to 1, and their number a second.

        text: what is said, in words that the model knows. voice: a name or number. seconds: how long, else as long as it
        takes. features: numbers of each frame, of models that want them. Ctrl-C ends it, and raises.
        """
        np = numpy()
        given = None
        if features is not None:
            given = np.ascontiguousarray(features, dtype="float32")
        options = c.options(c.SoundOptions, text=text, voice=None if voice is None else str(voice), seconds=seconds,
                            seed=seed, temperature=temperature)
        if given is not None:
            options.features = given.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            options.feature_count = given.size
        with c.Callbacks() as callbacks:
            options.cancelled = callbacks.wrap(c.Asked)
            with c.result("make_sound", c.Sound, self._handle, options) as made:
                samples = np.empty(made.count, dtype="float32")
                ctypes.memmove(samples.ctypes.data, made.samples, samples.nbytes)
                return samples, made.sample_rate

    def say(self, text, **options):
        """sound() of a text."""
        return self.sound(text, **options)
