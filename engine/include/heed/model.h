#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "heed/device.h"

namespace heed {

/// What a .heed file is for, as its metadata say: "text-generation", "translation", "draw", "image-to-image",
/// "text-to-image", "sound", or another; empty where it says nothing. Throws Error when it is no .heed file.
std::string task_of(const std::filesystem::path& file);

/// Numbers in rows, the last dimension closest together. Real numbers are float, integers and booleans (0 or 1) int64.
struct Array {
  std::vector<std::int64_t> shape;  // none: a single number
  std::variant<std::vector<float>, std::vector<std::int64_t>> elements;
  /// Of what a run gave: the graph's own type, such as "f32", "i64" or "bool". Not looked at in what it is given.
  std::string type{};
};

/// An input or output of a graph.
struct ArrayInfo {
  std::string name;
  std::string type;                // "f32", "i64", ...; empty for outputs, whose types follow from a run
  std::vector<std::string> shape;  // "64", or the name of a dimension; none for outputs
};

struct GraphRunOptions {
  std::string graph;  // which; empty: the model's main one
  /// Sizes of named dimensions that follow from no input. "outputs" is otherwise as "tokens", and "context" the
  /// model's.
  std::map<std::string, std::int64_t> sizes;
};

/// Any model of a .heed file as plain graphs: arrays in, arrays out. Used by one thread at a time.
class GraphModel {
 public:
  /// Opens a .heed file. Throws Error when it is none. Weights are uploaded when a graph that reads them first runs.
  GraphModel(const Device& device, const std::filesystem::path& file);
  ~GraphModel();
  GraphModel(GraphModel&&) noexcept;
  GraphModel& operator=(GraphModel&&) noexcept;

  std::vector<std::string> graphs() const;
  /// Throw Error listing the graphs when there is none of this name, or none is the main one.
  std::vector<ArrayInfo> inputs(std::string_view graph = "") const;
  std::vector<ArrayInfo> outputs(std::string_view graph = "") const;

  /// Runs a graph on arrays by the names of its inputs, and gives those of its outputs. A graph is planned once for
  /// each combination of sizes, except where sizes depend on the values of an input. States (keys and values of
  /// attention, of recurrent layers) start at zero, go on from run to run, and are shared by the graphs of the file by
  /// name. Throws Error naming an input that is missing, unknown, of another kind of numbers or shape; an integer that
  /// does not fit 32 bits; a dimension without a size; an index that names no place; and sizes that do not fit the
  /// device.
  std::map<std::string, Array> run(const std::map<std::string, Array>& inputs, const GraphRunOptions& options = {});
  /// Sets all states to zero.
  void reset();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
