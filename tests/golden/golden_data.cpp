#include "tests/golden/golden_data.h"

#include <doctest/doctest.h>
#include <zip.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "formats/npy.h"
#include "graph/bind.h"
#include "heed/error.h"
#include "tools/convert/convert.h"
#include "tools/convert/safetensors.h"
#include "tools/convert/source_file.h"

namespace heed::golden {

nlohmann::json read_json(const std::filesystem::path& path) {
  return nlohmann::json::parse(convert_test::read_whole(path));
}

std::vector<TranslationGolden> translation_goldens(const char* key) {
  std::vector<TranslationGolden> found;
  const std::filesystem::path root = std::filesystem::path(HEED_SOURCE_DIR) / "tests" / "golden" / "translation";
  for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(root)) {
    nlohmann::json golden = read_json(entry.path() / "golden.json");
    if (golden.contains(key)) found.push_back({entry.path().filename().string(), entry.path(), std::move(golden)});
  }
  return found;
}

double Matrix::range() const {
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return *most - *least;
}

Matrix matrix_of(const nlohmann::json& rows) {
  Matrix matrix{rows.size(), rows.at(0).size(), {}};
  for (const nlohmann::json& row : rows) {
    REQUIRE(row.size() == matrix.columns);
    for (const nlohmann::json& value : row) matrix.values.push_back(value.get<double>());
  }
  return matrix;
}

namespace {

using Archive = std::unique_ptr<zip_t, void (*)(zip_t*)>;

Archive open_npz(const std::filesystem::path& path) {
  Archive archive(zip_open(path.c_str(), ZIP_RDONLY, nullptr), zip_discard);
  REQUIRE_MESSAGE(archive != nullptr, path.string());
  return archive;
}

NpyArray read_array(const std::filesystem::path& path, const std::string& name) {
  const Archive archive = open_npz(path);
  const std::string entry = name + ".npy";
  zip_stat_t stat;
  REQUIRE_MESSAGE(zip_stat(archive.get(), entry.c_str(), 0, &stat) == 0, entry);
  std::vector<std::byte> bytes(stat.size);
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> file(zip_fopen(archive.get(), entry.c_str(), 0), zip_fclose);
  REQUIRE(file != nullptr);
  REQUIRE(zip_fread(file.get(), bytes.data(), bytes.size()) == static_cast<zip_int64_t>(bytes.size()));
  return parse_npy(bytes, path.string() + ":" + entry);
}

}  // namespace

Matrix read_npz(const std::filesystem::path& path, const std::string& name) {
  const NpyArray array = read_array(path, name);
  Matrix matrix{1, 0, {}};
  if (array.type == DType::F64) {
    REQUIRE(array.shape.size() == 2);
    matrix.rows = static_cast<std::size_t>(array.shape[0]);
    matrix.values.resize(array.data.size() / sizeof(double));
    std::memcpy(matrix.values.data(), array.data.data(), array.data.size());
  } else {
    for (const std::int32_t value : array.integers(name)) matrix.values.push_back(value);
  }
  matrix.columns = matrix.values.size() / matrix.rows;
  return matrix;
}

HostTensor read_npz_tensor(const std::filesystem::path& path, const std::string& name) {
  const NpyArray array = read_array(path, name);
  HostTensor tensor{{array.type, array.shape}, {}};
  if (is_floating(array.type)) {
    const std::vector<float> values = array.floats(name);
    tensor.data.assign(values.begin(), values.end());
  } else {
    tensor.data = array.wide_integers(name);
  }
  return tensor;
}

HostTensor read_safetensors_tensor(const std::filesystem::path& path, const std::string& name) {
  const auto file = convert::SourceFile::open(path);
  for (const convert::SafetensorsEntry& entry : convert::read_safetensors(*file)) {
    if (entry.name != name) continue;
    const std::vector<std::byte> bytes = file->read_bytes(entry.offset, entry.size);
    HostTensor tensor{{entry.type == "F32" ? DType::F32 : DType::I64, entry.shape}, {}};
    const auto append = [&](auto kind) {
      std::vector<decltype(kind)> values(bytes.size() / sizeof(kind));
      std::memcpy(values.data(), bytes.data(), bytes.size());
      tensor.data.assign(values.begin(), values.end());
    };
    tensor.type.dtype == DType::F32 ? append(0.0f) : append(std::int64_t{0});
    return tensor;
  }
  FAIL("no tensor " << name);
  return {};
}

std::vector<std::string> names_in_npz(const std::filesystem::path& path) {
  const Archive archive = open_npz(path);
  std::vector<std::string> names;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); ++i) {
    const std::string name = zip_get_name(archive.get(), static_cast<zip_uint64_t>(i), 0);
    names.push_back(name.substr(0, name.rfind(".npy")));
  }
  return names;
}

