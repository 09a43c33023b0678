#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "graph/host_tensor.h"

namespace heed::convert {

/// What a user fixes of an ONNX model before it is converted (`--set NAME=VALUE`): values of inputs, and sizes of named
/// dimensions. Texts by name: a number, numbers with commas between them, true or false.
using FixedValues = std::map<std::string, std::string>;

/// Which of them the files of a model knew, and what else they would have known.
struct FixedNames {
  std::set<std::string> used;
  std::vector<std::string> inputs;  // "x f32 [batch, 3]"
  std::set<std::string> dimensions;
  std::vector<std::string> notes;  // "input 'sr' is fixed to 16000", a line each
};

/// Splits "NAME=VALUE" at the last "=", and adds it. Throws Error where there is none, and where the name has a value.
void add_fixed(FixedValues& fixed, const std::string& assignment);

/// The text as a tensor of this type and shape; a dimension without a size gets the one that the number of values
/// leaves. Throws Error naming the input where a value is no such number, or where there are more or fewer.
HostTensor fixed_tensor(const std::string& name, const std::string& text, DType type, const SymbolicShape& shape);
/// The same as a size. Throws Error naming the dimension.
std::int64_t fixed_size(const std::string& name, const std::string& text);

/// Throws Error where a name is neither an input nor a dimension, saying which there are.
void refuse_unused(const FixedValues& fixed, const FixedNames& names);

}  // namespace heed::convert
