#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "graph/dtype.h"
#include "heed/text.h"
#include "ops/op.h"
#include "runtime/session.h"
#include "tests/unit/convert/sample_files.h"

/// What the tests that compare with other programs' outputs share.
namespace heed::golden {

nlohmann::json read_json(const std::filesystem::path& path);

/// A folder of tests/golden/translation and its golden.json.
struct TranslationGolden {
  std::string kind;  // the folder's name
  std::filesystem::path folder;
  nlohmann::json golden;
};
/// Those whose golden.json has a key.
std::vector<TranslationGolden> translation_goldens(const char* key);

/// Rows of numbers.
struct Matrix {
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::vector<double> values;
  std::span<const double> row(std::size_t i) const { return std::span(values).subspan(i * columns, columns); }
  double range() const;  // largest minus smallest
};
Matrix matrix_of(const nlohmann::json& rows);
/// An array of float64 with two dimensions, or of integers with one (a single row then), out of an .npz file.
Matrix read_npz(const std::filesystem::path& path, const std::string& name);

/// An array of real numbers or integers, decoded, with its shape.
HostTensor read_npz_tensor(const std::filesystem::path& path, const std::string& name);
/// A tensor of f32 or i64 in a safetensors file, decoded, with its shape.
HostTensor read_safetensors_tensor(const std::filesystem::path& path, const std::string& name);
/// Names of the arrays in an .npz file.
std::vector<std::string> names_in_npz(const std::filesystem::path& path);

/// The device that all golden tests run on: the best one there is.
/// The best one, or that of index HEED_DEVICE_INDEX.
const Device& device();
/// Converts a checkpoint into `folder`, as model.heed, and opens the result on device(), with a cache of f32: what
/// others computed knows no other.
TextModel convert_and_open(const std::filesystem::path& input, const std::filesystem::path& tokenizer,
                           const convert_test::TempFolder& folder, std::optional<DType> type = {},
                           std::int64_t context = 0);

/// Runs a graph on all its inputs, by name. States stay between runs. Gives all outputs by name, decoded.
std::map<std::string, HostTensor> run(Session& session, const Graph& graph,
                                      const std::map<std::string, HostTensor>& inputs, const Bindings& dims);

/// A checkpoint converted and opened on device().
class ConvertedModel {
 public:
  explicit ConvertedModel(const std::filesystem::path& input, const std::filesystem::path& description = {});

  const ModelFile& file() const { return file_; }
  std::filesystem::path path() const { return folder_.path() / "model.heed"; }
  /// Runs a graph on all its inputs, by name; dimensions are as their shapes say. Gives all outputs by name, decoded.
  std::map<std::string, HostTensor> run(const Graph& graph, const std::map<std::string, HostTensor>& inputs);
  /// The same with all dimensions given. States stay between runs.
  std::map<std::string, HostTensor> run(const Graph& graph, const std::map<std::string, HostTensor>& inputs,
                                        const Bindings& dims) {
    return golden::run(session_, graph, inputs, dims);
  }

 private:
  convert_test::TempFolder folder_;
  ModelFile file_;
  FileWeights source_;
  WeightStore weights_;
  Session session_;
};

/// The largest |actual - expected| over the range of what is expected; infinity for another shape or what is no number.
double range_error(const HostTensor& actual, const HostTensor& expected);

/// HEED_GOLDEN_QUICK in the environment: one set of inputs a model, and none is drawn in steps. For drivers that keep
/// no compiled kernels.
bool quick();

/// Greedy continuation of a prompt; `show` gets the pieces that stream.
Generation greedy(TextModel& model, const std::vector<std::int32_t>& prompt, std::int64_t count);
/// The largest |logit - expected| over the range of what is expected; infinity when one is no number.
double logits_error(const std::vector<float>& logits, const Matrix& expected);
std::int32_t argmax(std::span<const float> values);

}  // namespace heed::golden
