#pragma once

#include <map>
#include <string>
#include <vector>

#include "reference/evaluate.h"
#include "runtime/weights.h"
#include "tests/op_cases/op_case.h"

namespace heed::op_cases {

/// What a case feeds a device, and what the reference makes of it. Random numbers lie in [-1, 1), come from a counter
/// keyed by case and tensor name (the same on every machine), and are rounded to the storage type before both sides see
/// them.
struct CaseData {
  std::map<std::string, HostTensor> inputs;         // by name
  std::map<std::string, HostTensor> states_before;  // by name
  std::map<std::string, HostTensor> states_after;   // by the reference
  std::map<std::string, HostTensor> outputs;        // by the reference
  /// Other outputs, and states afterwards, that are as right, element by element, where a device takes inputs for
  /// others (special_values.h).
  std::vector<std::map<std::string, HostTensor>> also_right;
  MemoryWeights weights;                                       // as the file would hold them
  std::map<std::string, std::vector<double>> decoded_weights;  // by name, what the file would hold
};

/// Throws Error when the case's values do not fit its graph.
CaseData make_case_data(const OpCase& op_case);

}  // namespace heed::op_cases
