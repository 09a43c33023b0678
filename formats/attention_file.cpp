#include "formats/attention_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <span>

#include "file/output_file.h"
#include "formats/attention_formats.h"
#include "formats/npy.h"
#include "formats/npz.h"
#include "heed/error.h"

namespace heed {
namespace {

constexpr std::int64_t kMostDrawnTokens = 400;  // a side: 58 million pixels, 160,000 cells of a page

std::string lower_extension(const std::filesystem::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](char c) { return 'A' <= c && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension;
}

std::vector<NpzEntry> arrays_of(const Attention& attention) {
  std::vector<NpzEntry> entries = {{"source", npy_texts(attention.source)}, {"target", npy_texts(attention.target)}};
  std::set<std::string> names = {"source", "target"};
  for (const AttentionWeights& node : attention.nodes) {
    std::string name = node.node;
    for (int number = 2; !names.insert(name).second; ++number) name = fmt::format("{}.{}", node.node, number);
    entries.push_back(
        {name, npy_bytes(DType::F32, {node.heads, node.rows, node.columns}, std::as_bytes(std::span(node.weights)))});
  }
  return entries;
}

void write_bytes(const std::filesystem::path& out, std::span<const std::byte> bytes) {
  OutputFile file(out);
  file.append(bytes);
  file.commit();
}

}  // namespace

void check_drawn_tokens(const AveragedAttention& map) {
  if (std::max(map.rows, map.columns) <= kMostDrawnTokens) return;
  throw Error(
      fmt::format("attention of {} tokens to {}: at most {} a side can be drawn; choose a name that ends in .npz, "
                  "or a shorter text",
                  map.rows, map.columns, kMostDrawnTokens));
}

void check_attention_path(const std::filesystem::path& out) {
  const std::string extension = lower_extension(out);
  if (extension != ".png" && extension != ".html" && extension != ".npz") {
    throw Error(
        fmt::format("{}: attention is written as .png (a picture), .html (a page) or .npz (arrays); choose a name "
                    "that ends in one of them",
                    out.string()));
  }
  check_output_path(out);
}

void write_attention(const std::filesystem::path& out, const Attention& attention, const AttentionChoice& choice) {
  check_attention_path(out);
  const std::string extension = lower_extension(out);
  try {
    const AveragedAttention map = average_attention(attention, choice);
    if (extension == ".npz") return write_npz(out, arrays_of(attention));
    if (extension == ".png") return write_bytes(out, attention_png(attention, map));
    const std::string page = attention_html(attention, map);
    write_bytes(out, std::as_bytes(std::span(page)));
  } catch (const Error& error) {
    const std::string message = error.what();
    throw message.starts_with(out.string()) ? error : Error(fmt::format("{}: not written: {}", out.string(), message));
  }
}

}  // namespace heed
