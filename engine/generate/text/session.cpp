#include "generate/text/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <set>
#include <string>

#include "generate/attention_weights.h"
#include "generate/step_state.h"
#include "generate/text/prompt_runs.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "ops/attention.h"
#include "ops/op.h"
#include "planner/infer.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

constexpr std::uint64_t kMostExplained = std::uint64_t{2} << 30;  // bytes of attention weights

std::span<const std::byte> object_bytes(const auto& object) { return std::as_bytes(std::span(&object, 1)); }

}  // namespace

Graph with_sampling(const Graph& decode, std::int64_t context, const ChoiceMode& mode) {
  GraphBuilder builder(decode);
  Graph& graph = builder.graph();
  graph.name = fmt::format("{}+sample {}", decode.name, mode.text());
  // What the step itself moves on is state, not input.
  const ValueId tokens = graph.find("tokens");
  const ValueId position = graph.find("position");
  std::erase_if(graph.inputs, [&](ValueId id) { return id == tokens || id == position; });
  graph.value(tokens).kind = graph.value(position).kind = ValueKind::State;
  const ChoiceInputs inputs = {.logits = graph.find("logits"),
                               .tokens = tokens,
                               .position = position,
                               .history = builder.state("history", DType::I32, {context}),
                               .sampler = builder.state("sampler", DType::I32, {ops::kSamplerWords}),
                               .sequences = 1};
  graph.outputs.clear();  // logits need not outlive the step
  const ValueId token = builder.add(
      "sample", "sample", {add_rules(builder, mode, inputs), tokens, position, inputs.history, inputs.sampler},
      {{"greedy", std::int64_t{mode.greedy}},
       {"penalty", std::int64_t{mode.penalty}},
       {"rows", std::string("tokens")}});
  builder.output(token, "next_token");
  add_logprobs(builder, mode, inputs, position, token);
  validate(graph, ops::is_op);
  return std::move(builder).finish();
}

TextSession::TextSession(Gpu& gpu, const ModelFile& file, std::int64_t context, CacheType cache,
                         std::int64_t first_positions, std::int64_t most_run)
    : gpu_(gpu),
      text_(text_graph(file, context, cache, gpu.caps())),
      source_(file),
      weights_(gpu, source_),
      session_(gpu, weights_),
      first_positions_(first_positions),
      most_run_(most_run),
      choice_states_(session_, text_.vocabulary, 1) {
  session_.reserve("tokens", static_cast<std::uint64_t>(std::min(kMostPromptRun, text_.context)) * 4);
  session_.reserve("position", 4);
  // Kernels write a token a step there, and read back only what a repetition penalty looks at.
  session_.reserve("history", static_cast<std::uint64_t>(text_.context) * 4, vk::MemoryUse::Readback);
  session_.reserve("sampler", sizeof(ops::SamplerState));
}

const Graph& TextSession::sampled_graph() {
  for (const auto& [mode, graph] : sampled_graphs_) {
    if (mode == mode_) return graph;
  }
  return sampled_graphs_.emplace_back(mode_, with_sampling(text_.graph, text_.context, mode_)).second;
}

std::int64_t TextSession::room_for(std::int64_t positions) const {
  // A cache that grows has whole blocks (with_caches_by_head()).
  std::int64_t room =
      std::min(ceil_div(std::max<std::int64_t>(first_positions_, 1), ops::kKeyBlock) * ops::kKeyBlock, text_.context);
  while (room < positions) room = room < text_.context - room ? 2 * room : text_.context;
  return room;
}

void TextSession::grow(std::int64_t room) {
  if (room <= room_) return;
  // The first plan has all that it needs checked together, and allocated.
  if (room_ > 0) {
    session_.grow(state_sizes(text_.graph, "context", room), fmt::format("room for {} tokens in the cache", room));
  }
  room_ = room;
}

std::int64_t TextSession::longest_run(std::int64_t wanted, std::int64_t behind) {
  if (wanted <= kPromptBlock) return kPromptBlock;
  if (!prompt_length_) {
    prompt_length_ = prompt_length(gpu_.caps(), gpu_.tuning(), most_run_, [&](std::int64_t tokens) {
      const Bindings dims = {{"tokens", tokens}, {"outputs", 0}, {"context", text_.context}};
      return make_plan(text_.graph, dims, gpu_.caps(), gpu_.tuning());
    });
  }
  return prompt_length_->behind(behind);
}

Executable& TextSession::executable(std::int64_t positions, std::int64_t tokens, std::int64_t outputs, bool sampled) {
  const std::int64_t room = room_for(positions);
  grow(room);
  Bindings dims = {{"tokens", tokens}, {"outputs", outputs}, {"context", room}};
  if (sampled) dims.insert(choice_dims_.begin(), choice_dims_.end());
  return session_.prepare(sampled ? sampled_graph() : text_.graph, dims);
}

