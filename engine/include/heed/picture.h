#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "heed/device.h"
#include "heed/dispatch_time.h"

namespace heed {

/// A picture: `channels` planes (1 grey, 3 red-green-blue) of height * width values, row by row, 0 black to 1 full.
struct Picture {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::int64_t channels = 3;
  std::vector<float> values;  // channels * height * width

  float& at(std::int64_t channel, std::int64_t y, std::int64_t x) {
    return values[static_cast<std::size_t>((channel * height + y) * width + x)];
  }
  float at(std::int64_t channel, std::int64_t y, std::int64_t x) const {
    return values[static_cast<std::size_t>((channel * height + y) * width + x)];
  }
};

/// What a layer of attention weighed while it drew a picture.
struct AttentionMap {
  std::string name;  // of the graph's output: "map.18", "attention.14"
  std::int64_t width = 0;
  std::int64_t height = 0;
  /// Whether each place has weights of its own: then `values` are height * width rows, one for each place, of height *
  /// width weights that sum to one. Else height * width values from 0 to 1.
  bool of_each_place = false;
  std::vector<float> values;
};

struct TransformOptions {
  /// Side of the square parts in which a picture is worked on, in pixels of the input; 0: the whole picture where it
  /// fits the device, else the largest parts that do.
  std::int64_t tile = 0;
  /// Pixels by which parts overlap on each side; they are blended there. At most a quarter of parts whose size the
  /// model fixes, or nothing might be left of them.
  std::int64_t overlap = 16;
  std::function<void(std::int64_t done, std::int64_t total)> progress;  // parts
  /// Called with the size of the result before the work begins; may throw.
  std::function<void(std::int64_t width, std::int64_t height, std::int64_t channels)> sized;
};

struct DrawOptions {
  double truncation = 1.0;  // factor of the noise
  int steps = 0;            // of models that draw in steps; 0: as the model says
  double guidance = -1.0;   // of models that draw in steps of a class: how far to go beyond what the class changes;
                            // below 0: as the model says
  bool maps = false;        // keep attention_maps()
  std::function<void(std::int64_t done, std::int64_t total)> progress;  // steps of all runs
};

/// The values of black and of full in pictures as a model takes and gives them, where they are known better than its
/// file says.
struct PictureRanges {
  std::optional<std::pair<double, double>> input;
  std::optional<std::pair<double, double>> output;
};

/// A model that makes pictures: from noise, or from pictures. Used by one thread at a time.
class PictureModel {
 public:
  /// Opens a .heed file whose metadata has the task "draw" or "image-to-image", or has none and a graph from one
  /// picture to one: what values these have is found out by a trial. Throws Error for others, and for ranges of a model
  /// that draws.
  PictureModel(const Device& device, const std::filesystem::path& file, const PictureRanges& ranges = {});
  ~PictureModel();
  PictureModel(PictureModel&&) noexcept;
  PictureModel& operator=(PictureModel&&) noexcept;

  /// Whether draw(), or transform(), is for the model of a file, which needs no device to know. Throws Error where it
  /// is not, saying what runs such a model, and for a file that is no model.
  static void check_draws(const std::filesystem::path& file);
  static void check_transforms(const std::filesystem::path& file);

  bool draws() const;
  /// Width and height of the pictures that it draws; zeros of a model that does not.
  std::pair<std::int64_t, std::int64_t> drawn_size() const;
  /// What was found out by a trial, a line for the user; empty where the file says it.
  const std::string& assumed() const;
  /// The classes that can be drawn, by number; none where the model takes no class.
  const std::vector<std::string>& classes() const;
  /// The number of a class by its name or its number. Throws Error listing what there is.
  std::int64_t class_named(std::string_view name) const;

  /// Numbers of the noise that one picture is drawn from, standard normal; picture `index` of a seed always has the
  /// same.
  std::vector<float> noise(std::uint64_t seed, std::uint64_t index) const;
  /// Throws Error for options that the model cannot use, steps for one: they would change nothing.
  void check(const DrawOptions& options) const;
  /// Draws one picture for each noise; `labels` are as many class numbers, -1 for none. Throws Error for options that
  /// the model cannot use, other numbers of labels than of noises, noises of another size than noise() makes, classes
  /// that do not exist, and when a picture or a map has values that are no finite numbers.
  std::vector<Picture> draw(const std::vector<std::vector<float>>& noises, const std::vector<std::int64_t>& labels,
                            const DrawOptions& options);

