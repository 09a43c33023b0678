// Plans of real models for devices that are not here: each file of tests/devices says what one of them reports.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "constants/attention_cooperative.h"
#include "constants/linear_cooperative.h"
#include "constants/linear_tiles.h"
#include "generate/beam_search.h"
#include "generate/cache_type.h"
#include "generate/sampling.h"
#include "generate/step_state.h"
#include "generate/text/session.h"
#include "graph/integer.h"
#include "graph/quantised.h"
#include "heed/error.h"
#include "ops/logit_rules.h"
#include "ops/sample.h"
#include "plan/default_tuning.h"
#include "planner/infer.h"
#include "planner/make_plan.h"
#include "tests/unit/devices/check_plan.h"
#include "tests/unit/devices/llama.h"
#include "tests/unit/large_gpu.h"
#include "tools/convert/convert.h"

namespace heed {
namespace {

using testing::llama;

const std::filesystem::path kSource = HEED_SOURCE_DIR;

struct Described {
  std::string file;
  DeviceCaps reported;
};

std::vector<Described> all_devices() {
  std::vector<Described> devices;
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "tests/devices")) {
    if (entry.path().extension() != ".json") continue;
    std::ifstream stream(entry.path());
    const nlohmann::json json = nlohmann::json::parse(stream);
    CAPTURE(entry.path().filename().string());
    CHECK(json.at("source").get<std::string>().size() > 20);
    CHECK(!json.at("driver").get<std::string>().empty());
    CHECK(json.size() == 3);
    devices.push_back({entry.path().filename().string(), caps_from_json(json.at("limits").dump())});
  }
  std::ranges::sort(devices, {}, &Described::file);
  return devices;
}

/// A graph bound to sizes, and the bytes that its weights have in the file.
struct Model {
  std::string name;
  Graph graph;
  Bindings dims;
  bool large = false;
};

/// Chooses the next token on the device, as the loop that writes text does.
Graph with_sampling(const Graph& decode, std::int64_t context, bool greedy = false) {
  GraphBuilder builder(decode);
  Graph& graph = builder.graph();
  const ValueId tokens = graph.find("tokens"), position = graph.find("position");
  std::erase_if(graph.inputs, [&](ValueId id) { return id == tokens || id == position; });
  graph.value(tokens).kind = graph.value(position).kind = ValueKind::State;
  const ValueId logits = graph.find("logits");
  graph.outputs.clear();
  builder.output(
      builder.add("sample", "sample",
                  {logits, tokens, position, builder.state("history", DType::I32, {context}),
                   builder.state("sampler", DType::I32, {ops::kSamplerWords})},
                  {{"greedy", std::int64_t{greedy}}, {"penalty", std::int64_t{!greedy}}, {"rows", "tokens"}}),
      "next_token");
  return graph;
}

void add_text(std::vector<Model>& models, const std::string& name, const Graph& decode, std::int64_t context,
              bool large) {
  for (const std::int64_t tokens : {1, 64}) {
    models.push_back({fmt::format("{}, {} tokens", name, tokens),
                      decode,
                      {{"tokens", tokens}, {"outputs", 1}, {"context", context}},
                      large});
    if (large) continue;  // they take time, and differ from the others in sizes alone
    models.push_back(models.back());
    models.back().name += ", f16 cache";
    models.back().graph = with_cache_type(decode, CacheType::F16, {});
  }
  const Bindings step = {{"tokens", 1}, {"outputs", 1}, {"context", context}};
  models.push_back({name + ", sampled", with_sampling(decode, context), step, large});
  const ChoiceMode all = {.adjusts = true, .masks = true, .filters = true, .logprobs = true};
  models.push_back({name + ", sampled with all options", heed::with_sampling(decode, context, all), step, large});
  const std::vector<TensorType> types = infer_all(decode, step);
  const Shape& logits = types[static_cast<std::size_t>(decode.find("logits"))].shape;
  models.back().dims.insert({{"list", 1024}, {"mask_words", ops::mask_words(logits.back())}});
}

