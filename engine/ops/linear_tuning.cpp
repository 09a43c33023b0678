// What the tuner times for products of one row and of many, and the ways to run them: of each kind of weight for
// itself.
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include "graph/quantised.h"
#include "ops/linear.h"
#include "ops/linear_dot.h"

namespace heed::ops {
namespace {

/// Types that stand for a kind: those that most files have. A file of K-quants has two of them.
std::vector<DType> types_of(WeightKind kind) {
  switch (kind) {
    case WeightKind::Floats:
      return {DType::F32};
    case WeightKind::Halves:
      return {DType::F16};
    case WeightKind::Bytes:
      return {DType::Q8_0};
    case WeightKind::Nibbles:
      return {DType::Q4_0};
    case WeightKind::KQuants:
      return {DType::Q4_K, DType::Q6_K};
  }
  return {};
}

/// Kinds that take what is measured with one. On a CPU driver all arithmetic is of floats and takes longer than fetches
/// do, so that two are enough, without a scale for each few elements and with one; and a start should not take long.
std::vector<WeightKind> kinds_like(WeightKind kind, const DeviceCaps& caps) {
  if (caps.type != DeviceType::Cpu) return {kind};
  if (kind == WeightKind::Floats) return {WeightKind::Floats, WeightKind::Halves};
  if (kind == WeightKind::Bytes) return {WeightKind::Bytes, WeightKind::Nibbles, WeightKind::KQuants};
  return {};
}

/// Adds a product of x [rows, columns] with a weight of `outputs` rows to the graph's outputs.
void add_product(GraphBuilder& builder, ValueId x, DType dtype, std::int64_t columns, std::int64_t outputs,
                 const std::string& name, const Attributes& attributes = {}) {
  const ValueId w = builder.weight("weight " + name, dtype, {outputs, columns});
  builder.output(builder.add("linear", "product " + name, {x, w}, attributes), "y " + name);
}

constexpr std::int64_t kColumns = 512;  // of x of small products

/// One product of each of the types, all of the same rows of x.
Graph products(const char* name, std::int64_t rows, std::int64_t outputs, const std::vector<DType>& types) {
  GraphBuilder builder(name);
  const ValueId x = builder.input("x", DType::F32, {rows, kColumns});
  for (const DType dtype : types) add_product(builder, x, dtype, kColumns, outputs, std::string(dtype_name(dtype)));
  return std::move(builder).finish();
}

constexpr std::int64_t kWidth = 4096;  // of a 7B model

/// Adds products of a few rows, on GPUs those of a 7B model, together more than any cache holds.
void add_products_of_few(GraphBuilder& builder, std::int64_t rows, const DeviceCaps& caps, WeightKind kind) {
  const std::vector<DType> types = types_of(kind);
  const bool large = times_large_work(caps);
  const std::int64_t columns = large ? kWidth : kColumns;
  constexpr std::int64_t kLarge[] = {4096, 11008, 32000}, kSmall[] = {8192};
  constexpr std::uint64_t kMoreThanCaches = std::uint64_t{100} << 20;
  Attributes attributes;
  if (rows > 1) attributes.set("most_rows", rows);  // as a batch's, which may run in kernels for few
  const std::string count = std::to_string(rows);
  const ValueId x = builder.input("x" + count, DType::F32, {rows, columns});
  std::uint64_t bytes = 0;
  std::size_t made = 0;
  for (const std::int64_t outputs : large ? std::span<const std::int64_t>(kLarge) : kSmall) {
    if (bytes > kMoreThanCaches) break;
    const DType dtype = types[made++ % types.size()];
    add_product(builder, x, dtype, columns, outputs, count + " x " + std::to_string(outputs), attributes);
    bytes += file_bytes(dtype, outputs, columns);
  }
}

Graph row_of_x(const DeviceCaps& caps, WeightKind kind) {
  GraphBuilder builder("a row");
  add_products_of_few(builder, 1, caps, kind);
  return std::move(builder).finish();
}

Graph few_rows_of_x(const DeviceCaps& caps, WeightKind kind) {
  GraphBuilder builder("few rows");
  add_products_of_few(builder, kDotRows, caps, kind);
  return std::move(builder).finish();
}

/// Both, for what must be one choice.
Graph row_and_few_rows_of_x(const DeviceCaps& caps, WeightKind kind) {
  GraphBuilder builder("a row and few rows");
  add_products_of_few(builder, 1, caps, kind);
  add_products_of_few(builder, kDotRows, caps, kind);
  return std::move(builder).finish();
}

Graph rows_of_x(const DeviceCaps&, WeightKind kind) { return products("rows", 64, 1024, types_of(kind)); }

/// Such products in the sizes of a 7B model, of a short and a long piece of a prompt.
Graph large_products_of_many_rows(const std::vector<DType>& types) {
  GraphBuilder builder("large products of many rows");
  for (const std::int64_t rows : {64, 256}) {
    const std::string name = std::to_string(rows);
    const ValueId x = builder.input("x" + name, DType::F32, {rows, kWidth});
    for (const DType dtype : types) {
      add_product(builder, x, dtype, kWidth, kWidth, name + " rows " + std::string(dtype_name(dtype)));
    }
  }
  return std::move(builder).finish();
}

Graph large_rows_of_x(const DeviceCaps& caps, WeightKind kind) {
  return times_large_work(caps) ? large_products_of_many_rows(types_of(kind)) : rows_of_x(caps, kind);
}

/// Small products, each of what the one before made.
Graph chained_products(const DeviceCaps&, WeightKind kind) {
  const std::vector<DType> types = types_of(kind);
  GraphBuilder builder("chain");
  ValueId x = builder.input("x", DType::F32, {1, 256});
  for (std::size_t i = 0; i < 6; ++i) {
    const DType dtype = types[i % types.size()];
    const std::string first = "first " + std::to_string(i), second = "second " + std::to_string(i);
    const ValueId h = builder.add("linear", first, {x, builder.weight(first, dtype, {512, 256})});
    x = builder.add("linear", second, {h, builder.weight(second, dtype, {256, 512})});
  }
  builder.output(x, "y");
  return std::move(builder).finish();
}

/// The gated products of a small model, many rows: twice the code of others.
Graph gated_rows_of_x(const DeviceCaps&, WeightKind kind) {
  GraphBuilder builder("gated rows");
  const ValueId x = builder.input("x", DType::F32, {64, 256});
  const auto product = [&](const char* name) {
    const ValueId w = builder.weight(std::string(name) + " weight", types_of(kind).front(), {512, 256});
    return builder.add("linear", name, {x, w});
  };
  const ValueId first = product("first"), second = product("second");
  builder.output(builder.add("gate", "gate", {first, second}, {{"activation", std::string("silu")}}), "y");
  return std::move(builder).finish();
}

using Candidates = std::vector<ProductTuning>;

Candidates lanes_with_rows(const DeviceCaps& caps, const ProductTuning& best, WeightKind) {
  ProductTuning candidate = best;
  candidate.lane_rows = true;
  candidate.lanes = std::max(4u, caps.subgroup_size);
  candidate.rows = 8;
  return {candidate};
}

Candidates lanes_of_a_workgroup(const DeviceCaps& caps, const ProductTuning& best, WeightKind) {
  if (best.lane_rows) return {};
  Candidates candidates;
  for (const std::uint32_t lanes : {caps.subgroup_size, 32u, 64u, 128u}) {
    // CPU drivers run a workgroup's lanes one subgroup after the other.
    const bool narrow = caps.subgroup_size <= 8;
    if (lanes >= 4 && lanes >= caps.subgroup_size && (!narrow || lanes == caps.subgroup_size)) {
      candidates.push_back(with(best, &ProductTuning::lanes, lanes));
    }
  }
  return candidates;
}

Candidates rows_at_a_time(const DeviceCaps&, const ProductTuning& best, WeightKind) {
  const std::uint32_t fewer = best.lane_rows ? 4 : 2, more = best.lane_rows ? 16 : 8;
  return {with(best, &ProductTuning::rows, fewer), with(best, &ProductTuning::rows, more)};
}

Candidates number_of_workgroups(const DeviceCaps& caps, const ProductTuning& best, WeightKind) {
  if (best.lane_rows) return {};
  Candidates candidates;
  for (const std::uint32_t groups : {16u, 64u, 256u}) {
    candidates.push_back(with(best, &ProductTuning::max_groups, std::min(groups, caps.max_workgroup_count[0])));
  }
  return candidates;
}

bool may_have_dots(const DeviceCaps& caps, WeightKind kind) {
  // CPU drivers do such products one by one: measured on lavapipe 22.3, they take twice as long as in floats.
  return caps.integer_dot_product && caps.type != DeviceType::Cpu && quantised_type(types_of(kind).front()) != nullptr;
}

Candidates dot_products(const DeviceCaps& caps, const ProductTuning& best, WeightKind kind) {
  if (!may_have_dots(caps, kind)) return {};
  return {with(best, &ProductTuning::dot_groups, best.dot_groups == 0 ? 1024u : 0u)};
}

Candidates groups_of_a_row(const DeviceCaps& caps, const ProductTuning& best, WeightKind kind) {
  if (!may_have_dots(caps, kind) || best.dot_groups == 0) return {};
  return each_other(best, &ProductTuning::dot_groups, {256u, 1024u, 4096u});
}

Candidates groups_of_few_rows(const DeviceCaps& caps, const ProductTuning& best, WeightKind kind) {
  if (!may_have_dots(caps, kind) || best.dot_groups == 0) return {};
  return each_other(best, &ProductTuning::few_dot_groups, {256u, 1024u, 4096u});
}

Candidates pairs_in_one_dispatch(const DeviceCaps& caps, const ProductTuning& best, WeightKind kind) {
  const ProductTuning candidate = with(best, &ProductTuning::pairs, true);
  Tuning tuning;
  tuning.of(kind) = candidate;
  if (!joined_lanes(types_of(kind).front(), caps, tuning)) return {};
  return {candidate};
}

Candidates rows_of_x_at_a_time(const DeviceCaps& caps, const ProductTuning& best, WeightKind) {
  // GPUs have tiles for them: what all lanes read of so many rows is more than AMD's scalar registers hold.
  if (!best.lane_rows || caps.type != DeviceType::Cpu) return {};
  return {with(best, &ProductTuning::x_rows, ProductTuning::kMostXRows)};
}

Candidates rows_from_lane_to_lane(const DeviceCaps& caps, const ProductTuning& best, WeightKind kind) {
  ProductTuning candidate = with(best, &ProductTuning::shuffle_rows, true);
  if (best.lane_rows) candidate.x_rows = ProductTuning::kMostXRows;
  Tuning tuning;
  tuning.of(kind) = candidate;
  if (!can_shuffle_rows(types_of(kind).front(), caps, tuning)) return {};
  return {candidate};
}

Candidates products_at_a_time(const DeviceCaps&, const ProductTuning& best, WeightKind) {
  if (!best.lane_rows || best.x_rows == 1) return {};
  return {with(best, &ProductTuning::x_products, 512u)};
}

Candidates tiles_of_many_rows(const DeviceCaps& caps, const ProductTuning& best, WeightKind) {
  // CPU drivers run a workgroup's lanes one after the other from barrier to barrier, with all that they hold in memory:
  // measured on lavapipe 22.3 and 26.1, plain tiles take 8 to 14 times as long, cooperative ones 20 times, and a
  // second or more to compile.
  if (caps.type == DeviceType::Cpu) return {};
  return each_other(best, &ProductTuning::tile, {0u, 64u, 128u});
}

/// Matrix units where there are any, and drivers that make do without them: either may win.
Candidates cooperative_tiles(const DeviceCaps& caps, const ProductTuning& best, WeightKind) {
  if (caps.cooperative_sizes.empty() || caps.type == DeviceType::Cpu) return {};
  Candidates candidates;
  for (const std::uint32_t tile : {64u, 128u}) {
    candidates.push_back(with(with(best, &ProductTuning::tile, tile), &ProductTuning::cooperative, true));
  }
  return candidates;
}

Candidates workgroups_of_tiles(const DeviceCaps&, const ProductTuning& best, WeightKind) {
  if (best.tile == 0) return {};
  return each_other(best, &ProductTuning::tile_groups, {0u, 128u, 512u});
}

// A step's functions know their kind by their type: the tuner tells work by the function that makes it.

template <Graph (*problem)(const DeviceCaps&, WeightKind), WeightKind kind>
Graph problem_with(const DeviceCaps& caps) {
  return problem(caps, kind);
}

template <Candidates (*candidates)(const DeviceCaps&, const ProductTuning&, WeightKind), WeightKind kind>
std::vector<Tuning> candidates_with(const DeviceCaps& caps, const Tuning& best) {
  std::vector<Tuning> result;
  const std::vector<WeightKind> kinds = kinds_like(kind, caps);
  if (kinds.empty()) return result;
  for (const ProductTuning& candidate : candidates(caps, best.of(kind), kind)) {
    Tuning tuning = best;
    for (const WeightKind like : kinds) tuning.of(like) = candidate;
    result.push_back(std::move(tuning));
  }
  return result;
}

void no_dots(Tuning& tuning) { tuning.set(&ProductTuning::dot_groups, 0u); }
void no_tiles(Tuning& tuning) { tuning.set(&ProductTuning::tile, 0u); }

std::string step_name(const char* choice, WeightKind kind) {
  return std::string(choice) + ", " + std::string(weight_kind_name(kind));
}

template <WeightKind kind>
void add_steps_of_a_row(std::vector<TuningStep>& steps) {
  const auto add = [&](const char* name, auto candidates) {
    steps.push_back({.name = step_name(name, kind),
                     .problem = problem_with<row_of_x, kind>,
                     .candidates = candidates,
                     .time_without = no_dots});
  };
  add("lanes with rows of their own", candidates_with<lanes_with_rows, kind>);
  add("lanes of a workgroup", candidates_with<lanes_of_a_workgroup, kind>);
  add("rows at a time", candidates_with<rows_at_a_time, kind>);
  add("number of workgroups", candidates_with<number_of_workgroups, kind>);
}

template <WeightKind kind>
void add_steps_of_rows(std::vector<TuningStep>& steps) {
  const auto add = [&](const char* name, auto problem, auto candidates, void (*without)(Tuning&) = nullptr) {
    steps.push_back(
        {.name = step_name(name, kind), .problem = problem, .candidates = candidates, .time_without = without});
  };
  add("pairs in one dispatch", problem_with<chained_products, kind>, candidates_with<pairs_in_one_dispatch, kind>);
  add("rows of x at a time", problem_with<rows_of_x, kind>, candidates_with<rows_of_x_at_a_time, kind>, no_tiles);
  add("rows from lane to lane", problem_with<rows_of_x, kind>, candidates_with<rows_from_lane_to_lane, kind>, no_tiles);
  add("products at a time", problem_with<gated_rows_of_x, kind>, candidates_with<products_at_a_time, kind>, no_tiles);
  add("tiles of many rows", problem_with<large_rows_of_x, kind>, candidates_with<tiles_of_many_rows, kind>);
  add("cooperative tiles", problem_with<large_rows_of_x, kind>, candidates_with<cooperative_tiles, kind>);
  add("workgroups of tiles", problem_with<large_rows_of_x, kind>, candidates_with<workgroups_of_tiles, kind>);
  // What few rows are without them has been chosen now.
  add("dot products", problem_with<row_and_few_rows_of_x, kind>, candidates_with<dot_products, kind>);
  add("dot products of a row", problem_with<row_of_x, kind>, candidates_with<groups_of_a_row, kind>);
  add("dot products of few rows", problem_with<few_rows_of_x, kind>, candidates_with<groups_of_few_rows, kind>);
}

template <std::size_t... kinds>
std::vector<TuningStep> steps_of_kinds(std::index_sequence<kinds...>, const TuningStep& texels,
                                       const TuningStep& same_place) {
  std::vector<TuningStep> steps = {texels};
  (add_steps_of_a_row<kWeightKinds[kinds]>(steps), ...);
  steps.push_back(same_place);
  (add_steps_of_rows<kWeightKinds[kinds]>(steps), ...);
  return steps;
}

/// A single row with weights of several kinds, for what is chosen for all of them.
Graph mixed_products(const DeviceCaps& caps) {
  if (!times_large_work(caps)) return products("products", 1, 8192, {DType::F32, DType::Q8_0});
  GraphBuilder builder("large products");
  const ValueId x = builder.input("x", DType::F32, {1, kWidth});
  add_product(builder, x, DType::F16, kWidth, 4096, "f16");
  add_product(builder, x, DType::Q8_0, kWidth, 11008, "q8_0");
  add_product(builder, x, DType::Q4_0, kWidth, 32000, "q4_0");
  return std::move(builder).finish();
}

Graph mixed_products_of_many_rows(const DeviceCaps&) { return large_products_of_many_rows({DType::F16, DType::Q4_0}); }

std::vector<Tuning> texel_reads(const DeviceCaps& caps, const Tuning& best) {
  if (caps.max_texel_buffer_elements == 0) return {};
  return {with(best, &Tuning::texel, true)};
}

std::vector<Tuning> reads_of_the_same(const DeviceCaps&, const Tuning& best) {
  if (!best.any(&ProductTuning::lane_rows) || !best.texel) return {};
  return {with(best, &Tuning::same_storage, true)};
}

}  // namespace

std::vector<PaceProbe> pace_probes() {
  return {{mixed_products, &Tuning::bytes_pace}, {mixed_products_of_many_rows, &Tuning::flops_pace}};
}

std::vector<TuningStep> linear_tuning() {
  return steps_of_kinds(
      std::make_index_sequence<kWeightKinds.size()>(),
      {.name = "texel reads", .problem = mixed_products, .candidates = texel_reads},
      {.name = "reads of the same place", .problem = mixed_products, .candidates = reads_of_the_same});
}

}  // namespace heed::ops
