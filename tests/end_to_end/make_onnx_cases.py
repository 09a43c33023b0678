#!/usr/bin/env python3
"""Makes tests in the layout of onnx.backend.test, for onnx_cases.cpp:

    make_onnx_cases.py nodes FOLDER [HAVE]    ONNX's own node tests, but for those of the folder HAVE and what is out of scope
    make_onnx_cases.py models FOLDER          graphs like those of ONNX's model tests, with random weights

    HEED_ONNX_CASES=FOLDER build/tests/end_to_end --source-file='*onnx_cases.cpp'

Made with onnx 1.20; `models` needs torch 2.14, torchvision 0.27 and onnxruntime 1.23, which gives the expected outputs.
"""
import os
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

warnings.filterwarnings('ignore')

# Not what heed is for, or what a graph of tensors with sizes that are known when it is planned cannot have.
OUT_OF_SCOPE = {
    'training': ('Adagrad', 'Adam', 'Momentum', 'Gradient', 'NegativeLogLikelihoodLoss', 'SoftmaxCrossEntropyLoss'),
    'texts': ('StringNormalizer', 'StringConcat', 'StringSplit', 'RegexFullMatch', 'TfIdfVectorizer', 'LabelEncoder'),
    'sizes that depend on data': ('NonZero', 'Unique', 'Compress', 'NonMaxSuppression'),
    'files': ('ImageDecoder',),
    'random numbers that no two programs draw alike': ('Bernoulli', 'RandomUniform', 'RandomNormal', 'Multinomial',
                                                        'RandomUniformLike', 'RandomNormalLike'),
    'trees and other models of classes': ('TreeEnsemble', 'ArrayFeatureExtractor', 'Binarizer'),
    'sequences and optionals': ('SequenceMap', 'Optional', 'OptionalHasElement', 'OptionalGetElement',
                                'SplitToSequence', 'ConcatFromSequence', 'SequenceInsert', 'SequenceAt'),
}
# What these expect wraps around where the specification says saturate, and ONNX Runtime does; and 0 / 0 is not 0.
WRONG = {'test_l2normalization_axis_0'} | {f'test_qlinearmatmul_{dims}_int8_{real}'
                                           for dims in ('2D', '3D') for real in ('float16', 'float32')}
REASONS = {op: why for why, ops in OUT_OF_SCOPE.items() for op in ops}
# Strings, complex numbers, and floats of 8 and 4 bits.
OUT_OF_SCOPE_TYPES = {8, 14, 15, 17, 18, 19, 20, 23, 24}


def save_case(folder, name, model, inputs, outputs, rtol, atol):
    data = os.path.join(folder, name, 'test_data_set_0')
    os.makedirs(data, exist_ok=True)
    onnx.save(model, os.path.join(folder, name, 'model.onnx'))
    with open(os.path.join(folder, name, 'tolerance.txt'), 'w') as file:
        file.write(f'{rtol} {atol}\n')
    for kind, tensors, infos in (('input', inputs, model.graph.input), ('output', outputs, model.graph.output)):
        for i, (tensor, info) in enumerate(zip(tensors, infos)):
            if not isinstance(tensor, TensorProto):
                tensor = numpy_helper.from_array(np.asarray(tensor), info.name)
            tensor.name = info.name
            with open(os.path.join(data, f'{kind}_{i}.pb'), 'wb') as file:
                file.write(tensor.SerializeToString())


def why_not(model):
    """Why a node test is out of scope, or nothing."""
    def nodes_of(graph):
        for node in graph.node:
            yield node
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    yield from nodes_of(attribute.g)
    for value in list(model.graph.input) + list(model.graph.output):
        if not value.type.HasField('tensor_type'):
            return 'sequences and optionals'
        if value.type.tensor_type.elem_type in OUT_OF_SCOPE_TYPES:
            return 'types'
    for node in list(nodes_of(model.graph)) + [n for f in model.functions for n in f.node]:
        if node.domain not in ('', 'ai.onnx') and not any(f.domain == node.domain for f in model.functions):
            return 'other domains'
        flags = {attribute.name: attribute.i for attribute in node.attribute}
        if flags.get('training_mode') or (node.op_type == 'Dropout' and len(node.input) > 2):
            return 'training'
        if node.op_type in REASONS:
            return REASONS[node.op_type]
        for attribute in node.attribute:
            if attribute.name in ('to', 'output_dtype', 'dtype') and attribute.i in OUT_OF_SCOPE_TYPES:
                return 'types'
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type in OUT_OF_SCOPE_TYPES:
                return 'types'
    for tensor in model.graph.initializer:
        if tensor.data_type in OUT_OF_SCOPE_TYPES:
            return 'types'
    return None


def make_nodes(folder, have):
    from onnx.backend.test.case.node import collect_testcases
    made, left = 0, {}
    for case in collect_testcases(None):
        if case.name in have:
            continue
        why = 'expect what ONNX Runtime does not compute' if case.name in WRONG else why_not(case.model)
        if why:
            left[why] = left.get(why, 0) + 1
            continue
        inputs, outputs = case.data_sets[0]
        save_case(folder, case.name, case.model, inputs, outputs, case.rtol, case.atol)
        made += 1
    print(f'{made} cases; out of scope:', ', '.join(f'{count} {why}' for why, count in sorted(left.items())))


