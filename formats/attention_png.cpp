// The heat map of attention as a picture, its labels set by Pango, which knows every script.
#include <fmt/format.h>
#include <pango/pangocairo.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <new>
#include <numbers>

#include "formats/attention_formats.h"
#include "formats/token_text.h"
#include "heed/error.h"

namespace heed {
namespace {

// Pixels. Cells of small maps are large, those of large ones still have room for a line of text.
constexpr int kSmallestCell = 18, kLargestCell = 36, kWantedSide = 720;
constexpr int kMargin = 12, kGap = 6, kLongestLabel = 240;
constexpr int kLegendWidth = 160, kLegendHeight = 12;

template <auto release>
struct Release {
  template <typename Object>
  void operator()(Object* object) const {
    release(object);
  }
};
using Surface = std::unique_ptr<cairo_surface_t, Release<cairo_surface_destroy>>;
using Drawing = std::unique_ptr<cairo_t, Release<cairo_destroy>>;
using TextContext = std::unique_ptr<PangoContext, Release<g_object_unref>>;
using FontChoice = std::unique_ptr<PangoFontDescription, Release<pango_font_description_free>>;

/// A line of text, ready to be drawn.
struct Label {
  std::unique_ptr<PangoLayout, Release<g_object_unref>> layout;
  int width = 0, height = 0;
};

Label label_of(PangoContext* context, const std::string& text, int longest = kLongestLabel) {
  Label label{std::unique_ptr<PangoLayout, Release<g_object_unref>>(pango_layout_new(context)), 0, 0};
  PangoLayout* const layout = label.layout.get();
  pango_layout_set_single_paragraph_mode(layout, TRUE);
  pango_layout_set_text(layout, text.c_str(), static_cast<int>(text.size()));
  pango_layout_get_pixel_size(layout, &label.width, &label.height);
  if (label.width > longest) {
    pango_layout_set_ellipsize(layout, PANGO_ELLIPSIZE_END);
    pango_layout_set_width(layout, longest * PANGO_SCALE);
    pango_layout_get_pixel_size(layout, &label.width, &label.height);
  }
  return label;
}

std::vector<Label> labels_of(PangoContext* context, const std::vector<std::string>& tokens) {
  std::vector<Label> labels;
  for (const std::string& token : tokens) labels.push_back(label_of(context, visible_token(token)));
  return labels;
}

int widest(const std::vector<Label>& labels) {
  int width = 0;
  for (const Label& label : labels) width = std::max(width, label.width);
  return width;
}

/// White to dark blue, of falling lightness, so that it reads in grey as well.
std::array<double, 3> blue_of(double share) {
  constexpr std::array<std::array<double, 3>, 5> kStops = {
      {{1.0, 1.0, 1.0}, {0.78, 0.86, 0.94}, {0.42, 0.68, 0.84}, {0.13, 0.44, 0.71}, {0.03, 0.19, 0.42}}};
  const double at = std::clamp(share, 0.0, 1.0) * (kStops.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
  const double part = at - static_cast<double>(below);
  std::array<double, 3> colour;
  for (std::size_t c = 0; c < 3; ++c) colour[c] = kStops[below][c] * (1 - part) + kStops[below + 1][c] * part;
  return colour;
}

void fill(cairo_t* drawing, const std::array<double, 3>& colour, int x, int y, int width, int height) {
  cairo_set_source_rgb(drawing, colour[0], colour[1], colour[2]);
  cairo_rectangle(drawing, x, y, width, height);
  cairo_fill(drawing);
}

void show(cairo_t* drawing, const Label& label, int x, int y) {
  cairo_move_to(drawing, x, y);
  pango_cairo_show_layout(drawing, label.layout.get());
}

/// From below upwards, its end at the bottom.
void show_upright(cairo_t* drawing, const Label& label, int x, int bottom) {
  cairo_save(drawing);
  cairo_translate(drawing, x, bottom);
  cairo_rotate(drawing, -std::numbers::pi / 2);
  show(drawing, label, 0, 0);
  cairo_restore(drawing);
}

cairo_status_t append_png(void* bytes, const unsigned char* data, unsigned int size) {
  try {
    const auto* const begin = reinterpret_cast<const std::byte*>(data);
    static_cast<std::vector<std::byte>*>(bytes)->insert(static_cast<std::vector<std::byte>*>(bytes)->end(), begin,
                                                        begin + size);
  } catch (const std::bad_alloc&) {
    return CAIRO_STATUS_NO_MEMORY;
  }
  return CAIRO_STATUS_SUCCESS;
}

void check_drawn(cairo_status_t status, const AveragedAttention& map) {
  if (status == CAIRO_STATUS_SUCCESS) return;
  throw Error(fmt::format("the picture of {}x{} tokens cannot be drawn: {}", map.rows, map.columns,
                          cairo_status_to_string(status)));
}

}  // namespace

std::vector<std::byte> attention_png(const Attention& attention, const AveragedAttention& map) {
  check_drawn_tokens(map);
  const int rows = static_cast<int>(map.rows);
  const int columns = static_cast<int>(map.columns);
  const int cell = std::clamp(kWantedSide / std::max(rows, columns), kSmallestCell, kLargestCell);

  const TextContext context(pango_font_map_create_context(pango_cairo_font_map_get_default()));
  const FontChoice font(pango_font_description_from_string("Sans"));
  pango_font_description_set_absolute_size(font.get(), std::clamp(cell * 5 / 8, 12, 16) * PANGO_SCALE);
  pango_context_set_font_description(context.get(), font.get());
  const std::vector<Label> row_labels = labels_of(context.get(), row_tokens(attention, map.kind));
  const std::vector<Label> column_labels = labels_of(context.get(), column_tokens(attention, map.kind));
  // A scale of its own: over many tokens even the largest weights may be small.
  const double largest = std::max(0.0, *std::ranges::max_element(map.weights));
  const Label least = label_of(context.get(), "0");
  const Label most = label_of(context.get(), fmt::format("{:.3g}", largest));
  const Label title = label_of(context.get(), map.title, kWantedSide);

  const int left = kMargin + widest(row_labels) + kGap;
  const int top = kMargin + widest(column_labels) + kGap;
  const int legend_top = top + rows * cell + kMargin;
  const int legend_end = kMargin + least.width + kGap + kLegendWidth + kGap + most.width;
  const int legend_line = std::max(least.height, kLegendHeight);
  const int width = std::max({left + columns * cell, legend_end, kMargin + title.width}) + kMargin;
  const int height = legend_top + legend_line + kGap + title.height + kMargin;

  const Surface surface(cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height));
  check_drawn(cairo_surface_status(surface.get()), map);
  const Drawing owned(cairo_create(surface.get()));
  cairo_t* const drawing = owned.get();
  fill(drawing, {1, 1, 1}, 0, 0, width, height);

