#pragma once

#include "ops/op.h"

namespace heed::ops {

/// A node that makes `value`.
Node constant_node(const std::string& name, const HostTensor& tensor, ValueId value);

}  // namespace heed::ops