/// A translation model's graphs as they run: a batch is encoded, and beams of it take a step.
void add_translation(std::vector<Model>& models, const std::string& name, const ModelHeader& header) {
  const auto graph_named = [&](const std::string& graph) {
    return *std::ranges::find(header.graphs, graph, &Graph::name);
  };
  const std::int64_t context = header.metadata.at("context").get<std::int64_t>();
  const std::int64_t source = std::min<std::int64_t>(24, header.metadata.at("source_context").get<std::int64_t>());
  for (const std::int64_t sentences : {16}) {
    for (const std::int64_t beams : {4}) {
      const std::int64_t rows = sentences * beams;
      models.push_back({fmt::format("{} encode {} for {} beams", name, sentences, beams),
                        graph_named("encode"),
                        {{"batch", sentences}, {"source", source}, {"rows", rows}}});
      // The cache is f16 in the one and f32 in the other.
      const Graph half = StepState::with_rows(with_cache_type(graph_named("decode"), CacheType::F16, {}));
      const Graph stepped = StepState::with_rows(graph_named("decode"));
      for (const bool drawn : {false, true}) {
        models.push_back(
            {fmt::format("{} step of {} x {} {}", name, sentences, beams, drawn ? "samples" : "beams"),
             drawn ? Sampling::append_to(stepped, {.penalty = true}) : BeamSearch::append_to(half, beams, 1),
             {{"batch", sentences},
              {"source", source},
              {"rows", rows},
              {"tokens", rows},
              {"outputs", rows},
              {"positions", context},
              {"context", context},
              {"places", context * rows},
              {"sentences", sentences},
              {"options", static_cast<std::int64_t>(ops::kFirstForced)}}});
      }
    }
  }
}

/// A run of a sound model, as it draws samples and as it is given them.
void add_sound(std::vector<Model>& models, const std::filesystem::path& folder) {
  convert::Checkpoint checkpoint = convert::read_checkpoint(folder, {});
  const ModelHeader header = convert::make_header(checkpoint, std::nullopt);
  const nlohmann::json& parameters = header.metadata.at("parameters");
  constexpr std::int64_t kFrames = 8;
  const std::int64_t hop = parameters.at("hop");
  const std::int64_t around = std::max<std::int64_t>(0, parameters.at("local_kernel").get<std::int64_t>() - 1);
  for (const Graph& graph : header.graphs) {
    models.push_back({fmt::format("{} {}", folder.filename().string(), graph.name),
                      graph,
                      {{"steps", hop > 1 ? kFrames * hop : 512}, {"window", kFrames + around}}});
  }
}

/// The shipped models, tiny ones of each kind that translates or makes sound, and Llama in the sizes of stories15M,
/// TinyLlama and Llama 2 7B, whose weights are described only.
std::vector<Model> all_models() {
  std::vector<Model> models;
  std::vector<std::filesystem::path> translators = {kSource / "models" / "dates", kSource / "models" / "en-ja"};
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "tests" / "golden" / "translation")) {
    translators.push_back(entry.path());
  }
  for (const std::filesystem::path& folder : translators) {
    convert::Checkpoint checkpoint = convert::read_checkpoint(folder, {});
    add_translation(models, folder.filename().string(), convert::make_header(checkpoint, std::nullopt));
  }
  for (const char* folder : {"shakespeare", "fashion"}) {
    convert::Checkpoint checkpoint = convert::read_checkpoint(kSource / "models" / folder, {});
    const ModelHeader header = convert::make_header(checkpoint, std::nullopt);
    for (const Graph& graph : header.graphs) {
      if (graph.name == "decode") {
        add_text(models, folder, graph, 256, false);
      } else {
        Bindings dims;
        for (const Value& value : graph.values) {
          for (const Dim& dim : value.shape) {
            if (!dim.name.empty()) dims[dim.name] = 1;
          }
        }
        models.push_back({fmt::format("{} {}", folder, graph.name), graph, dims});
        for (auto& [dim, size] : dims) size = 3;
        models.push_back({fmt::format("{} {}, threes", folder, graph.name), graph, dims});
      }
    }
  }
  add_sound(models, kSource / "models" / "digits-voice");
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "tests" / "golden" / "wavenet")) {
    add_sound(models, entry.path());
  }
  add_text(models, "15M f32", llama(288, 6, 6, 6, 768, 32000, 256, DType::F32), 256, false);
  add_text(models, "15M q8_0", llama(288, 6, 6, 6, 768, 32000, 256, DType::Q8_0), 256, false);
  add_text(models, "1B q4_0", llama(2048, 22, 32, 4, 5632, 32000, 2048, DType::Q4_0), 2048, true);
  add_text(models, "7B f16", llama(4096, 32, 32, 32, 11008, 32000, 4096, DType::F16), 4096, true);
  add_text(models, "Mixtral 8x7B q4_0", llama(4096, 32, 32, 8, 14336, 32000, 4096, DType::Q4_0, 8, 2), 4096, true);
  return models;
}

