#pragma once

#include <cstdint>

#include "graph/dtype.h"
#include "plan/device_caps.h"

namespace heed::ops {

/// Columns that a lane takes at a time: what one 16-byte word of the weight holds.
std::int64_t unit_columns(DType dtype);

/// Bytes of a matrix in a file.
std::uint64_t file_bytes(DType dtype, std::int64_t rows, std::int64_t columns);

/// Whether lanes can hand x on to each other in kernels whose lanes have weight rows of their own, and the tuner found
/// that several products are better done in one dispatch.
bool can_shuffle_x(DType dtype, const DeviceCaps& caps, const Tuning& tuning);

/// Whether weights of so many bytes in all are little enough work for dispatches of their own to be a waste; a weight
/// is not cut then.
bool weights_fit_one_dispatch(std::uint64_t weights, const DeviceCaps& caps);

/// Two products, one after the other, of a single row.
struct LinearPair {
  DType dtype = DType::F32;  // of both weights
  std::int64_t columns = 0;  // of x
  std::int64_t hidden = 0;   // columns between the two
  std::int64_t width = 0;    // of y
  bool gate = false;         // the first weight has 2 * hidden rows
};

/// Whether a device runs the pair as one dispatch (linear_pair.comp), and may gain by it.
bool fits_one_dispatch(const LinearPair& pair, const DeviceCaps& caps, const Tuning& tuning);

}  // namespace heed::ops
