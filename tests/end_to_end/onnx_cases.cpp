// ONNX's own node tests (the folder shared/onnx-cases, in the layout of onnx.backend.test), each through `heed convert`
// and `heed run`. Prints what passed, failed and was refused, by operator.
//
// HEED_ONNX_CASES is another folder of such tests (make_onnx_cases.py makes more of them), HEED_ONNX_PART "K/N" takes
// every Nth case from the Kth on, and HEED_ONNX_CASE those with this in their name.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "formats/npy.h"
#include "graph/convert_dtype.h"
#include "heed/error.h"
#include "tests/end_to_end/process.h"
#include "tests/unit/convert/sample_files.h"
#include "tools/convert/onnx_proto.h"
#include "tools/convert/onnx_tensor.h"

namespace heed::end_to_end {
namespace {

namespace fs = std::filesystem;
using convert_test::read_whole;
using convert_test::TempFolder;

enum class Outcome { Passed, Refused, Failed };

struct Result {
  Outcome outcome = Outcome::Failed;
  std::string op;
  std::string message;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<fs::path> cases_folder() {
  const std::string other = environment("HEED_ONNX_CASES");
  return other.empty() ? convert_test::shared_file("onnx-cases") : fs::path(other);
}

HostTensor read_tensor(const fs::path& path) {
  onnx::TensorProto tensor;
  if (!tensor.ParseFromString(read_whole(path))) throw Error(path.string() + ": is no tensor");
  return convert::onnx_elements(tensor, path.filename().string(), path.parent_path());
}

void write_tensor(const fs::path& path, const HostTensor& tensor) {
  std::vector<std::byte> data;
  const DType type = tensor.type.dtype;
  const auto put = [&](auto value) {
    const auto bytes = std::as_bytes(std::span(&value, 1));
    data.insert(data.end(), bytes.begin(), bytes.end());
  };
  for (const double value : tensor.data) {
    if (type == DType::F64) {
      put(value);
    } else if (type == DType::F16) {
      put(f32_to_f16(static_cast<float>(value)));
    } else if (is_floating(type)) {
      put(static_cast<float>(value));  // NumPy has no bf16
    } else {
      const auto integer = static_cast<std::int64_t>(value);
      const auto bytes = std::as_bytes(std::span(&integer, 1)).first(dtype_info(type).block_bytes);
      data.insert(data.end(), bytes.begin(), bytes.end());
    }
  }
  write_npy(path, type, tensor.type.shape, data);
}

/// As --set takes it.
std::string listed(const HostTensor& tensor) {
  std::string text;
  for (const double value : tensor.data) text += fmt::format("{}{}", text.empty() ? "" : ",", value);
  return text;
}

/// What is wrong with an output, or nothing.
std::string compare(const HostTensor& expected, const NpyArray& actual, double relative, double absolute) {
  const DType type = expected.type.dtype == DType::BF16 ? DType::F32 : expected.type.dtype;
  if (actual.type != type) return fmt::format("is {}, expected {}", dtype_name(actual.type), dtype_name(type));
  if (actual.shape != expected.type.shape) {
    return fmt::format("is {}, expected {}", to_string(actual.shape), to_string(expected.type.shape));
  }
  std::vector<double> values;
  if (is_floating(type)) {
    const std::vector<float> floats = actual.floats("output");
    values.assign(floats.begin(), floats.end());
  } else {
    values = actual.wide_integers("output");
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double want = expected.data[i];
    const double have = values[i];
    const bool same = std::isfinite(want) ? std::abs(have - want) <= absolute + relative * std::abs(want)
                                          : have == want || (std::isnan(want) && std::isnan(have));
    if (!same) return fmt::format("element {} of {} is {}, expected {}", i, to_string(actual.shape), have, want);
  }
  return "";
}

/// "test_FOO_bar" is of the operator that the model has most to do with: its first one.
Result run_case(const fs::path& folder) {
  Result result;
  onnx::ModelProto model;
  if (!model.ParseFromString(read_whole(folder / "model.onnx"))) throw Error(folder.string() + ": no model");
  const bool expanded = folder.filename().string().find("_expanded") != std::string::npos;
  result.op = expanded ? "(expanded functions)" : model.graph().node_size() > 0 ? model.graph().node(0).op_type() : "";
  double relative = 1e-3;
  double absolute = 1e-7;
  std::ifstream(folder / "tolerance.txt") >> relative >> absolute;

  const TempFolder temporary;
  const std::string heed = (temporary.path() / "model.heed").string();
  const fs::path data = folder / "test_data_set_0";
  std::vector<std::string> convert = {"convert", (folder / "model.onnx").string(), "-o", heed};
  std::set<std::string> fixed;
  Finished converted = run_heed(convert);
  // Inputs that decide on branches and loops are fixed, as the message asks for.
  for (int i = 0; i < model.graph().input_size() && converted.exit_code == 1; ++i) {
    for (int j = 0; j < model.graph().input_size(); ++j) {
      const std::string& name = model.graph().input(j).name();
      if (converted.error.find("--set " + name + "=") == std::string::npos || !fixed.insert(name).second) continue;
      convert.push_back("--set");
      convert.push_back(name + "=" + listed(read_tensor(data / fmt::format("input_{}.pb", j))));
    }
    converted = run_heed(convert);
  }
  if (converted.exit_code != 0) {
    result.outcome = converted.exit_code == 1 ? Outcome::Refused : Outcome::Failed;
    result.message = converted.error;
    return result;
  }
  std::vector<std::string> arguments = {"run", heed, "--outputs", (temporary.path() / "out").string()};
  std::set<std::string> initialized = fixed;
  for (const auto& tensor : model.graph().initializer()) initialized.insert(tensor.name());
  for (int i = 0; i < model.graph().input_size(); ++i) {
    const std::string& name = model.graph().input(i).name();
    if (initialized.contains(name)) continue;
    const fs::path file = temporary.path() / fmt::format("input_{}.npy", i);
    write_tensor(file, read_tensor(data / fmt::format("input_{}.pb", i)));
    arguments.push_back("--input");
    arguments.push_back(fmt::format("{}={}", name, file.string()));
  }
  const Finished run = run_heed(arguments);
  if (run.exit_code != 0) {
    result.outcome = run.exit_code == 1 ? Outcome::Refused : Outcome::Failed;
    result.message = run.error;
    return result;
  }
  for (int i = 0; i < model.graph().output_size(); ++i) {
    std::string name = model.graph().output(i).name();
    std::replace(name.begin(), name.end(), '/', '_');
    const std::string wrong = compare(read_tensor(data / fmt::format("output_{}.pb", i)),
                                      read_npy(temporary.path() / "out" / (name + ".npy")), relative, absolute);
    if (!wrong.empty()) {
      result.message = fmt::format("output '{}' {}", name, wrong);
      return result;
    }
  }
  result.outcome = Outcome::Passed;
  return result;
}

}  // namespace

TEST_CASE("ONNX's node tests: at least 95 of 100 pass, and no answer is wrong") {
  const std::optional<fs::path> folder = cases_folder();
  if (!folder) return;
  std::vector<fs::path> cases;
  const std::string filter = environment("HEED_ONNX_CASE");
  for (const fs::directory_entry& entry : fs::directory_iterator(*folder)) {
    if (fs::exists(entry.path() / "model.onnx") && entry.path().filename().string().find(filter) != std::string::npos) {
      cases.push_back(entry.path());
    }
  }
  std::ranges::sort(cases);
  std::size_t part = 0;
  std::size_t parts = 1;
  std::sscanf(environment("HEED_ONNX_PART").c_str(), "%zu/%zu", &part, &parts);

  std::map<std::string, std::array<int, 3>> tally;  // by operator: passed, refused, failed
  std::array<int, 3> all = {};
  for (std::size_t i = part; i < cases.size(); i += parts) {
    Result result;
    try {
      result = run_case(cases[i]);
    } catch (const Error& error) {
      result.message = error.what();
    }
    const auto outcome = static_cast<std::size_t>(result.outcome);
    ++tally[result.op][outcome];
    ++all[outcome];
    const std::string text = fmt::format("{}: {}", cases[i].filename().string(), result.message);
    if (result.outcome == Outcome::Failed) FAIL_CHECK(text);
    if (result.outcome == Outcome::Refused) MESSAGE("refused ", text);
  }
  std::string table = fmt::format("{:<28} {:>6} {:>7} {:>6}\n", "operator", "passed", "refused", "failed");
  for (const auto& [op, counts] : tally) {
    table += fmt::format("{:<28} {:>6} {:>7} {:>6}\n", op, counts[0], counts[1], counts[2]);
  }
  MESSAGE(table, fmt::format("{:<28} {:>6} {:>7} {:>6}", "all", all[0], all[1], all[2]));
  CHECK(all[0] * 100 >= (all[0] + all[1] + all[2]) * 95);
}

}  // namespace heed::end_to_end
