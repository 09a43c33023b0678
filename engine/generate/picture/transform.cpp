// Pictures from pictures.
#include <fmt/format.h>

#include <algorithm>

#include "generate/picture/state.h"
#include "generate/picture/tiles.h"
#include "graph/bind.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "planner/infer.h"
#include "planner/make_plan.h"

namespace heed {
namespace {

/// Memory of a plan's own tensors above which pictures are worked on in parts.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 30;
constexpr std::int64_t kSmallestTile = 32;
constexpr std::int64_t kTileMultiple = 8;  // sizes that networks with strides like

std::uint64_t planned_bytes(const Plan& plan) {
  std::uint64_t bytes = 0;
  for (const std::uint64_t block : plan.arena_blocks) bytes += block;
  for (const PlanTensor& tensor : plan.tensors) {
    if (tensor.storage == Storage::Input || tensor.storage == Storage::Output) bytes += tensor.bytes;
  }
  return bytes;
}

/// Sizes of a picture or part of one.
struct Size {
  std::int64_t width = 0;
  std::int64_t height = 0;
};

constexpr std::int64_t kMostFill = 256;  // a model whose sides must be multiples of more is refused

/// What a graph from pictures to pictures takes.
class Taken {
 public:
  Taken(const Graph& graph, const Role& image, const Gpu& gpu)
      : graph_(graph), input_(graph.value(graph.find(image.name))), gpu_(gpu) {}

  std::int64_t planes() const { return input_.shape[1].name.empty() ? input_.shape[1].size : 3; }
  /// Whether a side is a number, so that pictures are taken in parts of that size.
  bool fixed() const { return input_.shape[2].name.empty() || input_.shape[3].name.empty(); }
  Bindings bind(Size size) const {
    return bind_inputs(graph_, {{input_.name, {1, planes(), size.height, size.width}}});
  }
  /// The smallest size of at least this one that the graph takes: some windows need several pixels, some networks
  /// halve sides and put them together again. Throws Error of the node that refuses when there is none.
  Size at_least(Size size) const {
    const Size least = {of_side(3, size.width), of_side(2, size.height)};
    if (fixed() || takes(least)) return least;
    for (std::int64_t multiple = 2; multiple <= kMostFill; multiple *= 2) {
      const Size filled = {ceil_div(least.width, multiple) * multiple, ceil_div(least.height, multiple) * multiple};
      if (takes(filled)) return filled;
    }
    infer_all(graph_, bind(least));
    return least;
  }
  /// Whether parts of this size can be worked on. Throws Error as make_plan() does when `must` and they cannot.
  bool fits(Size size, bool must = false) const {
    try {
      return planned_bytes(make_plan(graph_, bind(at_least(size)), gpu_.caps(), gpu_.tuning())) <= kMostBytes;
    } catch (const Error&) {
      if (must) throw;
      return false;
    }
  }

 private:
  std::int64_t of_side(std::size_t dim, std::int64_t side) const {
    return input_.shape[dim].name.empty() ? input_.shape[dim].size : side;
  }
  bool takes(Size size) const {
    try {
      infer_all(graph_, bind(size));
      return true;
    } catch (const Error&) {
      return false;
    }
  }

