// The ways of planning that op cases run in: each choice of kernels, and devices that can do less than this one.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/op_cases/run_case.h"

namespace heed::op_cases {
namespace {

void set_lanes(Tuning& tuning, std::uint32_t lanes) {
  tuning.lanes = tuning.row_lanes = lanes;
  tuning.set(&ProductTuning::lanes, lanes);
}

/// Rows of weights, and queries.
void lanes_of_their_own(Tuning& tuning) {
  tuning.set(&ProductTuning::lane_rows, true);
  tuning.query_lanes = true;
}

/// Adds variants, a function for each kind of work.
class Variants {
 public:
  explicit Variants(const DeviceCaps& caps)
      : caps_(caps), texels_(caps.max_texel_buffer_elements > 0), cpu_(caps.type == DeviceType::Cpu) {
    set_lanes(plain_,
              std::min({caps.max_workgroup_invocations, caps.max_workgroup_size[0], std::max(8u, caps.subgroup_size)}));
    plain_.set(&ProductTuning::max_groups, caps.max_workgroup_count[0]);
    variants_.reserve(256);  // references to them stay
    add("storage");
  }

  void add_workgroups();
  void add_products();
  void add_convolutions();
  void add_attention();
  void add_sampling();
  void add_limits();
  std::vector<Variant> take() { return std::move(variants_); }

 private:
  Variant& add(std::string name) {
    variants_.push_back({std::move(name), caps_, plain_});
    return variants_.back();
  }

  Variant& add_small(std::string name) {
    Variant& small = add(std::move(name));
    small.cut_weights = true;
    small.caps.max_workgroup_count = {29, 65535, 65535};
    small.caps.max_texel_buffer_elements = std::min<std::uint64_t>(caps_.max_texel_buffer_elements, 512);
    small.tuning.texel = texels_;
    small.tuning.set(&ProductTuning::max_groups, 29);
    return small;
  }

  /// As Vulkan promises them.
  void least_limits(Variant& least) const {
    least.caps.max_workgroup_invocations = std::min(caps_.max_workgroup_invocations, 128u);
    least.caps.max_shared_memory = std::min(caps_.max_shared_memory, 16384u);
    set_lanes(least.tuning, std::min(plain_.lanes, 128u));
  }

