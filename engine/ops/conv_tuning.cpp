// What the tuner times for convolutions.
#include <span>
#include <string>

#include "ops/conv.h"
#include "ops/tuning.h"

namespace heed::ops {
namespace {

using Sizes = std::vector<std::int64_t>;

/// As in a network that draws: two convolutions of pictures, of which the second one's are made twice as large first.
Graph pictures(std::int64_t channels, std::int64_t size) {
  GraphBuilder b("convolutions");
  const Attributes same = {{"pads", Sizes{1, 1, 1, 1}}, {"activation", "relu"}};
  const Attributes twice = {{"pads", Sizes{1, 1, 1, 1}}, {"strides", Sizes{2, 2}}};
  const ValueId x = b.input("x", DType::F32, {1, channels, size, size});
  const ValueId first = b.add("conv", "c0", {x, b.weight("w0", DType::F32, {channels, channels, 3, 3})}, same);
  const ValueId large =
      b.add("conv_transpose", "c1", {first, b.weight("w1", DType::F32, {channels, channels / 2, 4, 4})}, twice);
  b.output(b.add("conv", "c2", {large, b.weight("w2", DType::F32, {channels / 2, channels / 2, 3, 3})}, same), "y");
  return std::move(b).finish();
}

std::int64_t channels_for(const DeviceCaps& caps) { return times_large_work(caps) ? 64 : 32; }

Graph whole_vectors(const DeviceCaps& caps) { return pictures(channels_for(caps), 32); }
Graph odd_rows(const DeviceCaps& caps) { return pictures(channels_for(caps), 27); }

/// Kernels of 3x3 and 1x1 elements as most pictures' models have them, over a picture that fits any device.
Graph convolutions(const DeviceCaps& caps) {
  constexpr std::int64_t kChannels = 64;
  const std::int64_t size = times_large_work(caps) ? 64 : 32;
  GraphBuilder builder("convolutions");
  const ValueId x = builder.input("x", DType::F32, {1, kChannels, size, size});
  const ValueId rows =
      builder.add("conv", "3x3", {x, builder.weight("w 3x3", DType::F32, {kChannels, kChannels, 3, 3})},
                  {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
  const ValueId points =
      builder.add("conv", "1x1", {rows, builder.weight("w 1x1", DType::F32, {kChannels, kChannels, 1, 1})});
  builder.output(points, "y");
  return std::move(builder).finish();
}

/// As in networks that make pictures larger, that tell what is on one, and in narrow ones between. On GPUs in their
/// sizes.
Graph many_channels(const DeviceCaps& caps) {
  struct Layer {
    std::int64_t channels, kernel, size;
  };
  constexpr Layer kLarge[] = {{64, 3, 128}, {256, 3, 32}, {512, 1, 16}};
  constexpr Layer kSmall[] = {{64, 3, 32}, {64, 1, 32}};
  GraphBuilder b("many channels");
  const std::span<const Layer> layers = times_large_work(caps) ? std::span<const Layer>(kLarge) : kSmall;
  for (const Layer& layer : layers) {
    const std::string name = std::to_string(layer.channels) + " " + std::to_string(layer.kernel);
    const ValueId x = b.input("x " + name, DType::F32, {1, layer.channels, layer.size, layer.size});
    const ValueId w = b.weight("w " + name, DType::F32, {layer.channels, layer.channels, layer.kernel, layer.kernel});
    b.output(b.add("conv", "conv " + name, {x, w}, {{"pads", Sizes(4, layer.kernel / 2)}}), "y " + name);
  }
  return std::move(b).finish();
}

std::vector<Tuning> tiles_of_convolutions(const DeviceCaps& caps, const Tuning& best) {
  // As of products (linear_tuning.cpp): CPU drivers run what lies between barriers a lane at a time.
  if (caps.type == DeviceType::Cpu) return {};
  return each_other(best, &Tuning::conv_tile, {0u, 64u, 128u});
}

std::vector<Tuning> workgroups_of_convolutions(const DeviceCaps&, const Tuning& best) {
  if (best.conv_tile == 0) return {};
  return each_other(best, &Tuning::conv_groups, {0u, 128u, 512u});
}

/// As of products (linear_tuning.cpp): matrix units where there are any, and drivers that make do without them.
std::vector<Tuning> cooperative_convolutions(const DeviceCaps& caps, const Tuning& best) {
  if (caps.cooperative_sizes.empty() || caps.type == DeviceType::Cpu) return {};
  std::vector<Tuning> candidates;
  for (const std::uint32_t tile : {64u, 128u}) {
    candidates.push_back(with(with(best, &Tuning::conv_tile, tile), &Tuning::conv_cooperative, true));
  }
  return candidates;
}

std::vector<Tuning> sums_of_a_lane(const DeviceCaps& caps, const Tuning& best) {
  // Of 128 AMD's compiler spills 26 registers in some convolutions.
  if (caps.type != DeviceType::Cpu) return each_other(best, &Tuning::conv_sums, {32u, 64u});
  return each_other(best, &Tuning::conv_sums, {32u, 64u, 128u});
}

std::vector<Tuning> handing_on(const DeviceCaps& caps, const Tuning& best) {
  if (!caps.can_hand_on()) return {};
  return each_other(best, &Tuning::conv_shuffle, std::vector<bool>{!best.conv_shuffle});
}

}  // namespace

std::vector<TuningStep> conv_tuning() {
  return {{"sums of a convolution's lane", convolutions, sums_of_a_lane, {}, true},
          {"x of convolutions handed on", convolutions, handing_on, {}, true},
          {"convolutions in one dispatch",
           whole_vectors,
           [](const DeviceCaps&, const Tuning& best) {
             return each_other(best, &Tuning::one_pass_convs,
                               std::vector<std::uint32_t>{best.one_pass_convs > 0 ? 0u : 1u});
           },
           {},
           true},
          {"those of odd rows",
           odd_rows,
           [](const DeviceCaps&, const Tuning& best) {
             if (best.one_pass_convs == 0) return std::vector<Tuning>();
             return each_other(best, &Tuning::one_pass_convs,
                               std::vector<std::uint32_t>{best.one_pass_convs == 1 ? 2u : 1u});
           },
           {},
           true},
          {"tiles of convolutions", many_channels, tiles_of_convolutions, {}, true},
          {"cooperative tiles of convolutions", many_channels, cooperative_convolutions, {}, true},
          {"workgroups of convolutions", many_channels, workgroups_of_convolutions, {}, true}};
}

}  // namespace heed::ops