/// What the tuner may choose on a device (runtime/tuner.h).
std::vector<Tuning> tunings(const DeviceCaps& caps, bool few) {
  const Tuning plain = default_tuning(caps);
  Tuning lanes = plain;
  lanes.set(&ProductTuning::lane_rows, true);
  lanes.query_lanes = true;
  lanes.lanes =
      std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], std::max(4u, caps.subgroup_size)});
  lanes.set(&ProductTuning::lanes, lanes.lanes);
  lanes.set(&ProductTuning::rows, 8);
  lanes.texel = lanes.same_storage = caps.max_texel_buffer_elements > 0;
  lanes.set(&ProductTuning::pairs, caps.max_texel_buffer_elements > 0);
  lanes.attention_groups = lanes.sample_groups = 640;
  lanes.query_tile = 64;
  lanes.conv_sums = 64;
  std::vector<Tuning> all = {plain, lanes};
  if (few) return all;
  const auto with = [&](Tuning tuning, auto member, auto value) {
    if constexpr (requires { tuning.*member; }) {
      tuning.*member = value;
    } else {
      tuning.set(member, value);  // of every kind of weight
    }
    all.push_back(tuning);
  };
  with(plain, &Tuning::texel, true);
  with(plain, &ProductTuning::rows, 2u);
  with(plain, &ProductTuning::rows, 8u);
  with(plain, &ProductTuning::max_groups, 16u);
  with(plain, &Tuning::attention_groups, 0u);
  with(plain, &Tuning::sample_groups, 0u);
  with(plain, &ProductTuning::pairs, true);
  with(plain, &Tuning::one_pass_convs, 1u);
  with(plain, &Tuning::one_pass_convs, 0u);
  for (const std::uint32_t rows : {0u, 32u, 128u}) with(plain, &Tuning::query_tile, rows);
  if (!caps.cooperative_sizes.empty()) {
    Tuning matrices = plain;
    matrices.cooperative_attention = true;
    for (const std::uint32_t rows : {32u, 64u, 128u}) with(matrices, &Tuning::query_tile, rows);
    matrices.query_tile = 64;
    with(matrices, &Tuning::half_products, true);
  }
  with(plain, &ProductTuning::tile, plain.any(&ProductTuning::tile) ? 0u : 128u);
  with(plain, &ProductTuning::tile, 64u);
  with(plain, &Tuning::conv_sums, 128u);
  with(plain, &Tuning::conv_tile, plain.conv_tile == 0 ? 128u : 0u);
  with(plain, &Tuning::conv_tile, 64u);
  for (const std::uint32_t tile : {64u, 128u}) {
    if (caps.cooperative_sizes.empty()) break;
    Tuning matrices = plain;
    matrices.conv_cooperative = true;
    with(matrices, &Tuning::conv_tile, tile);
  }
  for (const std::uint32_t groups : {0u, 256u, 4096u}) with(plain, &ProductTuning::dot_groups, groups);
  with(lanes, &Tuning::texel, false);
  with(lanes, &ProductTuning::rows, 4u);
  with(lanes, &ProductTuning::rows, 16u);
  for (const std::uint32_t wide : {32u, 64u, 128u}) {
    if (wide >= caps.subgroup_size && wide <= caps.max_workgroup_invocations && wide <= caps.max_workgroup_size[0]) {
      with(plain, &ProductTuning::lanes, wide);
      with(plain, &Tuning::lanes, wide);
    }
  }
  return all;
}

/// Bytes that the weights of a graph take in a file, and its states on a device.
std::uint64_t least_memory(const Model& model) {
  std::uint64_t sum = 0;
  for (const Value& value : model.graph.values) {
    if (value.kind == ValueKind::Weight) sum += byte_size(value.dtype, bind(value.shape, model.dims));
    if (value.kind == ValueKind::State) {
      sum += u64(element_count(bind(value.shape, model.dims))) * device_element_bytes(value.kind, value.dtype);
    }
  }
  return sum;
}

Plan small_plan(const DeviceCaps& caps, bool texel = true) {
  GraphBuilder b("g");
  const ValueId x = b.input("x", DType::F32, {1, 64});
  const ValueId n = b.add("rms_norm", "norm", {x, b.weight("g", DType::F32, {64})}, {{"eps", 1e-5}});
  const ValueId s = b.add("softmax", "soft", {n}, {{"axis", std::int64_t{1}}});
  b.output(b.add("linear", "project", {s, b.weight("w", DType::F32, {64, 64})}), "y");
  Tuning tuning = default_tuning(caps);
  tuning.texel = texel;
  return make_plan(std::move(b).finish(), {}, caps, tuning);
}

}  // namespace

TEST_CASE("there are descriptions of devices of every vendor") {
  const std::vector<Described> devices = all_devices();
  CHECK(devices.size() >= 20);
  for (const Described& device : devices) {
    CAPTURE(device.file);
    CHECK_NOTHROW(usable_caps(device.reported));
    CHECK(caps_from_json(caps_to_json(device.reported)) == device.reported);
  }
}

