#pragma once

#include <filesystem>
#include <memory>

#include "tools/convert/checkpoint.h"
#include "tools/convert/onnx_fixed.h"
#include "tools/convert/source_file.h"

namespace heed::convert {

/// Whether a file looks like an ONNX model: a protobuf message that begins with its ir_version.
bool is_onnx(const SourceFile& file);

/// Reads an ONNX model (opsets 1 to 25 of the default domain): a checkpoint that brings its graph. Nodes of constants
/// alone are computed here, functions of the model are put in place of their calls, and branches whose condition is a
/// constant are taken. Names and shapes of inputs and outputs are those of the file, but for what is fixed: inputs that
/// are constants then, and dimensions that have a size.
///
/// Throws Error naming the node for an operator, attribute, type or opset that heed does not have, for cycles and
/// values that nobody makes, naming the tensor for data that is missing or of another size than its shape says, and
/// naming what is fixed but is not there, or not so.
Checkpoint read_onnx(const std::shared_ptr<const SourceFile>& file, const FixedValues& fixed = {});

/// The same with what a user says of it: a JSON object of metadata (engine/file/format.md). Its key `graphs`, which
/// does not become metadata, maps names of graphs to ONNX files beside `input`, all of which are read; without it the
/// only graph is the one of `input`. Throws Error when the description is no such object or names inputs or outputs
/// that no graph has.
Checkpoint read_described_onnx(const std::filesystem::path& input, const std::filesystem::path& description,
                               const FixedValues& fixed = {});

}  // namespace heed::convert
