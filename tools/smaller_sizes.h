#pragma once

#include <string>

#include "file/model_file.h"
#include "graph/graph.h"
#include "runtime/gpu.h"
#include "runtime/session.h"

namespace heed::tools {

/// Session::prepare(), whose Error for sizes that the device has no room for also says what would work: the largest
/// sizes of the same proportions, found by planning smaller ones, a smaller batch before smaller pictures or texts; and
/// for models that change pictures `heed upscale`, which works on parts.
Executable& prepare(Session& session, const ModelFile& file, const Graph& graph, const Bindings& dims, const Gpu& gpu);

}  // namespace heed::tools
