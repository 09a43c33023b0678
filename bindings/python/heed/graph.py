"""Any graph of a file, on numpy arrays."""

import ctypes
import json

from . import _library as c
from .device import Model, numpy
from .errors import InvalidArgument

_TYPES = {"f64": "float64", "i8": "int8", "i16": "int16", "i32": "int32", "u8": "uint8", "u16": "uint16",
          "u32": "uint32", "u64": "uint64", "bool": "bool", "f16": "float16"}


class GraphModel(Model):
    """A model as plain graphs: arrays in, arrays out."""

    _open = "graph_model_open"

    def describe(self):
        """{"graphs": [{"name": ..., "inputs": [{"name", "type", "shape"}], "outputs": [...]}]}"""
        with c.result("graph_model_describe", c.Text, self._handle) as text:
            return json.loads(c.text_at(text.text, text.bytes))

    def run(self, inputs, graph=None, sizes=None):
        """Runs a graph on {name: array}, and gives {name: array}.

        graph: which, else the model's main one. sizes: {dimension: size} of named dimensions that follow from no input.
        States start at zero and go on from run to run; reset() sets them back. Ctrl-C waits for the end of a run.
        """
        np = numpy()
        kept, arrays = [], []
        for name, value in inputs.items():
            array = np.asarray(value)
            size = array.shape  # ascontiguousarray() makes a list of a scalar
            if array.dtype.kind == "f":
                array, kind = np.ascontiguousarray(array, dtype="float32"), c.F32
            elif array.dtype.kind in "iub":
                if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
                    raise InvalidArgument(f"input '{name}': {array.max()} does not fit 64 bits with a sign")
                array, kind = np.ascontiguousarray(array, dtype="int64"), c.I64
            else:
                raise InvalidArgument(f"input '{name}': type {array.dtype}, expected numbers or booleans")
            shape = (ctypes.c_int64 * len(size))(*size)
            made = c.options(c.Array, name=name, type=kind, rank=len(shape), data=array.ctypes.data)
            made.shape = shape
            kept.append((array, shape))
            arrays.append(ctypes.pointer(made))
        options = c.options(c.RunOptions, graph=graph)
        names = (ctypes.c_char_p * len(sizes or {}))(*[c.c_text(name, "sizes") for name in sizes or {}])
        options.dimensions, options.dimension_count = names, len(names)
        options.dimension_sizes = (ctypes.c_int64 * len(names))(*(sizes or {}).values())
        given = (ctypes.POINTER(c.Array) * len(arrays))(*arrays)
        with c.result("run", c.Arrays, self._handle, given, len(arrays), options) as outputs:
            return dict(_output(outputs.arrays[i].contents) for i in range(outputs.count))

    def reset(self):
        """Sets all states to zero."""
        c.call("graph_reset", self._handle)


def _output(made):
    np = numpy()
    shape = made.shape[:made.rank]
    count = 1
    for size in shape:
        count *= size
    kind = ctypes.c_float if made.type == c.F32 else ctypes.c_int64
    if count == 0:
        array = np.empty(shape, dtype="float32" if made.type == c.F32 else "int64")
    else:
        array = np.ctypeslib.as_array((kind * count).from_address(made.data)).reshape(shape).copy()
    wanted = _TYPES.get(made.graph_type.decode())
    return made.name.decode(), array if wanted is None else array.astype(wanted)
