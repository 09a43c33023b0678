// Attention of a prompt on a device: what a row gives is the same bits in whichever pieces the prompt is read, so that
// pieces may be as long as the device likes, and keys of one reading serve another.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <optional>
#include <set>
#include <string>

#include "graph/convert_dtype.h"
#include "graph/graph.h"
#include "planner/make_plan.h"
#include "runtime/gpu.h"
#include "runtime/session.h"
#include "runtime/weights.h"
#include "tests/unit/runtime/test_device.h"

namespace heed {
namespace {

constexpr std::int64_t kBefore = 21;  // keys that the cache holds
constexpr std::int64_t kPrompt = 256;
constexpr std::int64_t kRoom = 300;
constexpr std::int64_t kHeads = 4, kKvHeads = 2, kWidth = 16;

struct Kind {
  std::int64_t window = 0;
  bool table = false;  // one for all rows
  DType cache = DType::F32;
};

Graph attention_of(std::int64_t rows, const Kind& kind) {
  GraphBuilder b("attention");
  const ValueId q = b.input("q", DType::F32, {rows, kHeads * kWidth});
  const ValueId k = b.input("k", DType::F32, {rows, kKvHeads * kWidth});
  const ValueId v = b.input("v", DType::F32, {rows, kKvHeads * kWidth});
  const ValueId keys = b.state("keys", kind.cache, {kRoom, kKvHeads * kWidth});
  const ValueId values = b.state("values", kind.cache, {kRoom, kKvHeads * kWidth});
  const ValueId position = b.input("position", DType::I32, {kind.table ? rows : 1});
  const ValueId table = kind.table ? b.state("table", DType::I32, {kRoom, 1}) : kNoValue;
  Attributes how = {{"heads", kHeads}, {"kv_heads", kKvHeads}, {"causal", std::int64_t{1}}};
  if (kind.window > 0) how.set("window", kind.window);
  b.output(b.add("attention", "attention", {q, k, v, kNoValue, keys, values, position, kNoValue, table}, how), "y");
  return std::move(b).finish();
}

float element(std::int64_t row, std::int64_t column, std::int64_t what) {
  return static_cast<float>((row * 131 + column * 37 + what * 17) % 257 - 128) / 64.0f;
}

/// Rows of the prompt read in pieces of `piece`, the last shorter; `shaders` gains what computed them.
std::vector<std::uint32_t> read_in(Gpu& gpu, const Tuning& tuning, const Kind& kind, std::int64_t piece,
                                   std::set<std::string>& shaders) {
  MemoryWeights weights;
  WeightStore store(gpu, weights);
  Session session(gpu, store);
  std::vector<std::uint32_t> y;
  for (std::int64_t done = 0; done < kPrompt; done += piece) {
    const std::int64_t rows = std::min(piece, kPrompt - done);
    const auto executable = session.prepare(make_plan(attention_of(rows, kind), {}, gpu.caps(), tuning));
    for (const Dispatch& d : executable->plan().dispatches) {
      shaders.insert(d.shader);
      if (d.shader == "attention_rows") CHECK((d.variant.front() == "shuffle") == tuning.key_shuffle);
    }
    const auto write = [&](const char* name, std::int64_t first, std::int64_t count, std::int64_t width,
                           std::int64_t what) {
      std::vector<float> floats;
      for (std::int64_t r = first; r < first + count; ++r) {
        for (std::int64_t c = 0; c < width; ++c) floats.push_back(element(r, c, what));
      }
      session.write(name, std::as_bytes(std::span(floats)));
    };
    write("q", done, rows, kHeads * kWidth, 1);
    write("k", done, rows, kKvHeads * kWidth, 2);
    write("v", done, rows, kKvHeads * kWidth, 3);
    if (done == 0) {
      for (const auto& [name, what] : {std::pair{"keys", 4}, std::pair{"values", 5}}) {
        if (kind.cache == DType::F32) {
          write(name, 0, kRoom, kKvHeads * kWidth, what);
          continue;
        }
        std::vector<std::uint16_t> elements;
        for (std::int64_t i = 0; i < kRoom * kKvHeads * kWidth; ++i) {
          elements.push_back(f32_to_f16(element(i / (kKvHeads * kWidth), i % (kKvHeads * kWidth), what)));
        }
        session.write(name, std::as_bytes(std::span(elements)));
      }
    }
    std::vector<std::int32_t> position(static_cast<std::size_t>(kind.table ? rows : 1));
    std::iota(position.begin(), position.end(), static_cast<std::int32_t>(kBefore + done));
    session.write("position", std::as_bytes(std::span(position)));
    if (kind.table) {
      std::vector<std::int32_t> table(static_cast<std::size_t>(kRoom));
      for (std::int64_t p = 0; p < kRoom; ++p)
        table[static_cast<std::size_t>(p)] = static_cast<std::int32_t>((p + 7) % kRoom);
      session.write("table", std::as_bytes(std::span(table)));
    }
    session.run(*executable);
    const std::size_t before = y.size();
    y.resize(before + static_cast<std::size_t>(rows * kHeads * kWidth));
    session.read_output(*executable, "y", std::as_writable_bytes(std::span(y).subspan(before)));
  }
  return y;
}

}  // namespace

TEST_CASE("a row of a prompt's attention is the same bits in whichever pieces the prompt is read") {
  const std::optional<Device> device = test_device();
  if (!device) return;
  Gpu& gpu = device->gpu();
  Tuning tuning;
  tuning.lanes = std::max(4u, gpu.caps().subgroup_size);
  std::vector<Tuning> tunings;
  std::vector<Kind> kinds;
  std::vector<std::int64_t> pieces;
  std::vector<std::string> kernels;  // that all of this has to be computed by
  SUBCASE("by lanes, of keys or of rows, and in tiles") {
    for (const std::uint32_t query_tile : {0u, 32u, 128u}) {
      tuning.query_tile = query_tile;
      for (const bool of_their_own : {false, true}) {  // queries of lanes
        tuning.query_lanes = of_their_own;
        for (const bool handed_on : {false, true}) {
          if (handed_on && !(of_their_own && gpu.caps().can_hand_on())) continue;
          tuning.key_shuffle = handed_on;
          tunings.push_back(tuning);
        }
      }
    }
    kinds = {{}, {.window = 50}, {.table = true}, {.window = 50, .table = true, .cache = DType::F16}};
    pieces = {128, 64, 36};
    kernels = {"attention", "attention_tiles"};
    if (gpu.caps().type == DeviceType::Cpu) kernels.push_back("attention_rows");
  }
  SUBCASE("by cooperative matrices") {
    if (gpu.caps().cooperative_sizes.empty()) {
      MESSAGE("SKIPPED: the device has no units for matrices");
      return;
    }
    tuning.cooperative_attention = true;
    // Few, since a CPU driver takes seconds to compile each.
    for (const std::uint32_t query_tile : {32u, 64u}) {
      tuning.query_tile = query_tile;
      tunings.push_back(tuning);
    }
    kinds = {{}, {.window = 50, .table = true, .cache = DType::F16}};
    pieces = {128, 36};
    kernels = {"attention_cooperative"};
  }
  std::set<std::string> shaders;
  for (const Kind& kind : kinds) {
    for (const Tuning& tuned : tunings) {
      CAPTURE(kind.window);
      CAPTURE(kind.table);
      CAPTURE(tuned.query_tile);
      CAPTURE(tuned.query_lanes);
      CAPTURE(tuned.key_shuffle);
      const std::vector<std::uint32_t> whole = read_in(gpu, tuned, kind, kPrompt, shaders);
      for (const std::int64_t piece : pieces) {
        CAPTURE(piece);
        CHECK(read_in(gpu, tuned, kind, piece, shaders) == whole);
      }
    }
  }
  for (const std::string& kernel : kernels) CHECK_MESSAGE(shaders.contains(kernel), kernel);
  CHECK(shaders.contains("attention_tiles") != tuning.cooperative_attention);
}

}  // namespace heed
