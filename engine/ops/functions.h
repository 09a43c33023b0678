#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "graph/dtype.h"
#include "graph/graph.h"

namespace heed::ops {

/// What a function of op elementwise takes and gives.
enum class Domain {
  Real,        // floats -> f32
  Integer,     // integers or booleans -> the same type
  Number,      // floats -> f32, integers -> the same type
  RealTest,    // floats -> bool
  Comparison,  // floats or integers -> bool
};

/// One function of shaders/include/functions.glsl.
struct Function {
  std::string_view name;
  unsigned number;    // in the shader
  unsigned operands;  // 1 or 2
  Domain domain;
  /// Attributes that are its parameters, in the shader's order; empty names for none.
  std::string_view parameters[2];
  double otherwise[2];  // their defaults
};

std::span<const Function> all_functions();
/// nullptr when there is none of this name.
const Function* find_function(std::string_view name);
/// Parameter 0 or 1 of a function in a node.
double function_parameter(const Function& function, const Node& node, std::size_t i);
/// The function in double; `type` says what an integer result wraps around to. a and b are of the type of the operands.
double apply_function(const Function& function, const Node& node, DType type, double a, double b);

/// To the nearest number of the type, ties to even: f16 and bf16 round, integers truncate and wrap around; others stay.
double convert_number(DType from, DType to, double value);

}  // namespace heed::ops
