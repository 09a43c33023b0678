#include "generate/picture/token_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <utility>

#include "generate/attention_weights.h"
#include "generate/metadata.h"
#include "generate/submission_length.h"
#include "graph/integer.h"
#include "heed/error.h"

namespace heed {
namespace {

using TokenClock = std::chrono::steady_clock;

// Never so few rows that a kernel for single ones sums in another order, since a picture must not depend on how many
// others there are.
constexpr std::int64_t kLeastSequences = 4;
constexpr std::int64_t kMostSequences = 128;
constexpr std::int64_t kMostPictureSide = 16384;

/// Takes integers and numbers out of an object of the metadata. Throws Error naming the key.
class LayoutReader {
 public:
  LayoutReader(const ModelFile& file, const char* object) : where_(file.path().string()), object_(object) {
    const auto found = file.metadata().find(object);
    if (found == file.metadata().end() || !found->is_object()) fail("");
    json_ = *found;
  }
  std::int64_t integer(const char* key, std::int64_t least, std::int64_t most) const {
    const auto found = json_.find(key);
    if (found == json_.end() || !found->is_number_integer() || *found < least || *found > most) fail(key);
    return found->get<std::int64_t>();
  }
  double number(const char* key, double otherwise) const {
    const auto found = json_.find(key);
    if (found == json_.end()) return otherwise;
    if (!found->is_number() || !std::isfinite(found->get<double>())) fail(key);
    return found->get<double>();
  }
  const nlohmann::json& value(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) fail(key);
    return *found;
  }
  [[noreturn]] void fail(const std::string& key) const {
    throw Error(fmt::format("{}: metadata '{}{}{}' is missing or wrong; convert the model again", where_, object_,
                            key.empty() ? "" : ".", key));
  }

 private:
  std::string where_;
  std::string object_;
  nlohmann::json json_;
};

}  // namespace

TokenPictureLayout TokenPictureLayout::of(const ModelFile& file) {
  TokenPictureLayout layout;
  const auto vocabulary = file.metadata().find("vocabulary");
  if (vocabulary == file.metadata().end() || !vocabulary->is_number_integer() || *vocabulary < 1 ||
      *vocabulary > 0x3fffffff) {
    throw Error(
        fmt::format("{}: metadata 'vocabulary' is missing or wrong; convert the model again", file.path().string()));
  }
  layout.vocabulary = vocabulary->get<std::int64_t>();
  const LayoutReader text(file, "text");
  layout.places = text.integer("places", 1, 1 << 16);
  layout.pad = static_cast<std::int32_t>(text.integer("pad", 0, layout.vocabulary - 1));
  layout.begin = token_ids(file, "text.begin", text.value("begin"), layout.vocabulary);
  if (layout.begin.empty()) text.fail("begin");
  const LayoutReader codes(file, "codes");
  layout.count = codes.integer("count", 1, layout.vocabulary);
  layout.first = codes.integer("first", 0, layout.vocabulary - layout.count);
  layout.rows = codes.integer("rows", 1, 1 << 16);
  layout.columns = codes.integer("columns", 1, (1 << 16) / layout.rows);
  const LayoutReader image(file, "image");
  layout.height = image.integer("height", 1, kMostPictureSide);
  layout.width = image.integer("width", 1, kMostPictureSide);
  layout.channels = image.value("channels") == "gray" ? 1 : 3;
  const nlohmann::json& range = image.value("range");
  if (!range.is_array() || range.size() != 2 || !range[0].is_number() || !range[1].is_number() ||
      !(range[0].get<double>() < range[1].get<double>())) {
    image.fail("range");
  }
  layout.least = range[0].get<double>();
  layout.most = range[1].get<double>();
  const LayoutReader defaults(file, "defaults");
  layout.guidance = defaults.number("guidance", 1.0);
  layout.sampling.temperature = defaults.number("temperature", 1.0);
  layout.sampling.top_k = static_cast<int>(std::clamp(defaults.number("top_k", 0.0), 0.0, 1e9));
  layout.sampling.top_p = defaults.number("top_p", 1.0);
  layout.sampling.check();
  return layout;
}

