#include "tools/smaller_sizes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "heed/error.h"
#include "planner/infer.h"
#include "planner/make_plan.h"

namespace heed::tools {
namespace {

constexpr std::int64_t kSizeMultiple = 8;  // sizes above it that networks with strides like

using DimNames = std::set<std::string, std::less<>>;

/// The sizes with those in `names` scaled so that the largest of them becomes `most`, and in multiples.
Bindings scaled_sizes(const Bindings& dims, const DimNames& names, std::int64_t most, std::int64_t multiple) {
  std::int64_t largest = 1;
  for (const std::string& name : names) largest = std::max(largest, dims.at(name));
  Bindings scaled = dims;
  for (const std::string& name : names) {
    const auto size = static_cast<std::int64_t>(static_cast<double>(dims.at(name)) * static_cast<double>(most) /
                                                static_cast<double>(largest));
    scaled[name] = std::max<std::int64_t>(1, size > multiple ? size / multiple * multiple : size);
  }
  return scaled;
}

bool can_be_planned(const Graph& graph, const Bindings& dims, const Gpu& gpu) {
  try {
    make_plan(graph, dims, gpu.caps(), gpu.tuning());
    return true;
  } catch (const Error&) {
    return false;
  }
}

/// The largest of these sizes that can be planned, as "height=256 width=256"; empty when none can.
std::string largest_that_fits(const Graph& graph, const Bindings& dims, const DimNames& names, std::int64_t multiple,
                              const Gpu& gpu) {
  std::int64_t above = 0;
  for (const std::string& name : names) above = std::max(above, dims.at(name));
  std::int64_t fits = 0;
  while (above - fits > 1) {
    const std::int64_t middle = fits + (above - fits) / 2;
    (can_be_planned(graph, scaled_sizes(dims, names, middle, multiple), gpu) ? fits : above) = middle;
  }
  if (fits == 0) return "";
  const Bindings scaled = scaled_sizes(dims, names, fits, multiple);
  std::vector<std::string> sizes;
  for (const std::string& name : names) sizes.push_back(fmt::format("{}={}", name, scaled.at(name)));
  return fmt::format("{}", fmt::join(sizes, " "));
}

}  // namespace

Executable& prepare(Session& session, const ModelFile& file, const Graph& graph, const Bindings& dims, const Gpu& gpu) {
  try {
    return session.prepare(graph, dims);
  } catch (const Error& error) {
    if (can_be_planned(graph, dims, gpu)) throw;  // then it was something else
    infer_all(graph, dims);                       // of sizes that do not fit each other smaller ones are no cure
    // The first dimension of an input is how many there are of what the others are the sizes of.
    DimNames batches;
    DimNames sizes;
    for (const ValueId id : graph.inputs) {
      const SymbolicShape& shape = graph.value(id).shape;
      for (std::size_t i = 0; i < shape.size(); ++i) {
        const auto bound = dims.find(shape[i].name);
        if (shape[i].name.empty() || bound == dims.end() || bound->second < 2) continue;
        (i == 0 && shape.size() > 1 ? batches : sizes).insert(shape[i].name);
      }
    }
    std::string found = batches.empty() ? "" : largest_that_fits(graph, dims, batches, 1, gpu);
    if (found.empty() && !sizes.empty()) found = largest_that_fits(graph, dims, sizes, kSizeMultiple, gpu);
    std::string advice = found.empty() ? "" : fmt::format("; {} fits", found);
    const auto task = file.metadata().find("task");
    if (task != file.metadata().end() && *task == "image-to-image") {
      advice += "; 'heed upscale' works on pictures in parts (--tile)";
    }
    throw Error(error.what() + advice);
  }
}

}  // namespace heed::tools
