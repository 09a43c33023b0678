#!/usr/bin/env python3
"""Makes onnx_quantised/: three small networks of random weights, quantised by ONNX Runtime's quantiser in each of its
ways, with what ONNX Runtime computes of an input.

usage: make_onnx_quantised.py FOLDER        (onnx 1.20, onnxruntime 1.23, numpy)

io.npz holds for each model NAME.x, NAME.y and NAME.step: the scale of the output, or, of those that have none, a 255th of
the range of y. y is what ONNX Runtime computes node by node, as the file says it. What it makes of the optimised graph may
be several steps off that.
"""
import logging
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.matmul_nbits_quantizer import DefaultWeightOnlyQuantConfig, MatMulNBitsQuantizer
from onnxruntime.quantization.shape_inference import quant_pre_process

logging.getLogger().setLevel(logging.ERROR)
random = np.random.default_rng(5)


class Net:
    """Nodes one after the other; every method gives the name of what it made."""

    def __init__(self, name, shape):
        self.name, self.shape = name, shape
        self.nodes, self.tensors = [], []

    def weight(self, *shape, scale=None):
        fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        values = random.standard_normal(shape) * (scale or 1.4 / np.sqrt(fan_in))
        return self.tensor(values.astype(np.float32))

    def tensor(self, values):
        name = f'w{len(self.tensors)}'
        self.tensors.append(numpy_helper.from_array(values, name))
        return name

    def add(self, op, *inputs, **attributes):
        name = f'{op}_{len(self.nodes)}'
        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name, **attributes))
        return name

    def linear(self, x, rows, columns):
        y = self.add('MatMul', x, self.weight(rows, columns))
        return self.add('Add', y, self.weight(columns, scale=0.1))

    def save(self, path, y):
        graph = helper.make_graph(
            self.nodes + [helper.make_node('Identity', [y], ['y'])], self.name,
            [helper.make_tensor_value_info('x', TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)], self.tensors)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 21)], ir_version=10)
        onnx.save(onnx.shape_inference.infer_shapes(model), path)


