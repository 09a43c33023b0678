#pragma once

#include <span>
#include <string>
#include <vector>

#include "file/model_file.h"
#include "file/picture_roles.h"
#include "heed/picture.h"
#include "runtime/session.h"

namespace heed {

/// What a PictureModel holds, and what drawing (draw.cpp) and transforming (transform.cpp) share.
/// Throws Error, which says what runs the model, where its roles are for another task, "draw" or "image-to-image".
void check_picture_task(const PictureRoles& roles, std::string_view task, const std::string& where);

struct PictureModel::State {
  /// Throws Error when the metadata do not fit the graphs.
  State(const Device& on, const std::filesystem::path& path);

  /// Throw Error when the graph has no input or output of the role.
  const Role* need_input(const Graph& of, const char* kind) const;
  const Role* need_output(const Graph& of, const char* kind) const;
  void check_input(const Role& role, bool floats) const;
  /// Throws Error unless the labels that write_labels() makes fit the input.
  void check_label() const;
  /// Throws Error for options that the model cannot use: they would change nothing.
  void check(const DrawOptions& options) const;
  /// Throws Error unless there is noise of the right size and a class that exists, for each picture.
  void check(const std::vector<std::vector<float>>& noises, const std::vector<std::int64_t>& labels) const;
  /// The shape of an input for `batch` pictures: whatever is named and first is the batch.
  Shape shape_of(const Graph& of, const Role& role, std::int64_t batch) const;
  /// How many numbers of noise a picture is drawn from.
  std::size_t noise_size() const;

  /// All of an output of a run.
  std::vector<float> run(Executable& executable, const std::string& output, std::size_t count);
  void write_labels(const std::vector<std::int64_t>& labels);
  std::vector<float> draw_in_steps(Executable& executable, std::vector<float> x,
                                   const std::vector<std::int64_t>& labels, const DrawOptions& options);
  /// Makes pictures of the main graph's result, where another graph does that.
  void decode(std::vector<float>& values, Shape& shape);
  static Shape output_shape(const Executable& executable, const Role& role);
  Picture picture_of(const std::vector<float>& values, const Shape& shape, std::size_t index) const;
  /// The shape [batch, channels, height, width] of the pictures that the graph's output `made` becomes for sizes of its
  /// input; zeros when they are none.
  Shape result_shape(const Bindings& dims, const Role& made) const;
  /// Throws Error, saying what it is of, when a value of a picture is no finite number.
  void check_finite(const Picture& picture, const std::string& of) const;
  bool is_map(const Role& role) const;
  /// The values of black and full of an image.
  void set_range(const Role* role, std::pair<double, double> range);
  /// Appends to `maps` those of the first `wanted` of `count` pictures that a run drew.
  void read_maps(const Executable& executable, std::size_t count, std::size_t wanted);
  /// How many pictures the graph draws in a run: what its latent's shape says, or as many as are wanted up to a limit.
  std::size_t batch_for(std::size_t wanted) const;
  /// Draws in one run of the graph, and keeps the maps of the first `wanted` pictures.
  std::vector<Picture> draw_batch(const std::vector<std::vector<float>>& noises,
                                  const std::vector<std::int64_t>& labels, std::size_t wanted,
                                  const DrawOptions& options);

  Device device;
  ModelFile file;
  std::string where;
  bool described;  // the metadata say what the model is for
  std::string assumed;
  PictureRoles roles;
  FileWeights source;
  WeightStore weights;
  Session session;
  const Graph* graph = nullptr;
  const Graph* decoder = nullptr;
  const Role* latent = nullptr;
  const Role* label = nullptr;
  const Role* time = nullptr;
  const Role* image = nullptr;
  const Role* result = nullptr;
  std::vector<std::vector<AttentionMap>> maps;  // of the last drawing, by picture
};

/// The bytes of numbers, to be written to an input.
template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace heed
