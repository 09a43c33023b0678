"""Writes a convolutional network as an ONNX file with random weights, and as ncnn's text of layers.

usage: bench_ncnn_graphs.py NETWORK FOLDER      NETWORK: squeezenet or resnet

Both files come from one description, so that two engines run the same graph; ncnn's has no weights, since its benchmark
makes its own. Needs nothing but Python's library. Prints the size of the input, as benchncnn wants it.
"""
import math
import random
import struct
import sys
from array import array
from pathlib import Path


# Protocol buffers: just what ONNX's ModelProto needs.
def varint(value):
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def number(field, value):
    return varint(field << 3) + varint(value)


def chunk(field, value):
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def attribute(name, value):
    if isinstance(value, list):
        return chunk(5, chunk(1, name) + b"".join(number(8, v) for v in value) + number(20, 7))
    return chunk(5, chunk(1, name) + number(3, value) + number(20, 2))


def value_info(name, shape):
    dims = b"".join(chunk(1, number(1, size)) for size in shape)
    return chunk(1, name) + chunk(2, chunk(1, number(1, 1) + chunk(2, dims)))


class Network:
    """Layers in order; a tensor is (name, channels, height, width)."""

    def __init__(self, channels, size):
        self.nodes, self.tensors, self.layers = [], [], []
        self.readers = {}
        self.random = random.Random(1)
        self.input = ("data", channels, size, size)
        self.made = 0
        self.flops = 0

    def name(self, kind):
        self.made += 1
        return f"{kind}{self.made}"

    def node(self, op, inputs, output, **attributes):
        body = b"".join(chunk(1, name) for name in inputs) + chunk(2, output) + chunk(3, output) + chunk(4, op)
        self.nodes.append(chunk(1, body + b"".join(attribute(k, v) for k, v in attributes.items())))

    def layer(self, kind, name, inputs, parameters=""):
        for tensor in inputs:
            self.readers[tensor] = self.readers.get(tensor, 0) + 1
        self.layers.append((kind, name, inputs, parameters))

    def weight(self, name, shape, scale):
        values = array("f", (self.random.uniform(-scale, scale) for _ in range(math.prod(shape))))
        if sys.byteorder == "big":
            values.byteswap()
        dims = b"".join(number(1, size) for size in shape)
        self.tensors.append(chunk(5, dims + number(2, 1) + chunk(8, name) + chunk(9, values.tobytes())))

    def conv(self, x, outputs, kernel, stride=1, pad=0, relu=True):
        name, (of, channels, height, width) = self.name("conv"), x
        elements = channels * kernel * kernel
        self.weight(name + ".w", [outputs, channels, kernel, kernel], math.sqrt(6 / elements))
        self.weight(name + ".b", [outputs], 0.1)
        result = name + ".sum" if relu else name
        self.node("Conv", [of, name + ".w", name + ".b"], result, kernel_shape=[kernel] * 2, strides=[stride] * 2,
                  pads=[pad] * 4)
        if relu:
            self.node("Relu", [result], name)
        self.layer("Convolution", name, [of],
                   f"0={outputs} 1={kernel} 3={stride} 4={pad} 5=1 6={outputs * elements} 9={int(relu)}")
        height, width = [(size + 2 * pad - kernel) // stride + 1 for size in (height, width)]
        self.flops += 2 * outputs * elements * height * width
        return name, outputs, height, width

    def max_pool(self, x, pad=0):
        name, (of, channels, height, width) = self.name("pool"), x
        self.node("MaxPool", [of], name, kernel_shape=[3, 3], strides=[2, 2], pads=[pad] * 4, ceil_mode=1)
        self.layer("Pooling", name, [of], f"0=0 1=3 2=2 3={pad}")
        height, width = [-(-(size + 2 * pad - 3) // 2) + 1 for size in (height, width)]
        return name, channels, height, width

    def average(self, x):
        name = self.name("average")
        self.node("GlobalAveragePool", [x[0]], name)
        self.layer("Pooling", name, [x[0]], "0=1 4=1")
        return name, x[1], 1, 1

    def concat(self, a, b):
        name = self.name("concat")
        self.node("Concat", [a[0], b[0]], name, axis=1)
        self.layer("Concat", name, [a[0], b[0]])
        return name, a[1] + b[1], a[2], a[3]

    def add_relu(self, a, b):
        name = self.name("add")
        self.node("Add", [a[0], b[0]], name + ".sum")
        self.node("Relu", [name + ".sum"], name)
        self.layer("BinaryOp", name + ".sum", [a[0], b[0]], "0=0")
        self.layer("ReLU", name, [name + ".sum"])
        return name, a[1], a[2], a[3]

    def onnx(self, y):
        graph = b"".join(self.nodes) + chunk(2, "graph") + b"".join(self.tensors)
        graph += chunk(11, value_info(self.input[0], [1, *self.input[1:]])) + chunk(12, value_info(y[0], [1, *y[1:]]))
        return number(1, 8) + chunk(7, graph) + chunk(8, number(2, 13))

    def ncnn(self):
        """What several layers read goes through a Split, which gives each a tensor of its own."""
        lines, blobs, parts = [], 0, {}

        def add(kind, name, inputs, outputs, parameters=""):
            nonlocal blobs
            blobs += len(outputs)
            lines.append(" ".join([kind, name, str(len(inputs)), str(len(outputs)), *inputs, *outputs, parameters]))

        def made(name):
            count = self.readers.get(name, 0)
            if count < 2:
                return
            parts[name] = [f"{name}.{i}" for i in range(count)]
            add("Split", "split." + name, [name], list(parts[name]))

        _, channels, height, width = self.input
        add("Input", "data", [], ["data"], f"0={width} 1={height} 2={channels}")
        made("data")
        for kind, name, inputs, parameters in self.layers:
            add(kind, name, [parts[i].pop(0) if i in parts else i for i in inputs], [name], parameters)
            made(name)
        return "\n".join(["7767517", f"{len(lines)} {blobs}", *lines]) + "\n"


def squeezenet():
    """SqueezeNet 1.1 without its softmax."""
    net = Network(3, 227)
    x = net.max_pool(net.conv(net.input, 64, 3, 2))
    for squeeze, expand, pool in ((16, 64, 0), (16, 64, 1), (32, 128, 0), (32, 128, 1), (48, 192, 0), (48, 192, 0),
                                  (64, 256, 0), (64, 256, 0)):
        s = net.conv(x, squeeze, 1)
        x = net.concat(net.conv(s, expand, 1), net.conv(s, expand, 3, pad=1))
        x = net.max_pool(x) if pool else x
    return net, net.average(net.conv(x, 1000, 1))


def resnet():
    """ResNet-18 without batch norms, which engines fold into the convolutions, and without its last product."""
    net = Network(3, 224)
    x = net.max_pool(net.conv(net.input, 64, 7, 2, 3), 1)
    for outputs, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        y = net.conv(net.conv(x, outputs, 3, stride, 1), outputs, 3, 1, 1, relu=False)
        short = x if stride == 1 else net.conv(x, outputs, 1, stride, relu=False)
        x = net.add_relu(y, short)
    return net, net.average(x)


def main():
    networks = {"squeezenet": squeezenet, "resnet": resnet}
    if len(sys.argv) != 3 or sys.argv[1] not in networks:
        sys.exit("usage: bench_ncnn_graphs.py squeezenet|resnet FOLDER")
    net, y = networks[sys.argv[1]]()
    stem = Path(sys.argv[2]) / sys.argv[1]
    stem.with_suffix(".onnx").write_bytes(net.onnx(y))
    stem.with_suffix(".param").write_text(net.ncnn())
    _, channels, height, width = net.input
    print(f"[{width},{height},{channels}]")


main()
