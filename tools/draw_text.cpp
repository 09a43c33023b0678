// heed draw of models that draw a text.
#include <fmt/format.h>

#include <cmath>

#include "formats/picture_file.h"
#include "formats/terminal_picture.h"
#include "heed/error.h"
#include "tools/draw.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/progress.h"
#include "tools/prompts.h"

namespace heed::tools {
namespace {

constexpr std::int64_t kMostColumns = 64;  // of a terminal

/// A picture on standard error that grows in place, and goes away in the end.
class GrowingPicture {
 public:
  GrowingPicture() = default;
  ~GrowingPicture() { erase(); }
  GrowingPicture(const GrowingPicture&) = delete;
  GrowingPicture& operator=(const GrowingPicture&) = delete;

  void show(const Picture& picture) {
    erase();
    std::string text;
    for (const std::string& line : terminal_lines(picture, kMostColumns)) {
      text += line + "\n";
      ++lines_;
    }
    write_error(text);
  }

 private:
  void erase() {
    if (lines_ > 0) write_error(fmt::format("\r\x1b[{}A\x1b[J", lines_));
    lines_ = 0;
  }
  std::size_t lines_ = 0;
};

Picture picture_to_complete(const std::string& path) {
  PictureFile file = read_picture(path);
  if (file.alpha) {
    throw Error(
        fmt::format("{}: has transparent parts, and the model's pictures have none; put it on a background", path));
  }
  return std::move(file.colours);
}

}  // namespace

int draw_text(const DrawArguments& arguments) {
  if (arguments.of_noise != nullptr) {
    throw Error(fmt::format("{}: {} is for models that draw noise, and this one draws a text; leave it out",
                            arguments.model, arguments.of_noise->get_name()));
  }
  TextPictureModel model(open_device(arguments.device), arguments.model);
  TextDrawOptions options = arguments.text;
  options.maps = !arguments.maps.empty();
  if (arguments.options.guidance >= 0.0) options.guidance = arguments.options.guidance;
  options.seed = arguments.chosen_seed();
  if (!arguments.complete.empty()) options.complete = picture_to_complete(arguments.complete);
  const std::vector<std::int32_t> caption =
      arguments.has_tokens ? parse_tokens("--tokens", arguments.tokens) : model.tokenize(arguments.caption);
  model.check(caption, options);
  if (options.maps) make_maps_folder(arguments.maps);
  std::vector<Picture> pictures;
  {
    const InterruptFlag interrupt;
    GrowingPicture growing;
    Progress progress("drawing");
    options.progress = [&](std::int64_t done, std::int64_t total) {
      if (interrupt.raised()) throw Interrupted();
      progress.update(static_cast<std::uint64_t>(done), static_cast<std::uint64_t>(total));
    };
    if (error_is_terminal()) {
      options.grown = [&](const Picture& upper) {
        progress.hide();
        growing.show(upper);
      };
    }
    pictures = model.draw(caption, arguments.count, options);
  }
  if (arguments.grid) {
    const auto columns = static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(arguments.count))));
    write_png(arguments.output, grid_of(pictures, columns));
  } else {
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      write_png(numbered(arguments.output, i, pictures.size()), pictures[i]);
    }
  }
  if (options.maps) write_maps(model.attention_maps(), pictures, arguments.maps);
  write_error(fmt::format("{}: {} picture{} of {}x{}, seed {}\n", arguments.output, pictures.size(),
                          pictures.size() == 1 ? "" : "s", model.width(), model.height(), options.seed));
  return 0;
}

}  // namespace heed::tools
