#pragma once

#include <string_view>

#include "shader_table.h"

namespace heed {

/// The SPIR-V with this key. Throws Error where this build was made without it.
const ShaderModuleCode& shader_code(std::string_view key);

}  // namespace heed
