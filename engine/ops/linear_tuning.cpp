// What the tuner times for products of one row and of many, and the ways to run them.
#include <algorithm>
#include <string>
#include <utility>

#include "ops/linear.h"

namespace heed::ops {
namespace {

/// Two products of so many rows of x and so many columns of y, f32 and q8_0.
Graph products(const char* name, std::int64_t rows, std::int64_t outputs) {
  GraphBuilder builder(name);
  const ValueId x = builder.input("x", DType::F32, {rows, 512});
  for (const DType dtype : {DType::F32, DType::Q8_0}) {
    const std::string type(dtype_name(dtype));
    const ValueId w = builder.weight(type, dtype, {outputs, 512});
    builder.output(builder.add("linear", "product " + type, {x, w}), "y " + type);
  }
  return std::move(builder).finish();
}

/// Of a single row. On GPUs those of a 7B model, together more than any cache holds.
Graph large_products(const DeviceCaps& caps) {
  if (!times_large_work(caps)) return products("products", 1, 8192);
  GraphBuilder builder("large products");
  const ValueId x = builder.input("x", DType::F32, {1, 4096});
  constexpr std::pair<DType, std::int64_t> kProducts[] = {
      {DType::F16, 4096}, {DType::Q8_0, 11008}, {DType::Q4_0, 32000}};
  for (const auto& [dtype, outputs] : kProducts) {
    const std::string type(dtype_name(dtype));
    builder.output(builder.add("linear", "product " + type, {x, builder.weight(type, dtype, {outputs, 4096})}),
                   "y " + type);
  }
  return std::move(builder).finish();
}

Graph products_of_many_rows(const DeviceCaps&) { return products("rows", 64, 1024); }

/// The same in the sizes of a 7B model, of a short and a long piece of a prompt.
Graph large_products_of_many_rows(const DeviceCaps& caps) {
  if (!times_large_work(caps)) return products_of_many_rows(caps);
  GraphBuilder builder("large products of many rows");
  for (const std::int64_t rows : {64, 256}) {
    const std::string name = std::to_string(rows);
    const ValueId x = builder.input("x" + name, DType::F32, {rows, 4096});
    for (const DType dtype : {DType::F16, DType::Q4_0}) {
      const std::string type(dtype_name(dtype));
      const ValueId w = builder.weight(type, dtype, {4096, 4096});
      builder.output(builder.add("linear", name + " rows " + type, {x, w}), "y" + name + type);
    }
  }
  return std::move(builder).finish();
}

/// Small products, each of what the one before made.
Graph chained_products(const DeviceCaps&) {
  GraphBuilder builder("chain");
  ValueId x = builder.input("x", DType::F32, {1, 256});
  for (int i = 0; i < 4; ++i) {
    for (const DType dtype : {DType::F32, DType::Q8_0}) {
      const std::string name = std::to_string(i) + " " + std::string(dtype_name(dtype));
      const ValueId h = builder.add("linear", "first " + name, {x, builder.weight("first " + name, dtype, {512, 256})});
      x = builder.add("linear", "second " + name, {h, builder.weight("second " + name, dtype, {256, 512})});
    }
  }
  builder.output(x, "y");
  return std::move(builder).finish();
}

std::vector<Tuning> texel_reads(const DeviceCaps& caps, const Tuning& best) {
  if (caps.max_texel_buffer_elements == 0) return {};
  return {with(best, &Tuning::texel, true)};
}

std::vector<Tuning> lanes_with_rows(const DeviceCaps& caps, const Tuning& best) {
  Tuning candidate = best;
  candidate.lane_rows = true;
  candidate.lanes = std::max(4u, caps.subgroup_size);
  candidate.rows = 8;
  return {candidate};
}

std::vector<Tuning> lanes_of_a_workgroup(const DeviceCaps& caps, const Tuning& best) {
  if (best.lane_rows) return {};
  std::vector<Tuning> candidates;
  for (const std::uint32_t lanes : {caps.subgroup_size, 32u, 64u, 128u}) {
    // CPU drivers run a workgroup's lanes one subgroup after the other.
    const bool narrow = caps.subgroup_size <= 8;
    if (lanes >= 4 && lanes >= caps.subgroup_size && (!narrow || lanes == caps.subgroup_size)) {
      candidates.push_back(with(best, &Tuning::lanes, lanes));
    }
  }
  return candidates;
}

std::vector<Tuning> rows_at_a_time(const DeviceCaps&, const Tuning& best) {
  if (best.lane_rows) return {with(best, &Tuning::rows, 4u), with(best, &Tuning::rows, 16u)};
  return {with(best, &Tuning::rows, 2u), with(best, &Tuning::rows, 8u)};
}

std::vector<Tuning> number_of_workgroups(const DeviceCaps& caps, const Tuning& best) {
  if (best.lane_rows) return {};
  std::vector<Tuning> candidates;
  for (const std::uint32_t groups : {16u, 64u, 256u}) {
    candidates.push_back(with(best, &Tuning::max_groups, std::min(groups, caps.max_workgroup_count[0])));
  }
  return candidates;
}

std::vector<Tuning> reads_of_the_same(const DeviceCaps&, const Tuning& best) {
  if (!best.lane_rows || !best.texel) return {};
  return {with(best, &Tuning::same_storage, true)};
}

std::vector<Tuning> pairs_in_one_dispatch(const DeviceCaps& caps, const Tuning& best) {
  const Tuning candidate = with(best, &Tuning::pairs, true);
  if (!joined_lanes(DType::F32, caps, candidate)) return {};
  return {candidate};
}

std::vector<Tuning> rows_of_x(const DeviceCaps&, const Tuning& best) {
  if (!best.lane_rows) return {};
  return {with(best, &Tuning::x_rows, Tuning::kMostXRows)};
}

/// The gated products of a small model, many rows: twice the code of others.
Graph gated_products_of_many_rows(const DeviceCaps&) {
  GraphBuilder builder("gated rows");
  const ValueId x = builder.input("x", DType::F32, {64, 256});
  const auto product = [&](const char* name) {
    return builder.add("linear", name, {x, builder.weight(std::string(name) + " weight", DType::Q8_0, {512, 256})});
  };
  const ValueId first = product("first"), second = product("second");
  builder.output(builder.add("gate", "gate", {first, second}, {{"activation", std::string("silu")}}), "y");
  return std::move(builder).finish();
}

std::vector<Tuning> products_at_a_time(const DeviceCaps&, const Tuning& best) {
  if (!best.lane_rows || best.x_rows == 1) return {};
  return {with(best, &Tuning::x_products, 512u)};
}

std::vector<Tuning> rows_from_lane_to_lane(const DeviceCaps& caps, const Tuning& best) {
  Tuning candidate = with(best, &Tuning::shuffle_rows, true);
  if (best.lane_rows) candidate.x_rows = Tuning::kMostXRows;
  if (!can_shuffle_rows(caps, candidate)) return {};
  return {candidate};
}

std::vector<Tuning> dot_products(const DeviceCaps& caps, const Tuning& best) {
  // CPU drivers do such products one by one: measured on lavapipe 22.3, they take twice as long as in floats.
  if (!caps.integer_dot_product || caps.type == DeviceType::Cpu) return {};
  return each_other(best, &Tuning::dot_groups, {0u, 256u, 1024u, 4096u});
}

std::vector<Tuning> tiles_of_many_rows(const DeviceCaps& caps, const Tuning& best) {
  // CPU drivers run a workgroup's lanes one after the other from barrier to barrier, with all that they hold in memory:
  // measured on lavapipe 22.3 and 26.1, plain tiles take 8 to 14 times as long, cooperative ones 20 times, and a
  // second or more to compile.
  if (caps.type == DeviceType::Cpu) return {};
  return each_other(best, &Tuning::tile, {0u, 64u, 128u});
}

std::vector<Tuning> workgroups_of_tiles(const DeviceCaps&, const Tuning& best) {
  if (best.tile == 0) return {};
  return each_other(best, &Tuning::tile_groups, {0u, 128u, 512u});
}

/// Matrix units where there are any, and drivers that make do without them: either may win.
std::vector<Tuning> cooperative_tiles(const DeviceCaps& caps, const Tuning& best) {
  if (caps.cooperative_sizes.empty() || caps.type == DeviceType::Cpu) return {};
  std::vector<Tuning> candidates;
  for (const std::uint32_t tile : {64u, 128u}) {
    candidates.push_back(with(with(best, &Tuning::tile, tile), &Tuning::cooperative, true));
  }
  return candidates;
}

}  // namespace

std::vector<PaceProbe> pace_probes() {
  return {{large_products, &Tuning::bytes_pace}, {large_products_of_many_rows, &Tuning::flops_pace}};
}

std::vector<TuningStep> linear_tuning() {
  return {{"texel reads", large_products, texel_reads},
          {"lanes with rows of their own", large_products, lanes_with_rows},
          {"lanes of a workgroup", large_products, lanes_of_a_workgroup},
          {"rows at a time", large_products, rows_at_a_time},
          {"number of workgroups", large_products, number_of_workgroups},
          {"reads of the same place", large_products, reads_of_the_same},
          {"dot products", large_products, dot_products},
          {"pairs in one dispatch", chained_products, pairs_in_one_dispatch},
          {"rows of x at a time", products_of_many_rows, rows_of_x},
          {"rows from lane to lane", products_of_many_rows, rows_from_lane_to_lane},
          {"products at a time", gated_products_of_many_rows, products_at_a_time},
          {"tiles of many rows", large_products_of_many_rows, tiles_of_many_rows},
          {"workgroups of tiles", large_products_of_many_rows, workgroups_of_tiles},
          {"cooperative tiles", large_products_of_many_rows, cooperative_tiles}};
}

}  // namespace heed::ops