TokenSession::TokenSession(Gpu& gpu, const ModelFile& file)
    : gpu_(gpu),
      decode_(task_graph(file, "text-to-image", "graph", "tokens", {"tokens", "position", "logits"})),
      layout_(TokenPictureLayout::of(file)),
      pixels_(file.graph("pixels")),
      source_(file),
      weights_(gpu, source_),
      session_(gpu, weights_),
      seconds_a_step_(kSubmissionSeconds) {
  for (const Graph& graph : file.header().graphs) {
    if (graph.name == "codes") encode_ = &graph;
  }
}

std::int64_t TokenSession::most_pictures(bool guided) const {
  const DeviceCaps& caps = gpu_.caps();
  std::uint64_t widest = 1;  // bytes of a position
  for (const Value& value : decode_.values) {
    if (value.kind != ValueKind::State || value.shape.empty() || value.shape[0].name != "context") continue;
    widest = std::max(widest, saturating_product({static_cast<std::uint64_t>(value.shape.back().size),
                                                  device_element_bytes(value.kind, value.dtype)}));
  }
  const auto u64 = [](std::int64_t value) { return static_cast<std::uint64_t>(value); };
  const std::uint64_t row = std::max(saturating_product({widest, u64(most_made() + 1)}), u64(layout_.vocabulary) * 4);
  const std::uint64_t fits = caps.largest_binding() / row;
  const auto sequences = static_cast<std::int64_t>(
      std::bit_floor(std::clamp<std::uint64_t>(fits, u64(kLeastSequences), u64(kMostSequences))));
  return guided ? sequences / 2 : sequences;
}

std::int32_t TokenSession::turned(std::int32_t token) const {
  return static_cast<std::int32_t>((token - layout_.first + layout_.vocabulary) % layout_.vocabulary);
}

std::vector<std::int32_t> TokenSession::prefix(const std::vector<std::int32_t>& caption) const {
  if (static_cast<std::int64_t>(caption.size()) > layout_.places) {
    throw Error(fmt::format("the caption has {} tokens, the model reads at most {}; shorten it", caption.size(),
                            layout_.places));
  }
  for (std::size_t i = 0; i < caption.size(); ++i) {
    if (caption[i] < 0 || caption[i] >= layout_.vocabulary) {
      throw Error(fmt::format("token {} of the caption is {}; the vocabulary has ids 0 to {}", i + 1, caption[i],
                              layout_.vocabulary - 1));
    }
  }
  std::vector<std::int32_t> tokens = caption;
  tokens.resize(static_cast<std::size_t>(layout_.places), layout_.pad);
  tokens.insert(tokens.end(), layout_.begin.begin(), layout_.begin.end());
  return tokens;
}

TokenSession::Steps& TokenSession::steps_of(std::int64_t sequences, bool guided, const SamplingOptions& sampling,
                                            std::vector<std::uint32_t> streams) {
  const Sampling::Mode mode = Sampling::mode_of(sampling);
  if (current_ == nullptr || current_->sequences != sequences || current_->guided != guided || current_->mode != mode) {
    const Graph stepped = with_codes_alone(StepState::with_rows(decode_), layout_, guided);
    current_ = std::make_unique<Steps>(session_, Sampling::append_to(stepped, mode), sequences, guided, mode);
  }
  current_->search = std::make_unique<Sampling>(session_, current_->state, sequences, 1, sampling, std::move(streams));
  return *current_;
}

Executable& TokenSession::executable(Steps& steps) { return session_.prepare(steps.graph, steps.search->dims()); }