  // Lines between the cells show through.
  fill(drawing, {0.82, 0.82, 0.82}, left - 1, top - 1, columns * cell + 1, rows * cell + 1);
  for (int row = 0; row < rows; ++row) {
    for (int column = 0; column < columns; ++column) {
      const double weight = map.weights[static_cast<std::size_t>(row * columns + column)];
      fill(drawing, blue_of(largest > 0 ? weight / largest : 0), left + column * cell, top + row * cell, cell - 1,
           cell - 1);
    }
  }
  for (int step = 0; step < kLegendWidth; ++step) {
    fill(drawing, blue_of(static_cast<double>(step) / (kLegendWidth - 1)), kMargin + least.width + kGap + step,
         legend_top + (legend_line - kLegendHeight) / 2, 1, kLegendHeight);
  }

  cairo_set_source_rgb(drawing, 0.07, 0.07, 0.07);
  for (int row = 0; row < rows; ++row) {
    const Label& label = row_labels[static_cast<std::size_t>(row)];
    show(drawing, label, left - kGap - label.width, top + row * cell + (cell - label.height) / 2);
  }
  for (int column = 0; column < columns; ++column) {
    const Label& label = column_labels[static_cast<std::size_t>(column)];
    show_upright(drawing, label, left + column * cell + (cell - label.height) / 2, top - kGap);
  }
  show(drawing, least, kMargin, legend_top + (legend_line - least.height) / 2);
  show(drawing, most, legend_end - most.width, legend_top + (legend_line - most.height) / 2);
  show(drawing, title, kMargin, legend_top + legend_line + kGap);

  check_drawn(cairo_status(drawing), map);
  cairo_surface_flush(surface.get());
  std::vector<std::byte> bytes;
  check_drawn(cairo_surface_write_to_png_stream(surface.get(), append_png, &bytes), map);
  return bytes;
}

}  // namespace heed