void TextSession::feed(std::span<const std::int32_t> tokens, std::int64_t position) {
  const auto at = static_cast<std::int32_t>(position);
  session_.write("tokens", std::as_bytes(tokens));
  session_.write("position", object_bytes(at));
}

std::int32_t TextSession::token_at(std::int64_t position) {
  std::int32_t token = 0;
  session_.read("history", std::as_writable_bytes(std::span(&token, 1)), static_cast<std::uint64_t>(position) * 4);
  if (token < 0 || token >= text_.vocabulary) {
    throw Error(broken_logits(position, gpu_.caps(), cache_type(), choice_.limits()));
  }
  return token;
}

std::optional<std::int32_t> TextSession::start(const std::vector<std::int32_t>& prompt, const TokenChoice& choice,
                                               const std::function<bool()>& cancelled, std::uint32_t drawn) {
  const auto count = static_cast<std::int64_t>(prompt.size());
  check_prompt(prompt, text_);
  choice.check(text_.vocabulary);
  choice_ = choice;
  mode_ = ChoiceMode::of(choice);
  const TokenChoice* const choices[] = {&choice_};
  choice_dims_ = choice_states_.reserve(mode_, choices);
  choice_states_.write(mode_, choices);

  ops::SamplerState state = sampler_state(choice);
  state.step = drawn;
  session_.write("sampler", object_bytes(state));
  session_.write("history", std::as_bytes(std::span(prompt)));

  // A row's keys are the same bits in whichever run it is computed, but for those of very few rows: so a cache that
  // holds tokens of a prompt already holds their very bytes. The last run always runs: it brings the logits.
  const auto common =
      std::mismatch(prompt.begin(), prompt.end(), cached_.begin(), cached_.end()).first - prompt.begin();
  std::int64_t done = std::min<std::int64_t>(common, count - 1) / kPromptBlock * kPromptBlock;
  cached_.resize(static_cast<std::size_t>(done));
  while (done < count) {
    const PromptRun run = prompt_runs(done, count, longest_run(count - done, done)).front();
    const std::int64_t end = run.begin + run.size;
    const bool is_last = end == count;
    Executable* const piece = prepared_unless_too_long(
        prompt_length_, run.size, [&]() -> Executable& { return executable(end, run.size, is_last ? 1 : 0, is_last); });
    if (piece == nullptr) continue;
    cached_.resize(std::min(cached_.size(), static_cast<std::size_t>(run.begin)));
    feed(std::span(prompt).subspan(static_cast<std::size_t>(run.begin), static_cast<std::size_t>(run.size)), run.begin);
    if (is_last) write_mask();
    session_.run(*piece);
    if (run.size >= StepState::kLeastRows) cached_.assign(prompt.begin(), prompt.begin() + end);
    done = end;
    if (run.size >= kPromptBlock && !is_last && cancelled && cancelled()) return std::nullopt;
  }
  position_ = count;
  return token_at(position_);
}

void TextSession::write_mask() {
  if (choice_.constraint) choice_states_.write_masks(choice_states_.mask_of(*choice_.constraint));
}

std::vector<TokenLogprobs> TextSession::logprobs(std::size_t count) {
  std::vector<TokenLogprobs> logprobs;
  for (auto place = position_ - static_cast<std::int64_t>(count) + 1; choice_.logprobs && place <= position_; ++place) {
    logprobs.push_back(choice_states_.logprobs(choice_, 0, 1, place));
  }
  return logprobs;
}

std::vector<std::int32_t> TextSession::step(int count) {
  assert(position_ > 0 && count > 0 && count <= room() && count <= most_steps());
  write_mask();
  for (std::int64_t done = 0; done < count;) {
    const std::int64_t before = position_ + done;
    const std::int64_t steps = std::min(count - done, room_for(before + 1) - before);
    session_.run(executable(before + steps, 1, 1, true), static_cast<int>(steps));
    done += steps;
  }
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(count));
  session_.read("history", std::as_writable_bytes(std::span(tokens)), static_cast<std::uint64_t>(position_ + 1) * 4);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0) token_at(position_ + 1 + static_cast<std::int64_t>(i));
  }
  position_ += count;
  return tokens;
}

std::vector<AttentionLayer> TextSession::attention_layers() const {
  return heed::attention_layers(text_.graph, [](const Node&) { return true; });
}