TokenSession::Steps& TokenSession::start(std::int64_t pictures, const TokenDrawing& drawing) {
  const bool guided = drawing.guidance != 1.0;
  for (const std::int32_t code : drawing.given) {
    if (code < 0 || code >= layout_.count) {
      throw Error(fmt::format("code {} was given; the model has codes 0 to {}", code, layout_.count - 1));
    }
  }
  if (static_cast<std::int64_t>(drawing.given.size()) > layout_.codes()) {
    throw Error(fmt::format("{} codes were given; a picture has {}", drawing.given.size(), layout_.codes()));
  }
  std::vector<std::vector<std::int32_t>> prefixes = {prefix(drawing.caption)};
  if (guided) prefixes.push_back(prefix({}));
  for (std::vector<std::int32_t>& tokens : prefixes) {
    for (std::int32_t& token : tokens) token = turned(token);
    tokens.insert(tokens.end(), drawing.given.begin(), drawing.given.end());
  }
  const auto rows_of_picture = static_cast<std::int64_t>(prefixes.size());
  // A power of two, so that few plans are made.
  auto sequences = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(pictures * rows_of_picture)));
  sequences = std::max(sequences, kLeastSequences);
  std::vector<std::uint32_t> streams;
  std::vector<std::int32_t> firsts;
  std::vector<std::vector<std::int32_t>> forced;
  for (std::int64_t row = 0; row < sequences; ++row) {
    // Rows of one picture have one stream: equal logits, equal numbers, equal codes.
    streams.push_back(static_cast<std::uint32_t>(drawing.first_picture + row / rows_of_picture));
    if (row >= pictures * rows_of_picture) continue;
    const std::vector<std::int32_t>& tokens = prefixes[static_cast<std::size_t>(row % rows_of_picture)];
    firsts.push_back(tokens.front());
    forced.emplace_back(tokens.begin() + 1, tokens.end());
  }
  ops::SearchOptions options;
  options.max_tokens = static_cast<std::int32_t>(most_made());
  Steps& steps = steps_of(sequences, guided, drawing.sampling, std::move(streams));
  steps.search->start(firsts, forced, options, most_made() + 1);
  executable(steps);
  if (guided) {
    const auto guidance = static_cast<float>(drawing.guidance);
    session_.write("guidance", std::as_bytes(std::span(&guidance, 1)));
  }
  return steps;
}

std::vector<std::vector<std::int32_t>> TokenSession::draw(std::int64_t pictures, const TokenDrawing& drawing) {
  drawing.sampling.check();
  if (!std::isfinite(drawing.guidance)) throw Error("the guidance is no finite number");
  if (pictures < 1 || pictures > most_pictures(drawing.guidance != 1.0)) {
    throw Error(fmt::format("{} pictures at once, expected 1 to {}", pictures, most_pictures(drawing.guidance != 1.0)));
  }
  Steps& steps = start(pictures, drawing);
  Executable& step = executable(steps);
  const std::int64_t before = prefix_size() - 1;  // tokens made that are no codes
  std::int64_t made = 0;
  while (made < most_made()) {
    if (drawing.stop && drawing.stop(std::max<std::int64_t>(made - before, 0))) return {};
    const int repeats = steps_for(seconds_a_step_, most_made() - made);
    const TokenClock::time_point begin = TokenClock::now();
    session_.run(step, repeats);
    seconds_a_step_ = std::chrono::duration<double>(TokenClock::now() - begin).count() / repeats;
    made += repeats;
  }
  if (drawing.stop && drawing.stop(layout_.codes())) return {};
  const std::vector<std::vector<Hypothesis>> results = steps.search->results();
  const std::size_t rows_of_picture = steps.guided ? 2 : 1;
  std::vector<std::vector<std::int32_t>> codes;
  for (std::size_t row = 0; row < results.size(); row += rows_of_picture) {
    const std::vector<std::int32_t>& tokens = results[row].front().tokens;
    codes.emplace_back(tokens.begin() + before, tokens.end());
  }
  return codes;
}

std::vector<std::int32_t> TokenSession::codes_so_far(std::int64_t made) {
  std::vector<std::int32_t> codes(static_cast<std::size_t>(layout_.codes()), 0);
  const std::int64_t before = prefix_size() - 1;
  const std::vector<std::int32_t> tokens = current_->search->made(before + made).front();
  for (std::int64_t i = 0; i < made; ++i) {
    // A row that broke has -1; results() says so.
    codes[static_cast<std::size_t>(i)] = std::max(tokens[static_cast<std::size_t>(before + i)], 0);
  }
  return codes;
}

Picture TokenSession::picture_of(const std::vector<std::int32_t>& codes) {
  Executable& executable = session_.prepare(pixels_, {{"batch", 1}});
  session_.write("codes", std::as_bytes(std::span(codes)));
  session_.run(executable);
  Picture picture{layout_.width, layout_.height, layout_.channels, {}};
  picture.values.resize(static_cast<std::size_t>(picture.width * picture.height * picture.channels));
  session_.read_output(executable, "image", std::as_writable_bytes(std::span(picture.values)));
  const double scale = 1.0 / (layout_.most - layout_.least);
  for (float& value : picture.values) {
    if (!std::isfinite(value)) {
      throw Error(
          "the picture has values that are no finite numbers; the model's weights are damaged, or the device "
          "computes wrongly: try 'heed conform'");
    }
    value = static_cast<float>((value - layout_.least) * scale);
  }
  return picture;
}