def googlenet_with_lrn():
    """Inception v1 as Caffe has it: local response normalisation, pooling that rounds up, Dropout, Softmax."""
    random = np.random.default_rng(3)
    nodes, tensors = [], []

    def add(op, *inputs, **attributes):
        nodes.append(helper.make_node(op, list(inputs), [f'v{len(nodes)}'], **attributes))
        return nodes[-1].output[0]

    def weight(*shape):
        scale = np.sqrt(2.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.02
        tensors.append(numpy_helper.from_array((random.standard_normal(shape) * scale).astype(np.float32),
                                               f'w{len(tensors)}'))
        return tensors[-1].name

    def conv(x, inputs, outputs, kernel, stride=1):
        pad = kernel // 2
        return add('Relu', add('Conv', x, weight(outputs, inputs, kernel, kernel), weight(outputs),
                               kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4))

    def inception(x, inputs, a, b1, b2, c1, c2, d):
        pooled = add('MaxPool', x, kernel_shape=[3, 3], strides=[1, 1], pads=[1] * 4)
        return add('Concat', conv(x, inputs, a, 1), conv(conv(x, inputs, b1, 1), b1, b2, 3),
                   conv(conv(x, inputs, c1, 1), c1, c2, 5), conv(pooled, inputs, d, 1), axis=1)

    def pool(x):
        return add('MaxPool', x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)

    lrn = dict(size=5, alpha=1e-4, beta=0.75, bias=1.0)
    x = add('LRN', pool(conv('data', 3, 32, 7, 2)), **lrn)
    x = pool(add('LRN', conv(conv(x, 32, 32, 1), 32, 48, 3), **lrn))
    x = inception(x, 48, 32, 32, 48, 8, 16, 16)
    x = pool(inception(x, 112, 48, 32, 64, 8, 24, 16))
    x = inception(x, 152, 64, 32, 64, 8, 24, 24)
    x = add('Dropout', add('GlobalAveragePool', x))
    x = add('Reshape', x, 'flat')
    tensors.append(numpy_helper.from_array(np.array([0, -1], np.int64), 'flat'))
    y = add('Softmax', add('Gemm', x, weight(100, 176), weight(100), transB=1), axis=1)
    graph = helper.make_graph(nodes, 'inception_v1', [helper.make_tensor_value_info('data', 1, [1, 3, 112, 112])],
                              [helper.make_tensor_value_info(y, 1, [1, 100])], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)


def make_models(folder):
    import onnxruntime
    import torch
    import torchvision

    torch.manual_seed(1)

    def exported(name):
        net = getattr(torchvision.models, name)(weights=None, **({'aux_logits': False, 'init_weights': True}
                                                                 if name == 'googlenet' else {}))
        if name in ('vgg19', 'alexnet'):  # whose fully connected layers have hundreds of megabytes
            features = 512 * 4 if name == 'vgg19' else 256 * 9
            net.avgpool = torch.nn.Identity()  # which cannot be exported for other sizes than 224
            net.classifier = torch.nn.Sequential(torch.nn.Linear(features, 256), torch.nn.ReLU(), torch.nn.Dropout(),
                                                 torch.nn.Linear(256, 1000))
        for module in net.modules():  # as trained ones have it, so that nothing vanishes or overflows
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
        path = os.path.join(folder, 'exported.onnx')
        side = 64 if name in ('vgg19', 'resnet50', 'densenet121') else 128
        torch.onnx.export(net.eval(), torch.randn(1, 3, side, side), path, opset_version=17, dynamo=False,
                          input_names=['data'], output_names=['classes'])
        model = onnx.load(path)
        os.remove(path)
        return model

    makers = {'inception_v1': googlenet_with_lrn}
    for name in ('squeezenet1_0', 'shufflenet_v2_x1_0', 'resnet50', 'densenet121', 'googlenet', 'alexnet', 'vgg19',
                 'mobilenet_v3_small', 'efficientnet_b0'):
        makers[name] = lambda name=name: exported(name)
    os.makedirs(folder, exist_ok=True)
    wanted = os.environ.get('MODELS', '').split()
    for name, make in makers.items():
        if wanted and name not in wanted:
            continue
        model = make()
        dims = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
        x = np.random.default_rng(7).standard_normal(dims).astype(np.float32)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=['CPUExecutionProvider'])
        y = session.run(None, {model.graph.input[0].name: x})
        save_case(folder, 'test_' + name, model, [x], y, 1e-3, float(np.ptp(y[0])) * 1e-4)
        print(name, dims, 'to', y[0].shape, f'range {np.ptp(y[0]):.3g}', flush=True)


def main():
    kind, folder = sys.argv[1:3]
    if kind == 'nodes':
        make_nodes(folder, set(os.listdir(sys.argv[3])) if len(sys.argv) > 3 else set())
    else:
        make_models(folder)


main()