std::vector<AttentionWeights> TextSession::explain(const std::vector<std::int32_t>& tokens,
                                                   const std::vector<std::size_t>& layers,
                                                   const std::function<bool()>& cancelled) {
  if (static_cast<std::int64_t>(tokens.size()) > text_.context) {
    throw Error(fmt::format("{} tokens do not fit a context of {}", tokens.size(), text_.context));
  }
  if (tokens.size() < 2) throw Error("attention shows what a token was written from; there is but one");
  check_tokens(tokens, text_.vocabulary);
  std::set<std::string> chosen;
  const std::vector<AttentionLayer> all = attention_layers();
  if (all.empty()) throw Error("the model has no attention to show");
  for (const std::size_t layer : layers) {
    if (layer >= all.size()) {
      throw Error(fmt::format("layer {} was asked for; the model has layers 0 to {}", layer, all.size() - 1));
    }
    chosen.insert(all[layer].name);
  }
  if (chosen.empty()) {
    for (const AttentionLayer& layer : all) chosen.insert(layer.name);
  }

  // The last token was not read.
  const std::span<const std::int32_t> fed(tokens.data(), tokens.size() - 1);
  const auto rows = static_cast<std::int64_t>(fed.size());
  std::string kind;
  for (const std::string& name : chosen) kind += " " + name;
  const Graph graph =
      with_attention_weights(text_.graph, kind, [&](const Node& node) { return chosen.contains(node.name); });
  const auto dims = [&](std::int64_t count) { return Bindings{{"tokens", count}, {"outputs", 1}, {"context", rows}}; };
  std::uint64_t bytes = 0;
  const std::vector<TensorType> types = infer_all(graph, dims(1));
  for (const ValueId output : graph.outputs) {
    const Shape& row = types[static_cast<std::size_t>(output)].shape;
    bytes = saturating_sum(bytes, saturating_product({u64(element_count(row)), u64(rows), 4}));
  }
  if (bytes > kMostExplained) {
    throw Error(
        fmt::format("attention of {} tokens in {} layers takes {} MiB, at most {} are kept; choose fewer layers "
                    "or a shorter text",
                    rows, chosen.size(), bytes >> 20, kMostExplained >> 20));
  }
  cached_.clear();
  position_ = 0;  // keys lie as in a cache of `rows`: no text goes on from them
  std::vector<AttentionWeights> nodes;
  for (std::int64_t done = 0; done < rows; done += kPromptBlock) {
    const std::int64_t count = std::min(kPromptBlock, rows - done);
    feed(fed.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(count)), done);
    Executable& piece = session_.prepare(graph, dims(count));
    session_.run(piece);
    read_attention_weights(
        session_, piece, graph,
        [&](const Node& node) { return AttentionWeights{node.name, 0, rows, 0, {}, AttentionKind::Target}; }, done,
        nodes);
    if (cancelled && cancelled()) return {};
  }
  return nodes;
}

std::vector<float> TextSession::logits(const std::vector<std::int32_t>& tokens) {
  if (static_cast<std::int64_t>(tokens.size()) > text_.context) {
    throw Error(fmt::format("{} tokens do not fit a context of {}", tokens.size(), text_.context));
  }
  check_tokens(tokens, text_.vocabulary);
  cached_.clear();
  std::vector<float> logits;
  const auto row = static_cast<std::size_t>(text_.vocabulary);
  for (std::size_t done = 0; done < tokens.size(); done += kPromptBlock) {
    const std::size_t count = std::min<std::size_t>(kPromptBlock, tokens.size() - done);
    const auto rows = static_cast<std::int64_t>(count);
    Executable& piece = executable(static_cast<std::int64_t>(done) + rows, rows, rows, false);
    feed(std::span(tokens).subspan(done, count), static_cast<std::int64_t>(done));
    session_.run(piece);
    logits.resize((done + count) * row);
    session_.read_output(piece, "logits", std::as_writable_bytes(std::span(logits).subspan(done * row)));
  }
  return logits;
}

std::vector<DispatchTime> TextSession::profile(std::int64_t tokens, std::int64_t depth) {
  constexpr int kRepeats = 9;
  if (tokens < 1 || depth < 0 || depth > text_.context || tokens > text_.context - depth) {
    throw Error(fmt::format("{} tokens behind {} cannot be profiled in a context of {}", tokens, depth, text_.context));
  }
  measure_greedy();
  cached_.clear();
  const PromptRun last = prompt_runs(0, tokens, longest_run(tokens, depth)).back();
  const std::vector<std::int32_t> piece(static_cast<std::size_t>(last.size), 0);
  Executable& step = executable(depth + tokens, last.size, 1, true);
  return session_.time_dispatches(step, kRepeats, [&] { feed(piece, depth + last.begin); });
}

void TextSession::measure_greedy() {
  choice_ = {};
  mode_ = {.greedy = true};
  choice_dims_.clear();
}

const Plan& TextSession::decode_plan() {
  measure_greedy();
  return executable(1, 1, 1, true).plan();
}

}  // namespace heed
