#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace heed {

/// What an input or output of a graph means to the loops that draw (engine/file/format.md, `roles`).
struct Role {
  std::string kind;                // "latent", "label", "time", "image", "map", "attention"
  double least = 0.0;              // image: the value of black ...
  double most = 1.0;               // ... and of full
  std::string encoding = "index";  // label: "index", or "one_hot" with a column a class
  std::string name;                // of the input or output
  std::int64_t width = 0;          // attention: of the picture whose places look at each other ...
  std::int64_t height = 0;         // ... and its height
  bool sums_over_rows = false;     // attention: columns sum to one, instead of rows
};

/// How a model draws in steps (format.md, `schedule`): Euler's method from t = 0, noise, to t = 1, a picture.
struct Schedule {
  int steps = 0;                // 0: the model draws at once
  bool predicts_clean = false;  // the model gives the picture itself; else the velocity
  double guidance = 1.0;        // velocity = without + guidance * (with - without the class)
  double guidance_from = 0.0;   // where in t it is applied
  double guidance_to = 1.0;
};

/// A model's metadata for pictures, checked against its graphs.
struct PictureRoles {
  std::string task;  // "draw" or "image-to-image"
  std::vector<Role> roles;
  std::vector<std::string> classes;
  Schedule schedule;
  std::string decode;  // the graph that makes pictures of what the main one gives; empty for none

  /// Throws Error, naming the key, when the metadata do not say what is needed.
  static PictureRoles of(const nlohmann::json& metadata, const std::string& where);
  /// Those of a graph with one input, pictures of 1 or 3 channels, and one output: an image becomes an image. Nothing
  /// for other graphs. The values of black and of full are not known then.
  static std::optional<PictureRoles> plain(const Graph& graph);
  /// nullptr when no input or output of `graph` has the role.
  const Role* input(const Graph& graph, std::string_view kind) const;
  const Role* output(const Graph& graph, std::string_view kind) const;
};

}  // namespace heed