TEST_CASE("every model is planned for every device, and every dispatch fits, or memory is what is missing") {
  const std::vector<Model> models = all_models();
  std::size_t planned = 0, refused = 0;
  for (const Described& device : all_devices()) {
    CAPTURE(device.file);
    const DeviceCaps caps = usable_caps(device.reported);
    for (const Model& model : models) {
      CAPTURE(model.name);
      for (const Tuning& tuning : tunings(caps, model.large)) {
        std::vector<std::string> problems;
        try {
          problems = misfits(make_plan(model.graph, model.dims, caps, tuning), caps);
          CHECK((caps.memory == 0 || caps.type == DeviceType::Cpu || least_memory(model) <= caps.memory));
          ++planned;
        } catch (const Error& error) {
          const std::string message = error.what();
          CHECK_MESSAGE(message.find("of memory; the device has") != std::string::npos, message);
          CHECK((caps.memory != 0 && caps.type != DeviceType::Cpu));
          CHECK(least_memory(model) > caps.memory / 4 * 3);  // the plan has activations and padding too
          ++refused;
        }
        for (std::size_t i = 0; i < std::min<std::size_t>(problems.size(), 3); ++i) FAIL_CHECK(problems[i]);
      }
    }
  }
  MESSAGE(planned << " plans, " << refused << " refused for want of memory");
  CHECK(planned > 1000);
  CHECK(refused > 0);
}

TEST_CASE("devices that bind 128 MiB at a time run 7B with 32768 positions, and read long prompts with logits") {
  constexpr std::int64_t kContext = 32768;
  const Graph graph = llama(4096, 32, 32, 32, 11008, 32000, kContext, DType::Q4_0);
  for (const Described& device : all_devices()) {
    DeviceCaps caps = usable_caps(device.reported);
    if (caps.max_storage_buffer_range > std::uint64_t{1} << 27) continue;
    CAPTURE(device.file);
    caps.memory = 0;  // what must fit here is every binding
    for (const CacheType type : {CacheType::F32, CacheType::F16}) {
      const Graph typed = with_caches_by_head(with_cache_type(graph, type, {}));
      for (const std::int64_t tokens : {1, 64, 2048}) {
        CAPTURE(tokens);
        // 2048 rows of logits are 250 MiB.
        const Bindings dims = {{"tokens", tokens}, {"outputs", tokens}, {"context", kContext}};
        const Plan plan = make_plan(typed, dims, caps, default_tuning(caps));
        for (const std::string& problem : misfits(plan, caps)) FAIL_CHECK(problem);
        CHECK(std::ranges::count(plan.dispatches, "attention_pieces", &Dispatch::shader) ==
              32 * (type == CacheType::F32 ? 4 : 2));
      }
    }
  }
}

