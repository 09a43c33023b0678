#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "ops/op.h"
#include "tools/convert/checkpoint.h"

namespace onnx {
class TensorProto;
}

namespace heed::convert {

/// Integers of 4 or 2 bits, which heed holds in the type of 8 bits with their sign; 0 for all other types.
int onnx_narrow_bits(int data_type);
/// heed's type of a TensorProto.DataType whose values have it; those of integers of 4 and 2 bits are held in 8.
DType onnx_held_type(int data_type, const std::string& what);

/// heed's type of a TensorProto.DataType. Throws Error naming `what` for types that heed has no values of.
DType onnx_type(int data_type, const std::string& what);

/// The type and shape of a tensor. Throws Error for types that heed does not know and shapes that no tensor has.
TensorType onnx_tensor_type(const onnx::TensorProto& tensor, const std::string& what);

/// All elements. `folder` is where external data lies. Throws Error naming the tensor when its data is missing, has
/// another size than its shape says, or lies outside the folder.
HostTensor onnx_elements(const onnx::TensorProto& tensor, const std::string& what, const std::filesystem::path& folder);

/// Elements as a tensor of the .heed file: floats in their own type (f64 as f32), integers and booleans as i32. Throws
/// Error when an integer needs more than 32 bits.
SourceTensor source_of(std::string name, std::shared_ptr<const HostTensor> tensor);

}  // namespace heed::convert