  const DeviceCaps& caps_;
  bool texels_;
  bool cpu_;  // GPUs are not offered what needs more registers than they have (the candidates of TuningStep)
  Tuning plain_;
  std::vector<Variant> variants_;
};

void Variants::add_workgroups() {
  if (texels_) add("texel").tuning.texel = true;
  if (caps_.subgroup_arithmetic) {
    add("no subgroups").caps.subgroup_arithmetic = false;
    if (texels_) {
      Variant& both = add("texel, no subgroups");
      both.caps.subgroup_arithmetic = false;
      both.tuning.texel = true;
    }
  }
  for (const std::uint32_t rows : {1u, 2u, 8u}) {
    add(fmt::format("{} rows", rows)).tuning.set(&ProductTuning::rows, rows);
  }
  for (const std::uint32_t lanes : {4u, 32u, 128u}) {
    if (lanes < caps_.subgroup_size || lanes == plain_.lanes || lanes > caps_.max_workgroup_invocations) continue;
    const bool texel = lanes == 128 && texels_;
    Tuning& wide = add(fmt::format("{} lanes{}", lanes, texel ? ", texel" : "")).tuning;
    set_lanes(wide, lanes);
    wide.texel = texel;
  }
  {
    Variant& odd = add("3 lanes, no subgroups");  // a workgroup of no power of two
    odd.caps.subgroup_arithmetic = false;
    set_lanes(odd.tuning, 3);
  }
}

void Variants::add_products() {
  for (const std::uint32_t rows : {1u, 16u}) {
    Tuning& own = add(fmt::format("{} rows a lane", rows)).tuning;
    lanes_of_their_own(own);
    own.set(&ProductTuning::rows, rows);
  }
  if (texels_) {
    Tuning& own = add("4 rows a lane, texel").tuning;
    own.texel = true;
    lanes_of_their_own(own);
    add("4 rows a lane, texel, same by storage").tuning = own;
    variants_.back().tuning.same_storage = true;
  }
  if (caps_.can_hand_on()) {
    for (const bool texel : {false, true}) {
      if (texel && !texels_) continue;
      Tuning& handed = add(fmt::format("keys handed on{}", texel ? ", texel" : "")).tuning;
      lanes_of_their_own(handed);
      handed.key_shuffle = true;
      handed.texel = texel;
    }
  }
  if (caps_.subgroup_shuffle && caps_.subgroup_size >= 4) {
    Tuning& pairs = add("pairs").tuning;
    lanes_of_their_own(pairs);
    pairs.set(&ProductTuning::pairs, true);
    pairs.lanes = caps_.subgroup_size;
    pairs.set(&ProductTuning::lanes, caps_.subgroup_size);
    if (texels_) {
      add("pairs, texel").tuning = pairs;
      variants_.back().tuning.texel = true;
    }
  }
  if (caps_.subgroup_arithmetic) {
    add("pairs by columns").tuning.set(&ProductTuning::pairs, true);
    if (texels_) {
      Tuning& pairs = add("pairs by columns, texel").tuning;
      pairs.texel = true;
      pairs.set(&ProductTuning::pairs, true);
    }
  }
  for (const std::uint32_t x_rows : {3u, ProductTuning::kMostXRows}) {
    if (!cpu_) break;
    Tuning& several = add(fmt::format("{} rows of x", x_rows)).tuning;
    lanes_of_their_own(several);
    several.set(&ProductTuning::x_rows, x_rows);
    if (x_rows == 3) several.set(&ProductTuning::x_products, 48);  // few enough for every type to lose rows of a lane
    if (texels_) {
      add(fmt::format("{} rows of x, texel", x_rows)).tuning = several;
      variants_.back().tuning.texel = true;
    }
    if (!caps_.can_hand_on()) continue;
    Tuning& shuffled = add(fmt::format("{} rows of x shuffled", x_rows)).tuning;
    shuffled = several;
    shuffled.set(&ProductTuning::shuffle_rows, true);
    if (texels_) {
      add(fmt::format("{} rows of x shuffled, texel", x_rows)).tuning = shuffled;
      variants_.back().tuning.texel = true;
    }
  }
  for (const std::uint32_t tile : {32u, 64u, 128u}) {
    // Whole sums in one variant, parts in the others.
    Tuning& tiles = add(fmt::format("tiles of {}", tile)).tuning;
    tiles.set(&ProductTuning::tile, tile);
    tiles.set(&ProductTuning::tile_groups, tile == 128 ? 0 : 1000);
  }
  if (texels_) {
    Tuning& tiles = add("tiles of 64, texel").tuning;
    tiles.set(&ProductTuning::tile, 64);
    tiles.set(&ProductTuning::tile_groups, 1000);
    tiles.texel = true;
    Tuning& bands = add("tiles of 32, rows a lane").tuning;  // whose weights lie in bands
    bands.set(&ProductTuning::tile, 32);
    bands.texel = true;
    lanes_of_their_own(bands);
  }
  if (!caps_.cooperative_sizes.empty()) {
    for (const std::uint32_t tile : {32u, 64u, 128u}) {
      Tuning& matrices = add(fmt::format("tiles of {}, cooperative", tile)).tuning;
      matrices.set(&ProductTuning::tile, tile);
      matrices.set(&ProductTuning::tile_groups, tile == 64 ? 1000 : 0);
      matrices.set(&ProductTuning::cooperative, true);
      matrices.texel = tile == 64 && texels_;
    }
    if (caps_.subgroup_arithmetic) {
      Variant& plainly = add("tiles of 64, cooperative, no subgroups");
      plainly.caps.subgroup_arithmetic = false;
      plainly.tuning.set(&ProductTuning::tile, 64);
      plainly.tuning.set(&ProductTuning::cooperative, true);
      if (texels_) {
        Variant& texel = add("tiles of 64, cooperative, texel, no subgroups");
        texel.caps.subgroup_arithmetic = false;
        texel.tuning = plainly.tuning;
        texel.tuning.texel = true;
      }
    }
  }
  if (caps_.integer_dot_product) {
    // Many rows of weights a workgroup, few, and one that goes round.
    for (const std::uint32_t groups : {1u, 40u, 4096u}) {
      add(fmt::format("dot products by {} workgroups", groups)).tuning.set(&ProductTuning::dot_groups, groups);
    }
    if (texels_) {
      Tuning& dots = add("dot products, texel").tuning;
      dots.set(&ProductTuning::dot_groups, 7);
      dots.texel = true;
      Tuning& bands = add("dot products, rows a lane").tuning;  // whose weights lie in bands
      bands.set(&ProductTuning::dot_groups, 7);
      bands.texel = true;
      lanes_of_their_own(bands);
    }
    Variant& least = add("dot products, least limits");
    least_limits(least);
    least.tuning.set(&ProductTuning::dot_groups, 64);
  }
  add("3 workgroups").tuning.set(&ProductTuning::max_groups, 3);
}

void Variants::add_convolutions() {
  for (const std::uint32_t convs : {1u, 2u}) {
    add(fmt::format("convolutions in one dispatch {}", convs)).tuning.one_pass_convs = convs;
  }
  if (texels_) {
    Tuning& convs = add("convolutions in one dispatch, texel").tuning;
    convs.one_pass_convs = 2;
    convs.texel = true;
  }
  for (const std::uint32_t sums : {64u, 128u}) {
    if (sums > 64 && !cpu_) continue;
    for (const std::uint32_t convs : {0u, 1u, 2u}) {
      Tuning& wide = add(fmt::format("convolutions by {} sums, in one dispatch {}", sums, convs)).tuning;
      wide.conv_sums = sums;
      wide.one_pass_convs = convs;
      wide.texel = sums == 128 && texels_;
    }
  }
  if (caps_.can_hand_on()) {
    for (const std::uint32_t convs : {0u, 2u}) {
      for (const bool texel : {false, true}) {
        if (texel && !texels_) continue;
        Tuning& handed =
            add(fmt::format("x of convolutions handed on{}, in one dispatch {}", texel ? ", texel" : "", convs)).tuning;
        handed.conv_shuffle = true;
        handed.conv_sums = convs == 0 ? 128 : 64;
        handed.one_pass_convs = convs;
        handed.texel = texel;
      }
    }
  }
  if (caps_.can_hand_on()) {
    // Tiles of more pixels than 64 sums allow, whose reads are looked at.
    Tuning& bounded = add("x of convolutions handed on, in one dispatch 2, 128 sums").tuning;
    bounded.conv_shuffle = true;
    bounded.conv_sums = 128;
    bounded.one_pass_convs = 2;
    bounded.texel = texels_;
  }
  for (const std::uint32_t tile : {32u, 64u, 128u}) {
    // Parts of sums in one variant, and in others large tiles of whole ones.
    Tuning& tiles = add(fmt::format("convolutions in tiles of {}", tile)).tuning;
    tiles.conv_tile = tile;
    tiles.conv_groups = tile == 32 ? 1000 : 0;
    tiles.texel = tile == 128 && texels_;
  }
  if (!caps_.cooperative_sizes.empty()) {
    for (const std::uint32_t tile : {32u, 64u, 128u}) {
      Tuning& matrices = add(fmt::format("convolutions in tiles of {}, cooperative", tile)).tuning;
      matrices.conv_tile = tile;
      matrices.conv_cooperative = true;
      matrices.conv_groups = tile == 64 ? 1000 : 0;
      matrices.texel = tile == 64 && texels_;
    }
    Variant& folded = add("convolutions in cooperative tiles, folded grids");
    folded.caps.max_workgroup_count[0] = 11;
    folded.tuning.set(&ProductTuning::max_groups, 11);
    folded.tuning.conv_tile = 32;
    folded.tuning.conv_cooperative = true;
    folded.tuning.conv_groups = 1000;
    Variant& least = add("convolutions in cooperative tiles, least limits");
    least_limits(least);
    least.tuning.conv_tile = 128;
    least.tuning.conv_cooperative = true;
    least.tuning.conv_groups = 100;
    Variant& cut = add("small bindings, convolutions in cooperative tiles");
    cut.cut_bindings = true;
    cut.tuning.set(&ProductTuning::max_groups, 29);
    cut.tuning.conv_tile = 64;
    cut.tuning.conv_cooperative = true;
    cut.tuning.conv_groups = 1000;
  }
}

void Variants::add_attention() {
  for (const std::uint32_t groups : {1u, 13u, 1000u}) {
    add(fmt::format("attention by {} workgroups", groups)).tuning.attention_groups = groups;
  }
  for (const std::uint32_t rows : {16u, 64u, 128u}) {
    add(fmt::format("attention in tiles of {} rows", rows)).tuning.query_tile = rows;
  }
  if (!caps_.cooperative_sizes.empty()) {
    for (const std::uint32_t rows : {16u, 64u, 128u}) {
      Tuning& matrices = add(fmt::format("attention in tiles of {} rows, cooperative", rows)).tuning;
      matrices.query_tile = rows;
      matrices.cooperative_attention = true;
    }
  }
  {
    Variant& least = add("attention in tiles, least limits");
    least_limits(least);
    least.tuning.query_tile = 64;
    least.tuning.texel = texels_;
  }
  if (texels_) {
    Tuning& split = add("attention by 40 workgroups, texel").tuning;
    split.attention_groups = 40;
    split.texel = true;
  }
}

void Variants::add_sampling() {
  for (const std::uint32_t groups : {1u, 7u, 1000u}) {
    add(fmt::format("sampling by {} workgroups", groups)).tuning.sample_groups = groups;
  }
  {
    // What Vulkan promises and no more: histograms of fewer bins, so more passes.
    Variant& least = add("sampling by 100 workgroups of 128 lanes, no subgroups");
    least.caps.subgroup_arithmetic = false;
    least_limits(least);
    least.tuning.sample_groups = 100;
  }
  if (texels_) {
    Tuning& shared = add("sampling by 100 workgroups, texel").tuning;
    shared.sample_groups = 100;
    shared.texel = true;
    Variant& both = add("sampling by 100 workgroups, texel, no subgroups");
    both.tuning = shared;
    both.caps.subgroup_arithmetic = false;
  }
}

void Variants::add_limits() {
  {
    // So few in x that every kernel folds its grid in some case (Lowering::spread); compiled as above.
    Variant& folded = add("folded grids");
    folded.caps.max_workgroup_count[0] = 11;
    lanes_of_their_own(folded.tuning);
    folded.tuning.texel = texels_;
    folded.tuning.set(&ProductTuning::max_groups, 11);
    folded.tuning.one_pass_convs = 2;
    Variant shared = folded;
    shared.name = "folded grids, shared work";
    shared.tuning.conv_tile = 32;
    shared.tuning.conv_groups = 1000;
    shared.tuning.attention_groups = shared.tuning.sample_groups = 40;
    shared.tuning.query_tile = 32;
    variants_.push_back(std::move(shared));
  }
  add_small("small limits");
  {
    Variant& least = add_small("small limits, tiles");
    least_limits(least);
    least.tuning.conv_tile = 128;
    least.tuning.conv_groups = 100;
    least.tuning.set(&ProductTuning::tile, 128);
    least.tuning.set(&ProductTuning::tile_groups, 100);
  }
  if (texels_) {
    // Weights too large for a texel buffer are read from storage here, next to texel buffers for the rest.
    Tuning& own = add_small("small limits, 4 rows a lane, same by storage").tuning;
    own.same_storage = true;
    lanes_of_their_own(own);
  }
  for (const bool texel : {false, true}) {
    for (const bool subgroups : {true, false}) {
      if ((texel && caps_.max_texel_buffer_elements == 0) || (!subgroups && !caps_.subgroup_arithmetic)) continue;
      Variant& small =
          add(fmt::format("small bindings{}{}", texel ? ", texel" : "", subgroups ? "" : ", no subgroups"));
      small.cut_bindings = true;
      small.caps.subgroup_arithmetic = subgroups && caps_.subgroup_arithmetic;
      small.tuning.set(&ProductTuning::max_groups, 29);
      small.tuning.texel = texel;
    }
  }
  {
    Variant& tiles = add("small bindings, convolutions in tiles");
    tiles.cut_bindings = true;
    tiles.tuning.set(&ProductTuning::max_groups, 29);
    tiles.tuning.conv_tile = 64;
    tiles.tuning.conv_groups = 1000;
  }
  {
    // Pieces that begin where no binding may are copied.
    Variant& apart = add("small bindings, far apart");
    apart.cut_bindings = true;
    apart.caps.buffer_alignment = kMostAlignment;
    apart.tuning.texel = texels_;
    apart.caps.max_texel_buffer_elements = std::min<std::uint64_t>(caps_.max_texel_buffer_elements, 16);
    lanes_of_their_own(apart.tuning);
  }
}

}  // namespace

std::vector<Variant> variants_of(const DeviceCaps& caps) {
  Variants variants(caps);
  variants.add_workgroups();
  variants.add_products();
  variants.add_convolutions();
  variants.add_attention();
  variants.add_sampling();
  variants.add_limits();
  return variants.take();
}

}  // namespace heed::op_cases
