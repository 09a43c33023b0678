#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "plan/device_caps.h"
#include "plan/weight_layout.h"

namespace heed {

/// Where the bytes of a tensor of a plan live.
enum class Storage : std::uint8_t {
  Weight,    // uploaded once, shared by all plans of a model; never written by a plan
  Constant,  // a table that the plan itself brings (rotary angles)
  State,     // owned by the session, kept between runs, shared between plans by name
  Input,     // owned by the session, written by the host before a run
  Output,    // owned by the session, read by the host after a run
  Flag,      // the device's words for what kernels find wrong (runtime/run_proof.h); at most one tensor of a plan
  Arena,     // an intermediate: a range of the session's arena that others reuse when it is dead
};

/// Bytes of an element on a device, of all but weights: 2 in states of f16, else 4.
std::uint64_t device_element_bytes(ValueKind kind, DType type);

struct PlanTensor {
  std::string name;
  Storage storage = Storage::Arena;
  TensorType type;                 // for weights the type in the file
  std::uint64_t bytes = 0;         // on the device
  std::size_t source = 0;          // Weight: index into Plan::weights; Constant: into Plan::constants
  std::size_t arena_block = 0;     // Storage::Arena: which block ...
  std::uint64_t arena_offset = 0;  // ... and where in it
};

/// How a shader reads a binding through a texel buffer; None is a storage buffer in every variant.
enum class View : std::uint8_t { None, F32x4, U32x4, U32x2, F32, U32, I32 };
std::uint32_t view_texel_bytes(View view);

enum class Access : std::uint8_t { Read, Write, ReadWrite };

/// A range of a tensor as a shader sees it. Binding numbers are positions in Dispatch::bindings.
struct Binding {
  std::size_t tensor = 0;  // index into Plan::tensors
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  Access access = Access::Read;
  View view = View::None;  // reads: the format of the texel view, used when Dispatch::texel
};

/// One vkCmdDispatch with everything it needs.
struct Dispatch {
  std::string label;                 // the node it belongs to, for messages
  std::string shader;                // stem of shaders/*.comp
  std::vector<std::string> variant;  // the values of its variant lines after the first, ACCESS, which `texel` decides
  bool texel = false;                // reads go through texel views
  bool storage_only = false;         // the shader has no variants that do
  std::uint32_t subgroup_size = 0;   // that workgroups must be made of, all of them full; 0: whichever
  std::vector<Binding> bindings;
  std::vector<std::uint32_t> push_constants;
  std::vector<std::uint32_t> specialization;  // constants 0, 1, 2, ...; 0 is local_size_x
  std::array<std::uint32_t, 3> groups = {1, 1, 1};
  bool barrier_before = false;  // waits for all earlier dispatches and sees their writes
  std::uint64_t flops = 0;  // for `heed bench` and for splitting submissions; of cached attention with an empty cache
  std::uint64_t bytes = 0;  // weights read, likewise; caches, whose length a plan does not know, are left out
  // What each cached key adds, from first_key on. How many there are is known when it runs: from fewest_keys, which
  // `flops` counts already, to most_keys, the end of the cache, or of the piece of it that is bound.
  std::uint64_t flops_a_key = 0;
  std::uint64_t bytes_a_key = 0;
  std::uint64_t first_key = 0;
  std::uint64_t fewest_keys = 0;
  std::uint64_t most_keys = 0;
  bool product = false;  // of matrices, as those that say how fast the device is (Tuning::flops_pace)

  std::string module_key() const;  // of shader_table.h
};

/// What a check_indices dispatch of a plan holds an input of a node to: element e is one of sizes[e % sizes.size()]
/// places, counted from 0, or from the end by negative numbers.
struct IndexCheck {
  std::string op;
  std::string node;
  std::string what;  // "index", "position"
  Shape sizes;
  bool from_end = false;

  /// "OP 'NODE': WHAT VALUE (element E) is outside FIRST to LAST".
  std::string message(std::int64_t element, std::int64_t value) const;
};

/// A graph made concrete for one device and one set of sizes. Plain data: nothing of Vulkan.
struct Plan {
  std::string graph_name;
  Bindings dims;
  std::vector<PlanTensor> tensors;
  std::vector<DeviceWeight> weights;
  std::vector<std::vector<std::byte>> constants;
  std::vector<Dispatch> dispatches;
  std::vector<IndexCheck> index_checks;
  std::vector<std::uint64_t> arena_blocks;  // bytes of each block

  /// Index into tensors of an input, output or state. Throws Error listing what there is.
  std::size_t tensor_named(std::string_view name) const;
  std::uint64_t flops() const;
  std::uint64_t bytes() const;
  /// Device memory that it needs, weights and states included.
  std::uint64_t memory() const;
};

/// Where a value of a graph lies in its plan; kNowhere for one that no dispatch makes or reads.
struct ValuePlace {
  static constexpr std::size_t kNowhere = SIZE_MAX;
  std::size_t tensor = kNowhere;
  std::uint64_t offset = 0;
};

}  // namespace heed
