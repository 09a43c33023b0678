#pragma once

#include <functional>
#include <optional>

#include "ops/linear_tiles.h"

/// Products in tiles that subgroups multiply by cooperative matrices (shaders/linear_cooperative.comp): weights of
/// all types, and x as two halves (shaders/linear_halves.comp), so that no bit is lost; or as one, which is less work,
/// where the node allows it (`halves`).
namespace heed::ops {

/// Lanes of a workgroup whose subgroups hold matrices: of wider ones a lane has half as many registers on some of AMD's
/// GPUs (RDNA 3 with 1024 of them a SIMD), which is too few.
inline constexpr std::uint32_t kMostCooperativeLanes = 256;

/// A workgroup's tile of y as matrices, and how its subgroups share them.
struct CooperativeShape {
  std::array<std::uint32_t, 3> matrix = {};  // M rows of x, N columns of y, K columns of x
  std::uint32_t subgroups_down = 1, subgroups_across = 1;
  std::uint32_t matrix_rows = 1, matrix_columns = 1;  // of a subgroup
  std::uint32_t rows() const { return subgroups_down * matrix_rows * matrix[0]; }
  std::uint32_t columns() const { return subgroups_across * matrix_columns * matrix[1]; }
  std::uint32_t subgroups() const { return subgroups_down * subgroups_across; }
};

/// Of tiles of about so many rows and columns, of matrices whose K is at most so many, that `fits` says a kernel has
/// room for. Nothing where there is no room, however small they are.
std::optional<CooperativeShape> cooperative_shape(const std::array<std::uint32_t, 3>& matrix, const DeviceCaps& caps,
                                                  std::uint32_t rows, std::uint32_t columns, std::uint32_t most_k,
                                                  const std::function<bool(const CooperativeShape&)>& fits);
/// The same, of the largest matrix with which there is one.
std::optional<CooperativeShape> cooperative_shape(const DeviceCaps& caps, std::uint32_t rows, std::uint32_t columns,
                                                  std::uint32_t most_k,
                                                  const std::function<bool(const CooperativeShape&)>& fits);

/// Of tiles of about so many rows and columns, of weights of a type and x as so many halves. Nothing where the device
/// has no matrices that fit, or no room.
std::optional<CooperativeShape> cooperative_shape(const std::array<std::uint32_t, 3>& matrix, const DeviceCaps& caps,
                                                  std::uint32_t rows, std::uint32_t columns, DType dtype,
                                                  std::uint32_t halves);
/// The same, of the largest matrix with which there is one.
std::optional<CooperativeShape> cooperative_shape(const DeviceCaps& caps, std::uint32_t rows, std::uint32_t columns,
                                                  DType dtype, std::uint32_t halves);

/// Appends the dispatches of a product, if it is tuned so and can be; whether it could.
bool emit_linear_cooperative(Lowering& l, const LinearWork& work, const LinearEpilogue& epilogue,
                             const LinearBindings& bindings, std::uint64_t flops, std::uint64_t bytes);

}  // namespace heed::ops
