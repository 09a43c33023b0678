// Sampling: the logits of a sequence are shared by as many workgroups as the tuning says, where the device can.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ops/sample.h"
#include "ops/search.h"
#include "plan/default_tuning.h"
#include "planner/make_plan.h"
#include "tests/unit/large_gpu.h"

namespace heed {
namespace {

using testing::large_gpu;

constexpr std::int64_t kVocabulary = 128256;  // of Llama 3

Graph sample(bool greedy, bool penalty, std::int64_t vocabulary = kVocabulary) {
  GraphBuilder b("sample");
  b.output(b.add("sample", "sample",
                 {b.input("logits", DType::F32, {1, vocabulary}), b.state("tokens", DType::I32, {"tokens"}),
                  b.state("position", DType::I32, {1}), b.state("history", DType::I32, {64}),
                  b.state("sampler", DType::I32, {ops::kSamplerWords})},
                 {{"greedy", std::int64_t{greedy}}, {"penalty", std::int64_t{penalty}}, {"rows", "tokens"}}),
           "token");
  return std::move(b).finish();
}

Graph sample_rows(bool greedy, std::int64_t rows, std::int64_t vocabulary = kVocabulary) {
  GraphBuilder b("sample_rows");
  const auto state = [&](const char* name, SymbolicShape shape) { return b.state(name, DType::I32, std::move(shape)); };
  b.add_many("sample_rows", "sample_rows",
             {b.input("logits", DType::F32, {rows, vocabulary}), state("tokens", {rows}), state("position", {rows}),
              state("parents", {rows}), state("history", {64, rows}), state("sampler", {rows, ops::kSamplerWords}),
              state("table", {64, rows}), b.state("sums", DType::F32, {rows}),
              state("options", {static_cast<std::int64_t>(ops::kFirstForced)})},
             {{"greedy", std::int64_t{greedy}}, {"penalty", std::int64_t{1}}}, 0);
  return std::move(b).finish();
}

Plan planned(const Graph& graph, const DeviceCaps& caps, std::uint32_t groups) {
  Tuning tuning = default_tuning(caps);
  tuning.sample_groups = groups;
  return make_plan(graph, {{"tokens", 1}}, caps, tuning);
}

std::uint64_t workgroups(const Dispatch& d) { return std::uint64_t{d.groups[0]} * d.groups[1] * d.groups[2]; }

std::vector<std::string> shaders(const Plan& plan) {
  std::vector<std::string> result;
  for (const Dispatch& dispatch : plan.dispatches) result.push_back(dispatch.shader);
  return result;
}

bool shares(const Plan& plan) {
  return std::ranges::any_of(plan.dispatches, [](const Dispatch& d) {
    return d.shader == "sample_greedy_split" || d.shader == "sample_draw";
  });
}

}  // namespace

TEST_CASE("sampling from a large vocabulary is work for four workgroups a core of a large GPU") {
  constexpr std::uint64_t kCores = 132;
  // These read no vocabulary: the last tokens of the history, the options of a search, a token a sequence.
  const std::set<std::string_view> small = {"sample_penalty", "sample_limits", "sample_advance"};
  for (const bool greedy : {true, false}) {
    for (const Graph& graph :
         {sample(greedy, false), sample(greedy, true), sample_rows(greedy, 4), sample_rows(greedy, 8)}) {
      const Plan plan = planned(graph, large_gpu(), 640);
      CHECK(shares(plan));
      for (const Dispatch& dispatch : plan.dispatches) {
        if (small.contains(dispatch.shader)) continue;
        CAPTURE(graph.name);
        CHECK_MESSAGE(workgroups(dispatch) >= 4 * kCores, dispatch.shader);
      }
    }
  }
}

TEST_CASE("a draw by many workgroups is seven dispatches, or nine where shared memory is small") {
  using Shaders = std::vector<std::string>;
  CHECK(shaders(planned(sample(true, false), large_gpu(), 640)) == Shaders{"sample_greedy_split"});
  Shaders drawn = {"sample_largest", "sample_search", "sample_search", "sample_search",
                   "sample_search",  "sample_search", "sample_draw"};
  CHECK(shaders(planned(sample(false, false), large_gpu(), 640)) == drawn);
  drawn.insert(drawn.begin() + 1, 2, "sample_search");
  DeviceCaps caps = large_gpu();
  caps.max_shared_memory = 16384;
  CHECK(shaders(planned(sample(false, false), caps, 640)) == drawn);
  // Wide histograms of many sequences are too much memory.
  CHECK(planned(sample_rows(false, 400), large_gpu(), 640).memory() <
        planned(sample_rows(false, 400), large_gpu(), 0).memory() + (8u << 20));
}

TEST_CASE("a small vocabulary has fewer workgroups, and several sequences share what is wanted") {
  const auto groups_of = [](const Graph& graph, std::uint32_t groups) {
    const Plan plan = planned(graph, large_gpu(), groups);
    std::uint64_t most = 0;
    for (const Dispatch& d : plan.dispatches) {
      if (d.shader == "sample_draw" || d.shader == "sample_greedy_split") most = std::max(most, workgroups(d));
    }
    return most;
  };
  CHECK(groups_of(sample(true, false, 1), 640) == 1);
  CHECK(groups_of(sample(true, false, 17), 640) == 2);
  CHECK(groups_of(sample(false, false, 1000), 640) == 63);
  CHECK(groups_of(sample(false, false, 1000), 10) == 10);
  CHECK(groups_of(sample_rows(false, 7, 1000), 20) == 7 * 3);
  CHECK(groups_of(sample_rows(true, 700, 1000), 20) == 700);
}

TEST_CASE("a score is summed in one order, however many sequences there are") {
  const auto workgroups_a_sequence = [](std::int64_t sequences) {
    const Plan plan = planned(sample_rows(false, sequences), large_gpu(), 640);
    for (const Dispatch& d : plan.dispatches) {
      if (d.shader == "sample_score_split") return workgroups(d) / static_cast<std::uint64_t>(sequences);
    }
    return std::uint64_t{0};
  };
  CHECK(workgroups_a_sequence(1) == 160);
  for (const std::int64_t sequences : {4, 7, 64, 256}) CHECK(workgroups_a_sequence(sequences) == 160);
}

TEST_CASE("a sequence stays with one workgroup where that is tuned so, or the device cannot share it") {
  const Graph graph = sample(false, false);
  CHECK(shaders(planned(graph, large_gpu(), 0)) == std::vector<std::string>{"sample"});
  CHECK(shaders(planned(sample(true, false), large_gpu(), 0)) == std::vector<std::string>{"sample_greedy"});
  CHECK(shares(planned(graph, large_gpu(), 1)));
  CHECK(shares(planned(graph, DeviceCaps(), 640)));
  DeviceCaps caps = large_gpu();
  caps.max_storage_buffers = 7;
  CHECK(!shares(planned(graph, caps, 640)));
  caps = large_gpu();
  caps.max_shared_memory = 4096;
  CHECK(!shares(planned(graph, caps, 640)));
  // More tokens than masses in fixed point have room for.
  CHECK(!shares(planned(sample(false, false, 1 << 24), large_gpu(), 640)));
  caps = large_gpu();
  caps.max_loop_iterations = 65535;
  CHECK(shares(planned(graph, caps, 640)));
  // A module that is wrong on a device is not used there.
  caps = large_gpu();
  caps.broken_modules = {"sample_search-storage"};
  CHECK(shaders(planned(graph, caps, 640)) == std::vector<std::string>{"sample"});
}

}  // namespace heed
