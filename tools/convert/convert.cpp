#include "tools/convert/convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "file/output_file.h"
#include "graph/shape.h"
#include "heed/error.h"
#include "models/decoder.h"
#include "models/generator.h"
#include "models/picture_tokens.h"
#include "models/recurrent_translation.h"
#include "models/transformer.h"
#include "models/wavenet.h"
#include "tokenizer/tokenizer.h"
#include "tools/convert/fold.h"
#include "tools/convert/generator.h"
#include "tools/convert/gguf.h"
#include "tools/convert/huggingface.h"
#include "tools/convert/json_text.h"
#include "tools/convert/llama2c.h"
#include "tools/convert/onnx.h"
#include "tools/convert/own_model.h"
#include "tools/convert/picture_tokens.h"
#include "tools/convert/rope_scaling.h"
#include "tools/convert/source_file.h"
#include "tools/convert/state_file.h"
#include "tools/convert/text.h"
#include "tools/convert/wavenet_model.h"

namespace heed::convert {

namespace {

namespace fs = std::filesystem;

bool is_quantised(DType type) { return dtype_info(type).block_elements > 1; }

/// What is stored where rows do not divide into the large blocks of a type: q5_0 and q8_0 are what llama.cpp takes too.
DType of_smaller_blocks(DType type) {
  switch (type) {
    case DType::Q4_K:
      return DType::Q5_0;
    case DType::Q6_K:
      return DType::Q8_0;
    default:
      return type;
  }
}

bool divides(DType type, const SourceTensor& tensor) {
  return tensor.shape.back() % dtype_info(type).block_elements == 0;
}

/// Tensors that are stored in another type than was asked for, by that type.
using Kept = std::map<DType, std::vector<std::string>>;

/// Whether a tensor makes choices, which rounding would change as a whole: routers of mixtures of experts, which are
/// small.
bool decides_by_itself(std::string_view name) {
  return name.ends_with(".ffn_gate_inp.weight") || name.ends_with(".ffn_gate_inp_shexp.weight");
}

/// The element type in which a tensor is stored.
DType stored_type(const SourceTensor& tensor, std::optional<DType> type, Kept& kept) {
  if (!is_floating(tensor.dtype)) return tensor.dtype;
  // Norms and biases; those of both directions of a recurrent layer stand one below the other.
  if (tensor.shape.size() < 2 || tensor.name.ends_with(".bias")) return DType::F32;
  if (decides_by_itself(tensor.name) || tensor.stays_f32) return DType::F32;
  const DType wanted = type.value_or(tensor.dtype);
  if (!is_quantised(wanted) || divides(wanted, tensor)) return wanted;
  const DType smaller = of_smaller_blocks(wanted);
  const DType stored = divides(smaller, tensor) ? smaller : DType::F32;
  kept[stored].push_back(fmt::format("{} {}", tensor.shown_name(), to_string(tensor.shape)));
  return stored;
}

void note_kept(const Kept& kept, DType type, std::vector<std::string>& notes) {
  constexpr std::size_t kShown = 4;
  for (const auto& [stored, tensors] : kept) {
    std::string names;
    for (std::size_t i = 0; i < std::min(kShown, tensors.size()); ++i) names += (i == 0 ? "" : ", ") + tensors[i];
    if (tensors.size() > kShown) names += fmt::format(" and {} more", tensors.size() - kShown);
    // The types tried, in turn: that asked for, and one of smaller blocks.
    const DType last = is_quantised(stored) ? type : of_smaller_blocks(type);
    notes.push_back(fmt::format("stored as {}, because their rows are not a multiple of {} elements as {} needs: {}",
                                dtype_name(stored), dtype_info(last).block_elements, dtype_name(last), names));
  }
}

std::string architecture_of(const Checkpoint& checkpoint) {
  return checkpoint.architecture.empty() ? checkpoint.family : checkpoint.architecture;
}

std::vector<float> values_of(const Checkpoint& checkpoint, const std::string& name) {
  return tensor_values(*std::ranges::find(checkpoint.tensors, name, &SourceTensor::name));
}

std::vector<Graph> make_translation_graphs(const Checkpoint& checkpoint, const models::TensorTable& table,
                                           nlohmann::json& metadata) {
  metadata["task"] = "translation";
  metadata["encoder"] = "encode";
  nlohmann::json& parameters = metadata["parameters"];
  std::vector<Graph> graphs;
  if (checkpoint.family == "transformer") {
    const auto transformer = models::TransformerParameters::from_json(checkpoint.parameters);
    parameters = transformer.to_json();
    graphs = models::transformer_graphs(transformer, table, checkpoint.name_in_file);
  } else {
    const auto recurrent = models::RecurrentParameters::from_json(checkpoint.parameters);
    parameters = recurrent.to_json();
    graphs = models::recurrent_graphs(recurrent, table, checkpoint.name_in_file);
  }
  for (const char* key : {"context", "source_context", "vocabulary", "source_vocabulary"}) {
    metadata[key] = parameters[key];
  }
  return graphs;
}

/// The graphs of the checkpoint's recipe, the main one first; `metadata` gets parameters in full and what loops need.
std::vector<Graph> make_graphs(const Checkpoint& checkpoint, const models::TensorTable& table,
                               nlohmann::json& metadata) {
  if (checkpoint.family == "generator") {
    models::Generator made = models::generator(checkpoint.parameters, table);
    metadata.update(made.metadata);
    return std::move(made.graphs);
  }
  const auto values = [&](const std::string& name) { return values_of(checkpoint, name); };
  if (checkpoint.family == "picture-tokens") {
    models::PictureTokens made = models::picture_tokens(checkpoint.parameters, table, values, checkpoint.name_in_file);
    metadata.update(made.metadata);
    return std::move(made.graphs);
  }
  if (checkpoint.family == "transformer" || checkpoint.family == "recurrent") {
    return make_translation_graphs(checkpoint, table, metadata);
  }
  if (checkpoint.family == "wavenet") {
    const auto wavenet = models::WavenetParameters::from_json(checkpoint.parameters);
    metadata["task"] = "sound";
    metadata["parameters"] = wavenet.to_json();
    return models::wavenet_graphs(wavenet, table);
  }
  if (checkpoint.family != "decoder") {
    throw Error(fmt::format("there is no recipe for models of family {}", in_quotes(checkpoint.family)));
  }
  metadata["task"] = "text-generation";
  const auto decoder = models::DecoderParameters::from_json(checkpoint.parameters);
  const nlohmann::json& parameters = metadata["parameters"] = decoder.to_json();
  std::vector<Graph> graphs = {models::decoder_graph(decoder, table, values, checkpoint.name_in_file)};
  metadata["context"] = parameters["context"];
  metadata["vocabulary"] = parameters["vocabulary"];
  return graphs;
}

/// A graph with the element types in which its weights are stored.
Graph with_types(Graph graph, const models::TensorTable& table) {
  for (Value& value : graph.values) {
    if (value.kind == ValueKind::Weight) value.dtype = table.at(value.name).dtype;
  }
  return graph;
}

/// Says what a file that is not recognised looks like, when that helps.
[[noreturn]] void not_recognised(const fs::path& input, const SourceFile* file) {
  std::string what = "is none of them";
  const std::string start = file == nullptr ? "" : file->read_text(0, std::min<std::uint64_t>(file->size(), 16));
  if (file == nullptr) {
    what = "is a folder without a config.json";
  } else if (start.starts_with(kMagic)) {
    what = "is a .heed file already";
  } else if (start.empty()) {
    what = "is empty";
  } else if (start.size() > 8 && start[8] == '{') {
    what = "looks like a safetensors file; name the folder that holds it and its config.json";
  } else if (start.front() == '{') {
    what = "looks like JSON; name the folder that holds it";
  } else if (is_pytorch(*file)) {
    what = "looks like a file of torch.save or another zip file; name the folder that holds it and its config.json";
  }
  throw Error(
      fmt::format("{}: heed converts GGUF files, llama2.c .bin files, ONNX models, Hugging Face folders and folders of "
                  "generators and WaveNets; this {}",
                  input.string(), what));
}

/// A folder of either kind says so in its config.json; says what one is missing that does not.
void refuse_unnamed_folder(const fs::path& folder) {
  const fs::path path = folder / "config.json";
  const nlohmann::json config = read_json(path, kMaxConfigBytes);
  if (!config.is_object() || config.contains("architectures")) return;
  const std::string type = config.contains("model_type") ? shown(config["model_type"]) : "missing";
  if ((type != "missing" && !config.contains("layers")) || is_own_translation(config)) return;
  throw Error(fmt::format(
      "{}: 'model_type' is {}; a folder of a picture generator has \"model_type\": \"generator\" there "
      "(models/generator.h lists the keys), one of a model of pictures as tokens \"picture-tokens\" "
      "(models/picture_tokens.h), one of a translation model of your own \"transformer-translation\" or "
      "\"recurrent-translation\" (README.md), one of a WaveNet \"wavenet\" (tools/convert/wavenet_model.h), one of a "
      "Hugging Face model names its 'architectures'",
      path.string(), type));
}

Checkpoint read_recognised(const fs::path& input, const fs::path& tokenizer, const FixedValues& fixed,
                           std::int64_t context) {
  std::error_code ignored;
  const bool is_folder = fs::is_directory(input, ignored);
  const auto file = is_folder ? nullptr : SourceFile::open(input);
  const bool gguf = file != nullptr && is_gguf(*file);
  const bool onnx = file != nullptr && !gguf && is_onnx(*file);
  if (!onnx && !fixed.empty()) {
    throw Error(fmt::format("{}: --set {}={} fixes an input of an ONNX model, which this is not; leave it out",
                            input.string(), fixed.begin()->first, fixed.begin()->second));
  }
  if (context > 0 && !gguf && !(is_folder && is_huggingface(input))) throw_context_is_settled(input.string());
  if (file != nullptr && !gguf && is_llama2c(*file)) {
    const auto tokenizer_file = tokenizer.empty() ? nullptr : SourceFile::open(tokenizer);
    return read_llama2c(file, tokenizer_file.get());
  }
  const bool generator = is_folder && is_generator(input);
  const bool picture_tokens = is_folder && is_picture_tokens(input);
  const bool wavenet = is_folder && is_wavenet(input);
  if (!gguf && !onnx && !generator && !wavenet && !(is_folder && is_huggingface(input)))
    not_recognised(input, file.get());
  if (!tokenizer.empty()) {
    throw Error(fmt::format("{}: a tokenizer of its own is only for llama2.c models, which {} is not",
                            tokenizer.string(), input.string()));
  }
  if (gguf) return read_gguf(file, context);
  if (context > 0 && (generator || picture_tokens || wavenet)) throw_context_is_settled(input.string());
  if (picture_tokens) return read_picture_tokens(input);
  if (wavenet) return read_wavenet(input);
  if (is_folder && !generator) refuse_unnamed_folder(input);
  if (generator) return read_generator(input);
  return onnx ? read_onnx(file, fixed) : read_huggingface(input, context);
}

/// Builds the tokenizer as generating will, so that what is wrong with it is said now.
void check_tokenizer(const fs::path& input, const Checkpoint& checkpoint) {
  try {
    for (const std::string* tokenizer : {&checkpoint.tokenizer, &checkpoint.target_tokenizer}) {
      if (!tokenizer->empty()) Tokenizer::from_json(*tokenizer);
    }
  } catch (const Error& error) {
    constexpr std::string_view kAdvice = "; convert the model again";
    std::string message = error.what();
    if (message.ends_with(kAdvice)) message.resize(message.size() - kAdvice.size());
    throw Error(fmt::format("{}: its tokenizer cannot be used: {}", input.string(), message));
  }
}

}  // namespace

Checkpoint read_checkpoint(const fs::path& input, const fs::path& tokenizer, const FixedValues& fixed,
                           std::int64_t context) {
  Checkpoint checkpoint = read_recognised(input, tokenizer, fixed, context);
  check_tokenizer(input, checkpoint);
  return checkpoint;
}

ModelHeader make_header(Checkpoint& checkpoint, std::optional<DType> type) {
  if (type && !dtype_info(*type).floating) {
    throw Error(fmt::format("weights cannot be stored as {}; expected f32, f16, bf16, q8_0, q6_k, q4_k or q4_0",
                            dtype_name(*type)));
  }
  models::TensorTable table;
  Kept kept;
  for (const SourceTensor& tensor : checkpoint.tensors) {
    if (table.contains(tensor.name)) {
      const auto first = std::ranges::find(checkpoint.tensors, tensor.name, &SourceTensor::name);
      throw Error(fmt::format("tensors '{}' and '{}' are the same one to heed; the checkpoint must hold it once",
                              first->shown_name(), tensor.shown_name()));
    }
    table.emplace(tensor.name, TensorType{stored_type(tensor, type, kept), tensor.shape});
  }
  ModelHeader header;
  header.metadata = {{"architecture", architecture_of(checkpoint)},
                     {"source", checkpoint.source},
                     {"parameters", checkpoint.parameters}};
  header.graphs = checkpoint.graphs.empty() ? make_graphs(checkpoint, table, header.metadata) : checkpoint.graphs;
  header.metadata["graph"] = header.graphs.front().name;
  fold_batch_norms(header.graphs, checkpoint.tensors, table);
  fold_upsampling(header.graphs, checkpoint.tensors, table);
  for (const SourceTensor& tensor : checkpoint.tensors) {
    if (!table.contains(tensor.name)) table[tensor.name] = {stored_type(tensor, type, kept), tensor.shape};
  }
  for (Graph& graph : header.graphs) graph = with_types(std::move(graph), table);
  if (type) note_kept(kept, *type, checkpoint.notes);

  std::set<std::string> listed;
  for (const Graph& graph : header.graphs) {
    for (const Value& value : graph.values) {
      if (value.kind != ValueKind::Weight || !listed.insert(value.name).second) continue;
      const TensorType& found = table.at(value.name);
      header.tensors.push_back({value.name, found.dtype, found.shape, 0, 0, 0});
    }
  }
  header.metadata.update(checkpoint.metadata);
  if (!checkpoint.name.empty() && !header.metadata.contains("name")) header.metadata["name"] = checkpoint.name;
  // With a tokenizer they stand in it, and only there.
  if (checkpoint.tokenizer.empty() && !checkpoint.end_tokens.empty()) {
    header.metadata["end_tokens"] = checkpoint.end_tokens;
  }
  return header;
}

namespace {

/// Throws Error when the output is something that is read, by whatever name: the input, the tokenizer, or a file of the
/// input's folder, where only .heed files are not read.
void check_output(const ConvertOptions& options) {
  std::error_code ignored;
  std::vector<fs::path> read = {options.input, options.tokenizer, options.description};
  for (const fs::directory_entry& entry : fs::directory_iterator(options.input, ignored)) {
    if (entry.path().extension() != ".heed") read.push_back(entry.path());
  }
  check_output_path(options.output, read);
}

}  // namespace

ConvertSummary convert_checkpoint(const ConvertOptions& options) {
  check_output(options);
  if (!options.description.empty() && fs::is_directory(options.input)) {
    throw Error(fmt::format("{}: --describe says how to read an ONNX file, and this is a folder; leave it out",
                            options.input.string()));
  }
  if (!options.description.empty() && options.context > 0) throw_context_is_settled(options.input.string());
  Checkpoint checkpoint = options.description.empty()
                              ? read_checkpoint(options.input, options.tokenizer, options.fixed, options.context)
                              : read_described_onnx(options.input, options.description, options.fixed);
  const ModelHeader header = make_header(checkpoint, options.type);

  ConvertSummary summary;
  summary.source = checkpoint.source;
  summary.family = architecture_of(checkpoint);
  summary.name = checkpoint.name;
  summary.parameters = header.metadata["parameters"];
  summary.has_tokenizer = !checkpoint.tokenizer.empty();
  std::unordered_map<std::string, const SourceTensor*> sources;
  for (const SourceTensor& tensor : checkpoint.tensors) sources.emplace(tensor.name, &tensor);
  std::uint64_t total = 0;
  for (const TensorInfo& tensor : header.tensors) {
    const std::uint64_t bytes = byte_size(tensor.dtype, tensor.shape);
    ConvertSummary::Tally& tally = summary.types[tensor.dtype];
    ++tally.tensors;
    tally.bytes += bytes;
    total += bytes;
    summary.elements += static_cast<std::uint64_t>(element_count(tensor.shape));
  }

  std::vector<EmbeddedFile> files;
  const bool has_two = !checkpoint.target_tokenizer.empty();
  if (summary.has_tokenizer)
    files.push_back({has_two ? "source_tokenizer.json" : "tokenizer.json", checkpoint.tokenizer});
  if (has_two) files.push_back({"target_tokenizer.json", checkpoint.target_tokenizer});
  std::uint64_t done = 0;
  write_model_file(options.output, header, files,
                   [&](const TensorInfo& tensor, const std::function<void(std::span<const std::byte>)>& sink) {
                     convert_tensor(*sources.at(tensor.name), tensor.dtype, [&](std::span<const std::byte> bytes) {
                       sink(bytes);
                       done += bytes.size();
                       if (options.progress) options.progress(done, total);
                     });
                   });
  std::error_code ignored;
  summary.file_bytes = fs::file_size(options.output, ignored);
  summary.notes = std::move(checkpoint.notes);
  return summary;
}

}  // namespace heed::convert