const Device& device() {
  const char* const index = std::getenv("HEED_DEVICE_INDEX");
  static const Device opened(index == nullptr ? "" : index);
  return opened;
}

TextModel convert_and_open(const std::filesystem::path& input, const std::filesystem::path& tokenizer,
                           const convert_test::TempFolder& folder, std::optional<DType> type, std::int64_t context) {
  convert::ConvertOptions options;
  options.input = input;
  options.tokenizer = tokenizer;
  options.output = folder.path() / "model.heed";
  options.type = type;
  options.context = context;
  convert::convert_checkpoint(options);
  return TextModel(device(), options.output, 0, CacheType::F32);
}

Generation greedy(TextModel& model, const std::vector<std::int32_t>& prompt, std::int64_t count) {
  GenerationOptions options;
  options.sampling.temperature = 0;
  options.max_tokens = count;
  std::string streamed;
  Generation made = model.generate(prompt, options, [&](std::string_view text) { streamed += text; });
  CHECK(streamed == made.text);
  CHECK(made.prompt_tokens == prompt);
  return made;
}

double logits_error(const std::vector<float>& logits, const Matrix& expected) {
  REQUIRE(logits.size() == expected.values.size());
  double worst = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double error = std::abs(static_cast<double>(logits[i]) - expected.values[i]);
    if (std::isnan(error)) return std::numeric_limits<double>::infinity();
    worst = std::max(worst, error);
  }
  return worst / expected.range();
}

std::int32_t argmax(std::span<const float> values) {
  return static_cast<std::int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

namespace {

std::vector<std::byte> words_of(const HostTensor& tensor) {
  std::vector<std::byte> bytes;
  const auto put = [&](auto word) {
    const auto part = std::as_bytes(std::span(&word, 1));
    bytes.insert(bytes.end(), part.begin(), part.end());
  };
  for (const double value : tensor.data) {
    is_floating(tensor.type.dtype) ? put(static_cast<float>(value)) : put(static_cast<std::int32_t>(value));
  }
  return bytes;
}

std::filesystem::path converted(const std::filesystem::path& input, const std::filesystem::path& description,
                                const std::filesystem::path& output) {
  convert::ConvertOptions options;
  options.input = input;
  options.output = output;
  options.description = description;
  convert::convert_checkpoint(options);
  return output;
}

}  // namespace

ConvertedModel::ConvertedModel(const std::filesystem::path& input, const std::filesystem::path& description)
    : file_(ModelFile::open(converted(input, description, path()))),
      source_(file_),
      weights_(device().gpu(), source_),
      session_(device().gpu(), weights_) {}

std::map<std::string, HostTensor> ConvertedModel::run(const Graph& graph,
                                                      const std::map<std::string, HostTensor>& inputs) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : inputs) shapes[name] = tensor.type.shape;
  return run(graph, inputs, bind_inputs(graph, shapes));
}

std::map<std::string, HostTensor> run(Session& session, const Graph& graph,
                                      const std::map<std::string, HostTensor>& inputs, const Bindings& dims) {
  Executable& executable = session.prepare(graph, dims);
  for (const auto& [name, tensor] : inputs) {
    if (session.has(name)) session.write(name, words_of(tensor));  // those that nothing reads have no place
  }
  session.run(executable);
  std::map<std::string, HostTensor> outputs;
  for (const ValueId id : graph.outputs) {
    const std::string& name = graph.value(id).name;
    const Plan& plan = executable.plan();
    HostTensor& output = outputs[name];
    output.type = plan.tensors[plan.tensor_named(name)].type;
    const auto count = static_cast<std::size_t>(element_count(output.type.shape));
    if (!is_floating(output.type.dtype)) {
      std::vector<std::int32_t> integers(count);
      session.read_output(executable, name, std::as_writable_bytes(std::span(integers)));
      output.data.assign(integers.begin(), integers.end());
      continue;
    }
    std::vector<float> values(count);
    session.read_output(executable, name, std::as_writable_bytes(std::span(values)));
    output.data.assign(values.begin(), values.end());
  }
  return outputs;
}

double range_error(const HostTensor& actual, const HostTensor& expected) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (actual.type.shape != expected.type.shape || expected.data.empty()) return kInfinity;
  const auto [least, most] = std::ranges::minmax(expected.data);
  double worst = 0.0;
  for (std::size_t i = 0; i < actual.data.size(); ++i) {
    const double error = std::abs(actual.data[i] - expected.data[i]) / (most - least);
    if (!(error <= worst)) worst = std::isnan(error) ? kInfinity : error;
  }
  return worst;
}

bool quick() { return std::getenv("HEED_GOLDEN_QUICK") != nullptr; }

}  // namespace heed::golden