std::vector<std::int32_t> TokenSession::codes_of(const Picture& picture) {
  if (encode_ == nullptr) throw Error("the model cannot read pictures: its file has no graph 'codes'");
  if (picture.width != layout_.width || picture.height != layout_.height || picture.channels != layout_.channels) {
    throw Error(fmt::format("the picture is {}x{} with {} channels, the model's are {}x{} with {}; scale or cut it",
                            picture.width, picture.height, picture.channels, layout_.width, layout_.height,
                            layout_.channels));
  }
  std::vector<float> values;
  for (const float value : picture.values) {
    values.push_back(static_cast<float>(value * (layout_.most - layout_.least) + layout_.least));
  }
  Executable& executable = session_.prepare(*encode_, {{"batch", 1}});
  session_.write("image", std::as_bytes(std::span(values)));
  session_.run(executable);
  std::vector<std::int32_t> codes(static_cast<std::size_t>(layout_.codes()));
  session_.read_output(executable, "codes", std::as_writable_bytes(std::span(codes)));
  return codes;
}

bool TokenSession::has_attention() const {
  return std::ranges::any_of(decode_.nodes, [](const Node& node) { return node.op == "attention"; });
}

std::vector<std::vector<float>> TokenSession::explain(const std::vector<std::int32_t>& caption,
                                                      const std::vector<std::int32_t>& codes) {
  // What a row weighs is for the token that it makes: the last before the codes makes the first of them.
  std::vector<std::int32_t> fed = prefix(caption);
  const std::size_t before = fed.size();
  for (std::size_t i = 0; i + 1 < codes.size(); ++i) fed.push_back(codes[i] + static_cast<std::int32_t>(layout_.first));
  const auto rows = static_cast<std::int64_t>(fed.size());
  std::vector<std::vector<float>> mean(before, std::vector<float>(codes.size(), 0.0f));
  float matrices = 0.0f;
  for (const Node& shown : decode_.nodes) {
    if (shown.op != "attention") continue;
    // One layer at a time: all of them need not fit the device.
    const Graph graph =
        with_attention_weights(decode_, " " + shown.name, [&](const Node& node) { return node.name == shown.name; });
    Executable& executable = session_.prepare(graph, {{"tokens", rows}, {"outputs", 1}, {"context", rows}});
    const std::int32_t position = 0;
    session_.reserve_and_write("tokens", std::as_bytes(std::span(fed)));
    session_.reserve_and_write("position", std::as_bytes(std::span(&position, 1)));
    session_.run(executable);
    std::vector<AttentionWeights> nodes;
    read_attention_weights(
        session_, executable, graph,
        [&](const Node& node) { return AttentionWeights{node.name, 0, rows, 0, {}, AttentionKind::Target}; }, 0, nodes);
    const AttentionWeights& weights = nodes.front();
    matrices += static_cast<float>(weights.heads);
    for (std::int64_t head = 0; head < weights.heads; ++head) {
      for (std::size_t place = 0; place < codes.size(); ++place) {
        const std::int64_t row = head * rows + static_cast<std::int64_t>(before + place) - 1;
        for (std::size_t token = 0; token < before; ++token) {
          mean[token][place] += weights.weights[static_cast<std::size_t>(row * weights.columns) + token];
        }
      }
    }
  }
  for (std::vector<float>& of_token : mean) {
    for (float& weight : of_token) weight /= matrices;
  }
  return mean;
}

const Plan& TokenSession::step_plan(std::int64_t pictures, bool guided) {
  TokenDrawing drawing;
  drawing.sampling = layout_.sampling;
  drawing.guidance = guided ? 2.0 : 1.0;
  return executable(start(pictures, drawing)).plan();
}

std::vector<DispatchTime> TokenSession::profile(std::int64_t pictures, bool guided) {
  constexpr int kRepeats = 9;
  TokenDrawing drawing;
  drawing.sampling = layout_.sampling;
  drawing.guidance = guided ? 2.0 : 1.0;
  Executable* step = nullptr;
  const auto restart = [&] {
    step = &executable(start(pictures, drawing));
    session_.run(*step, static_cast<int>(most_made() / 2));
  };
  restart();
  return session_.time_dispatches(*step, kRepeats, restart);
}

}  // namespace heed