def conv(path):
    net = Net('conv', [1, 3, 16, 16])
    x = net.add('Conv', 'x', net.weight(8, 3, 3, 3), net.weight(8, scale=0.1), strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.add('Relu', x)
    y = net.add('Conv', x, net.weight(8, 1, 3, 3), net.weight(8, scale=0.1), pads=[1, 1, 1, 1], group=8)
    y = net.add('Clip', y, net.tensor(np.float32(0)), net.tensor(np.float32(6)))
    y = net.add('Conv', y, net.weight(8, 8, 1, 1), net.weight(8, scale=0.1))
    x = net.add('Add', x, y)
    x = net.add('Concat', x, net.add('Sigmoid', x), axis=1)
    x = net.add('MaxPool', x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.add('Conv', x, net.weight(16, 16, 3, 3), net.weight(16, scale=0.1), dilations=[2, 2], pads=[2, 2, 2, 2])
    x = net.add('LeakyRelu', x, alpha=0.1)
    x = net.add('GlobalAveragePool', x)
    x = net.add('Flatten', x)
    net.save(path, net.add('Gemm', x, net.weight(10, 16, scale=0.4), net.weight(10, scale=0.1), transB=1))
    return net


def mlp(path):
    net = Net('mlp', [4, 20])
    x = net.add('Relu', net.linear('x', 20, 48))
    x = net.add('Tanh', net.linear(x, 48, 32))
    net.save(path, net.linear(x, 32, 7))
    return net


def attention(path):
    net = Net('attention', [2, 9, 16])
    heads, width = 2, 16

    def norm(x):
        return net.add('LayerNormalization', x, net.tensor(np.ones(width, np.float32)),
                       net.tensor(np.zeros(width, np.float32)), axis=-1)

    def split(x):
        x = net.add('Reshape', x, net.tensor(np.array([0, 0, heads, width // heads], np.int64)))
        return net.add('Transpose', x, perm=[0, 2, 1, 3])

    h = norm('x')
    q, k, v = (split(net.linear(h, width, width)) for _ in range(3))
    scores = net.add('MatMul', q, net.add('Transpose', k, perm=[0, 1, 3, 2]))
    scores = net.add('Mul', scores, net.tensor(np.float32(8 ** -0.5)))
    mixed = net.add('MatMul', net.add('Softmax', scores, axis=-1), v)
    mixed = net.add('Reshape', net.add('Transpose', mixed, perm=[0, 2, 1, 3]),
                    net.tensor(np.array([0, 0, width], np.int64)))
    x = net.add('Add', 'x', net.linear(mixed, width, width))
    h = net.add('Gelu', net.linear(norm(x), width, 32))
    net.save(path, net.add('Add', x, net.linear(h, 32, width)))
    return net


def four_bits(source, target, _):
    config = DefaultWeightOnlyQuantConfig(block_size=16, is_symmetric=False, quant_format=QuantFormat.QDQ)
    quantiser = MatMulNBitsQuantizer(onnx.load(source), algo_config=config)
    quantiser.process()
    onnx.save(quantiser.model.model, target)


def sums(path):
    """Sums too long for f32: of a product and of a convolution of integers, exact, as multiples of 4096 and what is left."""
    def integers(least, most, *shape):
        return random.integers(least, most, shape, endpoint=True)

    tensors = {'x zero': np.uint8(3), 'w zero': np.uint8(250), 'one': np.float32(1),
               'w': integers(0, 9, 2000, 3).astype(np.uint8), 'k': integers(0, 255, 3, 500, 2, 2).astype(np.uint8),
               'picture': np.array([1, 500, 2, 10], np.int64), 'k zero': np.uint8(0), 'parts': np.int32(4096),
               'row': np.array([-1], np.int64), 'sixth': np.array([5, 2000], np.int64)}
    nodes = [('QuantizeLinear', ['x', 'one', 'x zero'], 'q', {}),
             ('Reshape', ['q', 'sixth'], 'rows', {}),
             ('MatMulInteger', ['rows', 'w', 'x zero', 'w zero'], 'product', {}),
             ('Reshape', ['q', 'picture'], 'pixels', {}),
             ('ConvInteger', ['pixels', 'k', 'x zero', 'k zero'], 'convolution', {'pads': [1, 0, 0, 1]}),
             ('Reshape', ['product', 'row'], 'first', {}), ('Reshape', ['convolution', 'row'], 'second', {}),
             ('Concat', ['first', 'second'], 'all', {'axis': 0}),
             ('Div', ['all', 'parts'], 'whole', {}), ('Mod', ['all', 'parts'], 'rest', {}),
             ('Concat', ['whole', 'rest'], 'both', {'axis': 0}), ('Cast', ['both'], 'y', {'to': TensorProto.FLOAT})]
    graph = helper.make_graph([helper.make_node(op, list(i), [o], name=o, **a) for op, i, o, a in nodes], 'sums',
                              [helper.make_tensor_value_info('x', TensorProto.FLOAT, [1, 10000])],
                              [helper.make_tensor_value_info('y', TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(np.asarray(t), n) for n, t in tensors.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', 21)], ir_version=10), path)
    return random.integers(100, 252, (1, 10000)).astype(np.float32)


class Reader(CalibrationDataReader):
    def __init__(self, batches):
        self.batches = iter(batches)

    def get_next(self):
        return next(self.batches, None)


def step_of(model, y):
    """The scale with which the output was quantised."""
    makers = {name: node for node in model.graph.node for name in node.output}
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    node = makers['y']
    while node.op_type in ('Identity', 'Reshape', 'Transpose', 'Flatten'):
        node = makers[node.input[0]]
    if node.op_type == 'DequantizeLinear':
        return np.float32(tensors[node.input[1]])
    return np.float32((y.max() - y.min()) / 255)


def run(path, x, level):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=['CPUExecutionProvider']).run(None, {'x': x})[0]


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    # Weights of 7 bits: with 8 ONNX Runtime's sums saturate at 16 bits on processors without VNNI.
    common = dict(per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)
    ways = {
        'qdq': lambda a, b, data: quantize_static(a, b, data, quant_format=QuantFormat.QDQ,
                                                  activation_type=QuantType.QInt8, **common),
        'qoperator': lambda a, b, data: quantize_static(a, b, data, quant_format=QuantFormat.QOperator,
                                                        activation_type=QuantType.QUInt8, **common),
        # ONNX Runtime has no ConvInteger of signed weights.
        'dynamic': lambda a, b, data: quantize_dynamic(a, b, weight_type=QuantType.QUInt8, reduce_range=True),
        'int16': lambda a, b, data: quantize_static(a, b, data, quant_format=QuantFormat.QDQ,
                                                    activation_type=QuantType.QUInt16, **common),
        'int4': four_bits,  # weights alone, in blocks of 16 rows
    }
    arrays = {}
    with tempfile.TemporaryDirectory() as work:
        for make in (conv, mlp, attention):
            plain = os.path.join(work, 'plain.onnx')
            net = make(plain)
            prepared = os.path.join(work, 'prepared.onnx')
            quant_pre_process(plain, prepared, skip_symbolic_shape=True)
            batches = [random.standard_normal(net.shape).astype(np.float32) for _ in range(16)]
            x = random.standard_normal(net.shape).astype(np.float32)
            for way, quantise in ways.items():
                if (way == 'int16' and net.name != 'mlp') or (way == 'int4' and net.name == 'conv'):
                    continue
                name = f'{net.name}_{way}'
                path = os.path.join(folder, name + '.onnx')
                # The quantiser of blocks knows no Gemm, of which optimisation makes some.
                quantise(plain if way == 'int4' else prepared, path, Reader([{'x': batch} for batch in batches]))
                model = onnx.load(path)
                del model.graph.value_info[:]
                for node in model.graph.node:
                    node.doc_string = ''
                onnx.save(model, path)
                y = run(path, x, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)
                plainly = run(path, x, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
                step = step_of(model, y)
                ops = sorted({f'{n.domain}:{n.op_type}' if n.domain else n.op_type for n in model.graph.node})
                print(f'{name}: {os.path.getsize(path)} bytes, step {step:.4g}, optimised and not differ by '
                      f'{np.abs(y - plainly).max() / step:.2f} steps, from float by '
                      f'{np.abs(y - run(plain, x, ort.GraphOptimizationLevel.ORT_ENABLE_ALL)).max() / step:.1f};',
                      ' '.join(ops))
                arrays |= {f'{name}.x': x, f'{name}.y': plainly, f'{name}.step': np.array([step], np.float32)}
    x = sums(os.path.join(folder, 'sums.onnx'))
    y = run(os.path.join(folder, 'sums.onnx'), x, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)
    print(f'sums: up to {np.abs(y[:len(y) // 2]).max() * 4096:.4g}')
    arrays |= {'sums.x': x, 'sums.y': y, 'sums.step': np.array([0.5], np.float32)}
    np.savez_compressed(os.path.join(folder, 'io.npz'), **arrays)


main()
