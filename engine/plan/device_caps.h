#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "plan/product_tuning.h"

namespace heed {

enum class DeviceType : std::uint8_t { Discrete, Integrated, Virtual, Cpu, Other };

/// What the planner must know of a device: plain data, so that plans can be made and tested for devices that are not
/// here. The defaults are the minimum that Vulkan 1.1 guarantees.
struct DeviceCaps {
  std::string name = "guaranteed minimum";
  DeviceType type = DeviceType::Other;
  std::uint64_t max_storage_buffer_range = std::uint64_t{1} << 27;
  std::uint64_t max_texel_buffer_elements = 65536;
  /// Storage buffers that one kernel may bind. Vulkan guarantees only 4, with which no kernel of heed would run; no
  /// driver is known to have fewer than 8.
  std::uint32_t max_storage_buffers = 8;
  std::uint32_t max_texel_buffers = 16;  // of one kernel: maxPerStageDescriptorSampledImages, which counts them
  std::uint32_t max_resources = 128;     // storage and texel buffers of one kernel
  std::uint64_t memory = 0;              // bytes of all heaps; 0: not known
  std::uint64_t max_memory_allocation = std::uint64_t{1} << 30;  // of one allocation and of one buffer
  std::uint64_t buffer_alignment = 256;  // of every binding: storage and texel offset alignment, whichever is larger
  std::uint32_t max_push_constants = 128;
  std::uint32_t max_workgroup_invocations = 128;
  std::array<std::uint32_t, 3> max_workgroup_size = {128, 128, 64};
  std::array<std::uint32_t, 3> max_workgroup_count = {65535, 65535, 65535};
  std::uint32_t max_shared_memory = 16384;
  std::uint32_t subgroup_size = 1;
  bool subgroup_arithmetic = false;  // subgroupAdd and subgroupMax in compute shaders
  bool subgroup_shuffle = false;     // subgroupShuffle
  /// Loop iterations that an invocation may run, all its loops together. Older Mesa's llvmpipe leaves every loop,
  /// without a word, after 65535; other drivers know no such end.
  std::uint64_t max_loop_iterations = UINT64_MAX;
  /// {M, N, K} of products of matrices that a subgroup makes together, of f16 with sums of f32
  /// (VK_KHR_cooperative_matrix). Listed only where all that such kernels need besides is there: arithmetic in f16,
  /// Vulkan's memory model, and full subgroups of `subgroup_size`.
  std::vector<std::array<std::uint32_t, 3>> cooperative_sizes = {};
  /// Dot products of four bytes in a word (VK_KHR_shader_integer_dot_product), where workgroups can be made of full
  /// subgroups of `subgroup_size` besides.
  bool integer_dot_product = false;
  /// Shader modules (Dispatch::module_key) that gave wrong results on this device with this driver version. Planning
  /// takes plainer ones in their place.
  std::set<std::string> broken_modules;