  const Graph& graph_;
  const Value& input_;
  const Gpu& gpu_;
};

/// The size of parts that are as large as fits the device.
Size largest_part(const Taken& taken, Size whole, const std::string& where) {
  if (taken.fits(whole)) return whole;
  std::int64_t side = std::max(whole.width, whole.height);
  while (true) {
    side = side / 2 / kTileMultiple * kTileMultiple;
    if (side < kSmallestTile) {
      taken.fits(whole, true);  // says which limit it is
      throw Error(fmt::format("{}: not even parts of {} pixels fit the device", where, kSmallestTile));
    }
    const Size part = {std::min(side, whole.width), std::min(side, whole.height)};
    if (taken.fits(part)) return part;
  }
}

void check_given(const Picture& picture, const TransformOptions& options) {
  const std::int64_t count = picture.channels * picture.height * picture.width;
  if (picture.width < 1 || picture.height < 1 || picture.channels < 1 ||
      static_cast<std::int64_t>(picture.values.size()) != count) {
    throw Error(fmt::format("a picture of {}x{}x{} has {} values, expected {}", picture.channels, picture.height,
                            picture.width, picture.values.size(), count));
  }
  if (options.tile < 0 || options.overlap < 0) {
    throw Error(
        fmt::format("parts of {} pixels that overlap by {}: expected 0 or more", options.tile, options.overlap));
  }
}

}  // namespace

Shape PictureModel::State::result_shape(const Bindings& dims, const Role& made) const {
  const auto shape_in = [](const Graph& of, const Bindings& with, const std::string& name) {
    return infer_all(of, with)[static_cast<std::size_t>(of.find(name))].shape;
  };
  Shape shape = shape_in(*graph, dims, made.name);
  if (decoder != nullptr) {
    shape = shape_in(*decoder, bind_inputs(*decoder, {{need_input(*decoder, "latent")->name, shape}}), result->name);
  }
  return shape.size() == 4 ? shape : Shape{0, 0, 0, 0};
}

Picture PictureModel::transform(const Picture& picture, const TransformOptions& options) {
  State& s = *state_;
  check_picture_task(s.roles, "image-to-image", s.where);
  check_given(picture, options);
  const Value& input = s.graph->value(s.graph->find(s.image->name));
  if (input.shape.size() != 4) {
    throw Error(fmt::format("{}: input '{}' is {}, expected [batch, channels, height, width]", s.where, input.name,
                            to_string(input.shape)));
  }
  const Taken taken(*s.graph, *s.image, s.device.gpu());
  const Picture given = with_channels(picture, taken.planes());
  const Size whole = {given.width, given.height};
  const Role& made = s.decoder == nullptr ? *s.result : *s.need_output(*s.graph, "latent");
  // Told by a large picture, since some networks round sizes up: of five pixels one that rounds to eight would seem to
  // double. These sides are whole multiples of most numbers that sizes are rounded to.
  std::int64_t scale = 0;
  Shape enlarged;
  std::string problem;
  for (const std::int64_t side : {256, 240, 252}) {
    const Size large = taken.at_least({side, side});
    enlarged = s.result_shape(taken.bind(large), made);
    if (enlarged[3] == 0 || large.width == 0) {
      scale = 1;  // no picture: that is refused where it is read
    } else if (enlarged[3] % large.width == 0 && enlarged[2] == enlarged[3] / large.width * large.height) {
      scale = enlarged[3] / large.width;
    }
    if (scale > 0) break;
    if (problem.empty()) {
      problem = fmt::format("{}x{} pixels become {}x{}", large.width, large.height, enlarged[3], enlarged[2]);
    }
  }
  if (scale == 0) {
    throw Error(
        fmt::format("{}: {}, expected as many a side or a whole number of times as many; 'heed run' takes other "
                    "models, with arrays",
                    s.where, problem));
  }
  if (options.sized) options.sized(given.width * scale, given.height * scale, enlarged[1]);
  const Size least = taken.at_least(whole);
  Size part = whole;
  if (taken.fixed()) {
    if (options.tile > 0) {
      throw Error(
          fmt::format("{}: the model takes {} by {} pixels and no others; export it with named (dynamic) height "
                      "and width",
                      s.where, least.width, least.height));
    }
    part = least;
  } else if (options.tile > 0) {
    part = {options.tile, options.tile};
  } else {
    part = largest_part(taken, whole, s.where);
  }
  const auto apply = [&](const Picture& of, std::int64_t x, std::int64_t y) {
    const Size size = taken.at_least({of.width, of.height});
    const bool fills = size.width != of.width || size.height != of.height;
    Executable& executable = s.session.prepare(*s.graph, taken.bind(size));
    std::vector<float> values = fills ? mirrored(of, size.width, size.height).values : of.values;
    for (float& value : values) {
      value = static_cast<float>(s.image->least + value * (s.image->most - s.image->least));
    }
    s.session.write(input.name, bytes_of(values));
    Shape shape = State::output_shape(executable, made);
    std::vector<float> result = s.run(executable, made.name, static_cast<std::size_t>(element_count(shape)));
    s.decode(result, shape);
    Picture now = s.picture_of(result, shape, 0);
    // Some networks round sizes up: what is beyond is cut off with what was filled up.
    if (now.width < of.width * scale || now.height < of.height * scale) {
      throw Error(fmt::format("{}: {}x{} pixels become {}x{}, expected {} times as many a side", s.where, size.width,
                              size.height, now.width, now.height, scale));
    }
    now = cut(now, 0, 0, of.width * scale, of.height * scale);
    s.check_finite(now, fmt::format("the part of {}x{} pixels at {},{}", of.width, of.height, x, y));
    return now;
  };
  std::int64_t overlap = options.overlap;
  if (taken.fixed()) overlap = std::min({overlap, part.width / 4, part.height / 4});
  return apply_in_tiles(given, {part.width, part.height, overlap, scale}, apply, options);
}

}  // namespace heed
