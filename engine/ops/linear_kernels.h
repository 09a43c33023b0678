#pragma once

#include <cstdint>

#include "constants/linear.h"
#include "plan/lowering.h"

/// What linear.cpp and expert_linear.cpp share: the choice between linear_vector.comp, linear_lanes.comp and
/// linear_matrix.comp, and how it is dispatched.
namespace heed::ops {

/// From so many rows of x on, they share weights in registers on every device. What a row gives depends on this alone,
/// not on how many others there are, so that a batch of at least so many gives each row the same bytes as a smaller one
/// of at least so many. Where a graph says that there are never more than a few (LinearWork::most_rows), all of them
/// may run in a kernel for few instead (linear_dot.h).
inline constexpr std::uint32_t kMatrixRows = 4;

/// What one dispatch computes: output columns of some rows of the weight.
struct LinearWork {
  DType dtype = DType::F32;
  std::uint32_t rows = 0;     // of y
  std::uint32_t columns = 0;  // of x, K
  std::uint32_t count = 0;    // weight rows of the dispatch; half of them where there is a gate
  std::uint32_t first = 0;    // of all the weight's
  std::uint32_t width = 0;    // columns of y
  bool gate = false;
  bool norm = false;           // x is normalised first
  std::int64_t head_rows = 0;  // see ProductTuning::rows_a_lane
  std::uint32_t halves = 2;    // of an element of x, where a kernel takes it so: 1 rounds it
  /// The most rows of y of any dispatch that must give a row the same bytes as this one; 0: whatever kMatrixRows says.
  std::uint32_t most_rows = 0;

  // Of products whose rows each name one of a stack of weights.
  std::uint32_t experts = 0;  // 0: there is one weight
  std::uint32_t sharers = 1;  // rows of y that read one row of x
  std::uint32_t tile_rows =
      0;  // 0: `chosen` names an expert for each row of y; else it holds tiles (expert_tiles.comp)
  std::uint32_t tiles = 0;
};

/// The operands of a dispatch. Those that are not there may be any binding.
struct LinearBindings {
  Binding x;  // linear_view()
  MatrixPiece weight;
  Binding bias, residual;  // View::F32
  Binding norm_weight;     // linear_view()
  Binding y;
  Binding chosen;  // View::I32
};

/// What is done with the sums.
struct LinearEpilogue {
  std::uint32_t activation = 0;  // or the gate's
  bool bias = false;
  bool residual = false;
  float norm_eps = 0;
};

/// How kernels read x and the norm's weight.
View linear_view(DType dtype, std::int64_t columns);

/// Rows of x that a workgroup takes at a time where there are so many.
std::uint32_t linear_tile_rows(const Lowering& l, const LinearWork& work, std::uint64_t rows);

/// Whether rows of x that share weights can be run together on a device, however many there are: its loops are long
/// enough, and the kernel can normalise x where it must.
bool fits_tiles(const Lowering& l, const LinearWork& work);

/// The dispatch, but for flops and bytes.
Dispatch linear_dispatch(const Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                         const LinearBindings& bindings);

}  // namespace heed::ops