  /// Bytes of the largest buffer that the device has and binds whole.
  std::uint64_t largest_binding() const { return std::min(max_storage_buffer_range, max_memory_allocation); }
  /// Whether kernels may have workgroups of one subgroup, whose lanes hand on what they fetch: on CPU drivers, where a
  /// fetch for all lanes costs as much as one for each. Some GPUs run narrower subgroups than they say.
  bool can_hand_on() const {
    return type == DeviceType::Cpu && subgroup_shuffle && subgroup_size > 1 &&
           subgroup_size <= max_workgroup_invocations && subgroup_size <= max_workgroup_size[0];
  }
  bool operator==(const DeviceCaps&) const = default;
};

/// Limits as a driver reports them, made fit to be counted with: counts above 2^31 - 1 are cut down, since nothing here
/// needs more and sums of them overflow; so are ranges and allocations above 2^62. A subgroup of none is one of 1, and
/// an alignment is the next power of two, at least 16. Throws Error naming the limit where one is below what heed can
/// run with at all (no workgroup, no binding of kLeastRange bytes) or an alignment above kMostAlignment.
DeviceCaps usable_caps(DeviceCaps reported);

/// Every field by its name, so that what a user's device reports becomes a file that plans are tested with.
std::string caps_to_json(const DeviceCaps& caps);
/// The caps that caps_to_json() wrote. Throws Error naming the key where one is missing, unknown or of another kind.
DeviceCaps caps_from_json(std::string_view json);

/// Bytes of a binding, and of an allocation, that heed does not try to do without; Vulkan guarantees far more.
inline constexpr std::uint64_t kLeastRange = 4096;
/// The largest alignment of a binding that Vulkan allows a device to ask for; memory is shared out in its multiples.
inline constexpr std::uint64_t kMostAlignment = 256;

/// Choices between equally correct kernels, found by measurement on the device (runtime/tuner.h); the defaults are
/// those for a GPU nobody has measured.
struct Tuning {
  /// Those of products, by WeightKind.
  std::array<ProductTuning, kWeightKinds.size()> products = {};
  bool texel = false;            // read through uniform texel buffers where the limits allow
  bool same_storage = false;     // but read what all lanes need at the same place through storage buffers
  std::uint32_t lanes = 64;      // invocations of a workgroup that goes over keys together, or looks for candidates
  std::uint32_t row_lanes = 64;  // and of one that goes over a row together: norms, softmax, windows, logits
  bool query_lanes = false;      // attention of several rows: a lane has one of its own
  bool key_shuffle = false;      // and a subgroup's lanes fetch keys and values in turn and hand them on
  /// Attention of a single row with a cache: the keys of its heads are shared by about so many workgroups in all; 0: a
  /// workgroup has a head.
  std::uint32_t attention_groups = 0;
  /// Attention of many rows: about so many of them, of all heads that share keys, go through the keys together, in
  /// tiles of shared memory; 0: they do not.
  std::uint32_t query_tile = 0;
  bool cooperative_attention = false;  // and such tiles are multiplied by subgroups together, where the device can
  /// Sampling: the logits of its sequences are shared by about so many workgroups in all; 0: a workgroup has a
  /// sequence.
  std::uint32_t sample_groups = 0;
  /// Convolutions in one dispatch, which looks what lies outside of x, and knows all places of a transposed one; 0:
  /// what lies around x is written to memory first, and each place has a dispatch; 1: but where rows of x are no whole
  /// vec4s; 2: all.
  std::uint32_t one_pass_convs = 0;
  /// Convolutions: about so many outputs of a lane at most; more than 32 fetch less and need more registers.
  std::uint32_t conv_sums = 32;
  bool conv_shuffle = false;  // CPU drivers: a subgroup's lanes fetch x of convolutions in turn and hand it on
  /// Convolutions whose groups have many channels as products of matrices: channels and pixels that a workgroup makes
  /// at a time out of shared memory, 32, 64 or 128, or fewer where limits, the channels, or conv_groups say so; 0: a
  /// lane makes its outputs alone.
  std::uint32_t conv_tile = 0;
  bool conv_cooperative = false;  // such tiles are multiplied by subgroups together, where the device can
  /// And about how many workgroups such a convolution should be shared by: tiles of small pictures are made smaller,
  /// and long sums cut.
  std::uint32_t conv_groups = 0;
  /// Not a choice, but measured too: how many times faster than the slow GPU of plan/submissions.h the device can be
  /// expected to multiply and to read in products. Half of what those of a large model reach.
  std::uint32_t flops_pace = 1;
  std::uint32_t bytes_pace = 1;
  /// Nor this, but what the user allows: DeviceOptions::half_products.
  bool half_products = false;
  bool operator==(const Tuning&) const = default;

  static constexpr std::uint32_t kMostPace = 100'000;

  /// The choices for a weight: all products that one dispatch joins have weights of one type.
  const ProductTuning& of(DType weight) const { return of(weight_kind(weight)); }
  ProductTuning& of(DType weight) { return of(weight_kind(weight)); }
  const ProductTuning& of(WeightKind kind) const { return products[static_cast<std::size_t>(kind)]; }
  ProductTuning& of(WeightKind kind) { return products[static_cast<std::size_t>(kind)]; }
  /// The same choice for every kind of weight.
  template <typename Value>
  void set(Value ProductTuning::*member, std::type_identity_t<Value> value) {
    for (ProductTuning& product : products) product.*member = value;
  }
  /// Whether a choice is made, or is not 0, for some kind of weight.
  template <typename Value>
  bool any(Value ProductTuning::*member) const {
    for (const ProductTuning& product : products) {
      if (product.*member != Value{}) return true;
    }
    return false;
  }
};

}  // namespace heed