TEST_CASE("a token of a 7B model on a large GPU: dispatches, barriers, bytes, and work for every core") {
  constexpr std::uint64_t kCores = 132;
  constexpr std::int64_t kKeys = 4096;
  DeviceCaps caps = testing::h100();
  caps.integer_dot_product = true;
  Tuning tuning = default_tuning(caps);
  tuning.attention_groups = tuning.sample_groups = 640;

  const Bindings dims = {{"tokens", 1}, {"outputs", 1}, {"context", kKeys}};
  std::vector<DType> types = {DType::F16};
  for (const QuantisedType& type : quantised_types()) types.push_back(type.dtype);
  for (const DType type : types) {
    CAPTURE(dtype_name(type));
    const Graph decode = with_cache_type(llama(4096, 32, 32, 32, 11008, 32000, kKeys, type), CacheType::Auto, caps);
    tuning.set(&ProductTuning::dot_groups, 0);
    const Plan in_floats = make_plan(with_sampling(decode, kKeys, true), dims, caps, tuning);
    tuning.set(&ProductTuning::dot_groups, default_tuning(caps).of(type).dot_groups);
    const Plan plan = make_plan(with_sampling(decode, kKeys, true), dims, caps, tuning);
    CHECK(misfits(plan, caps).empty());
    // In integers there is neither a dispatch nor a byte more: rows of x become bytes where they are multiplied.
    CHECK(std::ranges::count(plan.dispatches, "linear_dot", &Dispatch::shader) ==
          (type == DType::F16 ? 0 : 4 * 32 + 1));
    CHECK(plan.dispatches.size() == in_floats.dispatches.size());
    CHECK(plan.bytes() == in_floats.bytes());
    // Every layer is a chain: q, k and v; attention; what is made of it; gate and up; down.
    CHECK(plan.dispatches.size() <= 165);
    CHECK(std::ranges::count_if(plan.dispatches, &Dispatch::barrier_before) <= 162);

    std::uint64_t needed = 0;  // of weights, but for the embedding, of which a token reads a row, and of the full cache
    for (const Value& value : decode.values) {
      const bool read =
          value.kind == ValueKind::State || (value.kind == ValueKind::Weight && value.name != "token_embd.weight");
      if (read && value.shape.size() == 2) needed += byte_size(value.dtype, bind(value.shape, dims));
    }
    std::uint64_t reads = 0;
    for (const Dispatch& d : plan.dispatches) reads += d.bytes + d.bytes_a_key * static_cast<std::uint64_t>(kKeys);
    CHECK(needed > std::uint64_t{4'000'000'000});  // 2 GB of keys and values, and weights from 2 bits an element on
    CHECK(static_cast<double>(reads) == doctest::Approx(static_cast<double>(needed)).epsilon(0.03));

    std::size_t wide = 0;
    for (const Dispatch& d : plan.dispatches) {
      const bool counts =
          d.shader.starts_with("linear") || d.shader.starts_with("attention") || d.shader.starts_with("sample");
      if (!counts) continue;
      ++wide;
      CHECK_MESSAGE(std::uint64_t{d.groups[0]} * d.groups[1] * d.groups[2] >= 4 * kCores, d.shader << " " << d.label);
    }
    CHECK(wide >= 5 * 32 + 2);
  }
}

namespace {

/// How a product is cut: what linear_tiles.comp and linear_cooperative.comp have alike.
struct Cut {
  std::uint64_t tile_rows, tile_columns, row_tiles, parts, weight_rows, columns;
};

template <typename Struct>
Struct from_words(const std::vector<std::uint32_t>& words) {
  Struct result{};
  REQUIRE(words.size() * 4 == sizeof(result));
  std::memcpy(&result, words.data(), sizeof(result));
  return result;
}

Cut cut_of(const Dispatch& d) {
  if (d.shader == "linear_tiles") {
    const auto c = from_words<ops::LinearTilesConstants>(d.specialization);
    const auto p = from_words<ops::LinearTilesPush>(d.push_constants);
    return {c.tile_rows, c.tile_columns, p.row_tiles, p.parts, std::uint64_t{p.count} * (1 + c.gated), p.columns};
  }
  const auto c = from_words<ops::LinearCooperativeConstants>(d.specialization);
  const auto p = from_words<ops::LinearCooperativePush>(d.push_constants);
  return {std::uint64_t{c.m} * c.matrix_rows * c.subgroups_down,
          std::uint64_t{c.n} * c.matrix_columns * c.subgroups_across,
          p.row_tiles,
          p.parts,
          std::uint64_t{p.count} * (1 + c.gated),
          std::uint64_t{p.x_words} * 8};
}

/// Bytes that a product in tiles reads, were a wave of workgroups to share what its members read of x and of the
/// weight, and the next wave to find nothing of it.
std::uint64_t bytes_in_waves(const Plan& plan, const Dispatch& d, std::uint64_t wave) {
  const Cut cut = cut_of(d);
  const std::uint64_t row_bytes = plan.tensors[d.bindings[1].tensor].bytes / cut.weight_rows;
  const std::uint64_t groups = cut.row_tiles * cut.parts * ceil_div(cut.weight_rows, cut.tile_columns);
  CHECK(std::uint64_t{d.groups[0]} * d.groups[1] >= groups);
  const std::uint64_t x_bytes = cut.tile_rows * cut.columns * 4 / cut.parts;
  const std::uint64_t w_bytes = cut.tile_columns * row_bytes / cut.parts;
  std::uint64_t bytes = 0;
  for (std::uint64_t begin = 0; begin < groups; begin += wave) {
    std::set<std::uint64_t> of_x, of_w;  // tiles and their parts, as the shaders number them
    for (std::uint64_t group = begin; group < std::min(groups, begin + wave); ++group) {
      const std::uint64_t part = group / cut.row_tiles % cut.parts;
      of_x.insert(group % cut.row_tiles * cut.parts + part);
      of_w.insert(group / cut.row_tiles);
    }
    bytes += of_x.size() * x_bytes + of_w.size() * w_bytes;
  }
  return bytes;
}

}  // namespace

TEST_CASE("a prompt of 512 tokens of a 7B model on a large GPU: flops a byte, and work for every core") {
  constexpr std::uint64_t kCores = 132;
  DeviceCaps caps = testing::h100();
  caps.cooperative_sizes = {{16, 16, 16}};
  const Bindings dims = {{"tokens", 512}, {"outputs", 1}, {"context", 4096}};
  std::vector<DType> types = {DType::F16, DType::BF16};
  for (const QuantisedType& type : quantised_types()) types.push_back(type.dtype);
  for (const DType type : types) {
    CAPTURE(dtype_name(type));
    const Graph decode = with_cache_type(llama(4096, 32, 32, 32, 11008, 32000, 4096, type), CacheType::Auto, caps);
    for (const bool cooperative : {false, true}) {
      Tuning tuning = default_tuning(caps);
      tuning.set(&ProductTuning::cooperative, cooperative);
      const Plan plan = make_plan(decode, dims, caps, tuning);
      CHECK(misfits(plan, caps).empty());
      std::size_t products = 0;
      for (std::size_t i = 0; i < plan.dispatches.size(); ++i) {
        const Dispatch& d = plan.dispatches[i];
        CHECK(d.shader != "linear_matrix");
        if (d.shader != (cooperative ? "linear_cooperative" : "linear_tiles")) continue;
        ++products;
        CAPTURE(d.label);
        std::uint64_t bytes = bytes_in_waves(plan, d, kCores);
        const bool in_parts = plan.dispatches[i + 1].shader == "linear_parts";
        if (in_parts) bytes += plan.dispatches[i + 1].bindings[5].size;
        CHECK(std::uint64_t{d.groups[0]} * d.groups[1] >= kCores);
        CHECK(d.flops / bytes >= 128);
      }
      CHECK(products == 4 * 32);
    }
  }
}

TEST_CASE("attention of a prompt of 512 tokens by matrices on a large GPU: flops a byte, and work for every core") {
  constexpr std::uint64_t kCores = 132;
  DeviceCaps caps = testing::h100();
  caps.cooperative_sizes = {{16, 8, 16}, {16, 16, 16}};
  const Bindings dims = {{"tokens", 512}, {"outputs", 1}, {"context", 4096}};
  for (const CacheType cache : {CacheType::F32, CacheType::F16}) {
    const Graph decode = with_cache_type(llama(4096, 32, 32, 32, 11008, 32000, 4096, DType::F16), cache, caps);
    for (const bool half : {false, true}) {
      CAPTURE(half);
      Tuning tuning = default_tuning(caps);
      tuning.query_tile = 64;
      tuning.cooperative_attention = true;
      tuning.half_products = half;
      const Plan plan = make_plan(decode, dims, caps, tuning);
      CHECK(misfits(plan, caps).empty());
      std::size_t layers = 0;
      for (const Dispatch& d : plan.dispatches) {
        CHECK(d.shader != "attention_tiles");
        if (d.shader != "attention_cooperative") continue;
        ++layers;
        CHECK(std::uint64_t{d.groups[0]} * d.groups[1] >= kCores);
        const auto c = from_words<ops::AttentionCooperativeConstants>(d.specialization);
        CHECK(c.n == 16);  // the larger matrix
        CHECK(c.subgroups_down * c.subgroups_across >= 4);
        const std::uint64_t rows = std::uint64_t{c.m} * c.matrix_rows * c.subgroups_down;
        // Both halves of q fit with keys of f16, but not with two halves of those.
        CHECK(rows >= (half || cache == CacheType::F16 ? 64 : 32));
        CHECK(d.flops_a_key / d.bytes_a_key >= (cache == CacheType::F16 ? rows : rows / 2));
      }
      CHECK(layers == 32);
    }
  }
}

TEST_CASE("a token of a 15M model is two dispatches a layer where the tuner found that products are better joined") {
  DeviceCaps caps = testing::large_gpu();
  caps.max_storage_buffers = 1 << 20;
  caps.memory = std::uint64_t{80} << 30;
  caps.max_memory_allocation = caps.max_storage_buffer_range = (std::uint64_t{1} << 32) - 1;
  caps.max_workgroup_count[0] = 0x7fffffff;
  caps.subgroup_shuffle = true;
  const Bindings dims = {{"tokens", 1}, {"outputs", 1}, {"context", 256}};
  for (const DType type : {DType::F32, DType::F16, DType::Q8_0}) {
    for (const CacheType cache : {CacheType::F32, CacheType::F16}) {
      CAPTURE(dtype_name(type));
      const Graph decode = with_cache_type(llama(288, 6, 6, 6, 768, 32000, 256, type), cache, caps);
      const auto dispatches = [&](bool pairs) {
        Tuning tuning = default_tuning(caps);
        tuning.set(&ProductTuning::pairs, pairs);
        const Plan plan = make_plan(with_sampling(decode, 256, true), dims, caps, tuning);
        CHECK(misfits(plan, caps).empty());
        return plan.dispatches.size();
      };
      CHECK(dispatches(true) <= 17);
      CHECK(dispatches(false) <= 35);
    }
  }
  // A large model's products are work for a dispatch of their own.
  Tuning tuning = default_tuning(caps);
  tuning.set(&ProductTuning::pairs, true);
  const Plan large = make_plan(llama(4096, 2, 32, 32, 11008, 32000, 4096, DType::F16),
                               {{"tokens", 1}, {"outputs", 1}, {"context", 4096}}, caps, tuning);
  for (const Dispatch& d : large.dispatches) CHECK((d.shader != "linear_pair" && d.shader != "attention_block"));
}

TEST_CASE("a token of Mixtral 8x7B reads two experts of eight a layer, a prompt each expert once") {
  DeviceCaps caps = testing::large_gpu();
  caps.max_memory_allocation = caps.max_storage_buffer_range = (std::uint64_t{1} << 32) - 1;
  caps.max_workgroup_count[0] = 0x7fffffff;
  const Graph decode = llama(4096, 32, 32, 8, 14336, 32000, 4096, DType::F16, 8, 2);
  std::uint64_t all = 0;
  for (const Value& value : decode.values) {
    if (value.kind == ValueKind::Weight) all += byte_size(value.dtype, bind(value.shape, {}));
  }
  CHECK(all == doctest::Approx(93.4e9).epsilon(0.001));  // 46.7 billion weights
  const auto bytes_read = [&](std::int64_t tokens) {
    const Bindings dims = {{"tokens", tokens}, {"outputs", 1}, {"context", 4096}};
    std::uint64_t sum = 0;
    const Plan plan = make_plan(decode, dims, caps, default_tuning(caps));
    for (const Dispatch& d : plan.dispatches) sum += d.bytes;
    if (tokens == 1) CHECK(plan.dispatches.size() <= 8 * 32 + 4);
    return static_cast<double>(sum);
  };
  // Attention and router of 32 layers, two experts each, and the output matrix: 12.75 billion weights.
  CHECK(bytes_read(1) == doctest::Approx(25.5e9).epsilon(0.002));
  CHECK(bytes_read(512) == doctest::Approx(93.1e9).epsilon(0.002));
}

TEST_CASE("what is too large is refused in words") {
  DeviceCaps caps;
  caps.name = "small card";
  caps.memory = std::uint64_t{1} << 30;
  const Graph graph = llama(4096, 32, 32, 32, 11008, 32000, 4096, DType::F16);
  const Bindings dims = {{"tokens", 1}, {"outputs", 1}, {"context", 4096}};
  CHECK_THROWS_WITH_AS(make_plan(graph, dims, caps, default_tuning(caps)),
                       "graph 'decode' on small card: needs 16.6 GiB of memory; the device has 1.0 GiB; use a smaller "
                       "model, context or size, or weights of a smaller type (heed convert --type q4_0)",
                       Error);
  caps.memory = 0;
  CHECK(misfits(make_plan(graph, dims, caps, default_tuning(caps)), caps).empty());
}

TEST_CASE("the checker finds each limit that a plan breaks") {
  DeviceCaps caps;
  const Plan good = small_plan(caps);
  REQUIRE(misfits(good, caps).empty());
  const auto finds = [&](const std::string& what, const auto& change) {
    Plan plan = good;
    DeviceCaps limits = caps;
    change(plan, limits);
    const std::vector<std::string> problems = misfits(plan, limits);
    REQUIRE_MESSAGE(!problems.empty(), what);
    bool found = false;
    for (const std::string& problem : problems) found = found || problem.find(what) != std::string::npos;
    CHECK_MESSAGE(found, what << " expected, found " << problems.front());
  };
  finds("no such shader", [](Plan& p, DeviceCaps&) { p.dispatches[0].shader = "norml"; });
  finds("bytes of shared memory", [](Plan&, DeviceCaps& c) { c.max_shared_memory = 16; });
  finds("bytes of shared memory", [](Plan& p, DeviceCaps&) { p.dispatches[0].specialization[0] = 8192; });
  finds("capability 63", [](Plan& p, DeviceCaps&) {
    for (Dispatch& d : p.dispatches) {
      if (d.variant.back() == "0") d.variant.back() = "1";
    }
  });
  finds("workgroup size 129", [](Plan& p, DeviceCaps&) { p.dispatches[0].specialization[0] = 129; });
  finds("invocations", [](Plan& p, DeviceCaps& c) {
    p.dispatches[0].specialization[0] = 256;
    c.max_workgroup_size[0] = 256;
  });
  finds("65536 workgroups", [](Plan& p, DeviceCaps&) { p.dispatches[0].groups[1] = 65536; });
  finds("0 workgroups", [](Plan& p, DeviceCaps&) { p.dispatches[0].groups[2] = 0; });
  finds("bytes of push constants, limit", [](Plan& p, DeviceCaps&) { p.dispatches[0].push_constants.resize(33); });
  finds("bytes of push constants, the shader", [](Plan& p, DeviceCaps&) { p.dispatches[0].push_constants.pop_back(); });
  finds("specialization constants", [](Plan& p, DeviceCaps&) { p.dispatches[0].specialization.push_back(1); });
  finds("alignment", [](Plan& p, DeviceCaps&) { p.dispatches[0].bindings[0].offset = 16; });
  finds("' binds ", [](Plan& p, DeviceCaps&) { p.dispatches[0].bindings[0].size += 256; });
  finds("' binds ", [](Plan& p, DeviceCaps&) { p.dispatches[0].bindings[0].offset = UINT64_MAX - 255; });
  finds("texels, limit", [](Plan&, DeviceCaps& c) { c.max_texel_buffer_elements = 15; });
  finds("bytes, limit 200", [](Plan& p, DeviceCaps& c) {
    for (Dispatch& d : p.dispatches) d.texel = false;
    c.max_storage_buffer_range = 200;
  });
  finds("storage buffers", [](Plan&, DeviceCaps& c) { c.max_storage_buffers = 0; });
  finds("texel buffers", [](Plan&, DeviceCaps& c) { c.max_texel_buffers = 1; });
  finds("buffers, limit 2", [](Plan&, DeviceCaps& c) { c.max_resources = 2; });
  finds("an allocation", [](Plan&, DeviceCaps& c) { c.max_memory_allocation = 100; });
  finds("memory 1000", [](Plan&, DeviceCaps& c) { c.memory = 1000; });
}

TEST_CASE("descriptors are held against the device's counts of each kind") {
  DeviceCaps caps;
  REQUIRE(small_plan(caps).dispatches.back().texel);
  caps.max_texel_buffers = 2;
  const Plan plan = small_plan(caps);
  CHECK(misfits(plan, caps).empty());
  CHECK_FALSE(plan.dispatches.back().texel);
  caps.max_resources = 3;
  CHECK_THROWS_AS(small_plan(caps), Error);
}

TEST_CASE("caps are read back from the JSON that they are written as, and nothing else is") {
  DeviceCaps caps;
  caps.name = "a \"device\"";
  caps.type = DeviceType::Virtual;
  caps.max_workgroup_count = {UINT32_MAX, 2, 3};
  caps.max_loop_iterations = UINT64_MAX;
  caps.memory = 12345678901234;
  caps.subgroup_shuffle = true;
  CHECK(caps_from_json(caps_to_json(caps)) == caps);
  const auto refusal = [&](const auto& change) {
    nlohmann::json json = nlohmann::json::parse(caps_to_json(caps));
    change(json);
    try {
      caps_from_json(json.dump());
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  using Json = nlohmann::json;
  CHECK(refusal([](Json&) {}) == "none");
  CHECK(refusal([](Json& j) { j.erase("max_resources"); }) == "device description: 'max_resources' is missing");
  CHECK(refusal([](Json& j) { j["warp"] = 32; }) == "device description: 'warp' is not known to this version of heed");
  CHECK(refusal([](Json& j) { j["subgroup_size"] = -1; }) ==
        "device description: 'subgroup_size' is -1; expected a whole number up to 4294967295");
  CHECK(refusal([](Json& j) { j["subgroup_size"] = 4294967296; }) ==
        "device description: 'subgroup_size' is 4294967296; expected a whole number up to 4294967295");
  CHECK(refusal([](Json& j) { j["subgroup_shuffle"] = 1; }) ==
        "device description: 'subgroup_shuffle' is neither true nor false");
  CHECK(refusal([](Json& j) {
          j["max_workgroup_size"] = {1, 2};
        }) == "device description: 'max_workgroup_size' is no list of 3 numbers");
  CHECK(refusal([](Json& j) { j["type"] = "gpu"; }) ==
        "device description: 'type' is \"gpu\"; expected discrete, integrated, virtual, cpu or other");
  CHECK(refusal([](Json& j) { j["name"] = 7; }) == "device description: 'name' is no text");
  const Json whole = Json::parse(caps_to_json(caps));
  for (const auto& item : whole.items()) {
    const std::string& key = item.key();
    CAPTURE(key);
    CHECK(refusal([&](Json& j) { j.erase(key); }) == fmt::format("device description: '{}' is missing", key));
  }
  CHECK_THROWS_AS(caps_from_json("[]"), Error);
  CHECK_THROWS_AS(caps_from_json("{"), Error);
}

}  // namespace heed
