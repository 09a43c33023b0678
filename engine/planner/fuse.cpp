#include "planner/fuse.h"

namespace heed {

void fuse(Graph& graph, const Bindings& dims, const DeviceCaps& caps, const Tuning& tuning) {
  fuse_gate(graph, caps, tuning);
  fuse_rotary(graph);
  fuse_packed_attention(graph, caps, tuning);
  fuse_norm(graph, dims);
  fuse_attention_blocks(graph, dims, caps, tuning);
  fuse_pairs(graph, dims, caps, tuning);
  fuse_activations(graph);  // last, for the others join products that have none
}

}  // namespace heed