  /// What attention weighed when draw() last drew with DrawOptions::maps, a list for each picture; of models that draw
  /// in steps, in the last step. Means over heads. Lists are empty where has_attention_maps() is false.
  const std::vector<std::vector<AttentionMap>>& attention_maps() const;
  /// Whether the file names outputs of role map or attention.
  bool has_attention_maps() const;

  /// A picture from a picture. What is smaller than the model's smallest input is filled up with its mirror image, and
  /// the result is cut. Throws Error when not even the smallest part fits the device, and when the result has values
  /// that are no finite numbers.
  Picture transform(const Picture& picture, const TransformOptions& options);

 private:
  struct State;
  void assume(const PictureRanges& given);
  std::unique_ptr<State> state_;
};

/// How a TextPictureModel draws; what is not said is as the model says.
struct TextDrawOptions {
  std::optional<double> temperature;  // 0: always the most probable code
  std::optional<int> top_k;           // 0: all
  std::optional<double> top_p;        // 1: all
  /// Logits are u + guidance * (c - u), c with the caption and u without one; 1 is plainly.
  std::optional<double> guidance;
  std::uint64_t seed = 0;
  /// The upper half of every picture is that of this one, which has the model's size, as far as its codes can say.
  std::optional<Picture> complete;
  bool maps = false;  // keep attention_maps()
  /// Rows of codes done, of all pictures; may throw.
  std::function<void(std::int64_t done, std::int64_t total)> progress;
  /// The rows of pixels that the first picture has so far, whenever it has more of them; it costs time.
  std::function<void(const Picture& upper)> grown;
};

/// A model that draws pictures of a text as codes, one after the other, like a text, and makes pixels of them. Used by
/// one thread at a time.
class TextPictureModel {
 public:
  /// Opens a .heed file whose metadata has the task "text-to-image". Throws Error when it has not.
  TextPictureModel(const Device& device, const std::filesystem::path& file);
  ~TextPictureModel();
  TextPictureModel(TextPictureModel&&) noexcept;
  TextPictureModel& operator=(TextPictureModel&&) noexcept;

  /// Whether a .heed file has that task. Throws Error when it is no .heed file.
  static bool is_one(const std::filesystem::path& file);

  std::int64_t width() const;
  std::int64_t height() const;
  std::int64_t channels() const;
  /// The codes of a picture: so many rows of so many.
  std::int64_t code_rows() const;
  std::int64_t code_columns() const;

  /// Token ids of a caption. Throws Error when the model has no tokenizer, or does not know a word.
  std::vector<std::int32_t> tokenize(std::string_view caption) const;
  /// Throws Error for options that make no sense or that the model cannot use, and captions that are too long.
  void check(const std::vector<std::int32_t>& caption, const TextDrawOptions& options) const;
  /// Draws `count` pictures for a caption, for none where it is empty. Picture i of a seed is always the same, however
  /// many are drawn. Throws Error as check() does, and when logits or pixels are no finite numbers.
  std::vector<Picture> draw(const std::vector<std::int32_t>& caption, std::size_t count,
                            const TextDrawOptions& options);

  /// The codes of the pictures that draw() drew last, row by row.
  const std::vector<std::vector<std::int32_t>>& codes() const;
  /// What each place of those pictures weighed of each token of the caption while it was drawn, a list for each
  /// picture: maps of code_columns() times code_rows() weights, means over heads and layers, called attention.N.WORD.
  /// Lists are empty without TextDrawOptions::maps.
  const std::vector<std::vector<AttentionMap>>& attention_maps() const;

  /// For bench, of a step for one picture, with the guidance that the model says: bytes that it reads, its dispatches,
  /// and the time of each.
  std::uint64_t bytes_per_step();
  std::size_t dispatches_per_step();
  std::vector<DispatchTime> profile();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
