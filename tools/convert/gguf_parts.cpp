// A model in several GGUF files, as llama.cpp's llama-gguf-split cuts it: NAME-00001-of-00003.gguf and so on. The first
// has all metadata, each has some of the tensors.
#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "heed/error.h"
#include "tools/convert/gguf.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMostParts = 99999;  // five digits

std::string ending(std::int64_t part, std::int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", part + 1, count);
}

GgufPart open_part(const fs::path& path) {
  const auto file = SourceFile::open(path);
  if (!is_gguf(*file)) throw Error(fmt::format("{}: is not a GGUF file, but part of a model in several", file->name()));
  return {file, Gguf::read(*file)};
}

/// Throws Error unless `part` is the one of that number of the model that `given` is a part of.
void check_part(const GgufPart& part, std::int64_t number, std::int64_t count, const GgufPart& given) {
  const auto own_number = part.gguf.find_size("split.no");
  const auto own_count = part.gguf.find_size("split.count");
  if (own_number != number || own_count != count) {
    throw Error(
        fmt::format("{}: says that it is part {} of {} (split.no, split.count), but its name is that of part {} "
                    "of {}; it was renamed or belongs to another model",
                    part.file->name(), own_number ? std::to_string(*own_number + 1) : "none", own_count.value_or(1),
                    number + 1, count));
  }
  const auto tensors = part.gguf.find_size("split.tensors.count");
  const auto expected = given.gguf.find_size("split.tensors.count");
  if (tensors != expected) {
    throw Error(
        fmt::format("{}: is part of a model of {} tensors (split.tensors.count), but {} of one of {}; one of "
                    "them belongs to another model",
                    part.file->name(), tensors.value_or(0), given.file->name(), expected.value_or(0)));
  }
}

void check_tensors(const std::vector<GgufPart>& parts) {
  std::map<std::string, const SourceFile*, std::less<>> holders;
  for (const GgufPart& part : parts) {
    for (const GgufTensor& tensor : part.gguf.tensors) {
      const auto [holder, is_new] = holders.emplace(tensor.name, part.file.get());
      if (is_new) continue;
      throw Error(fmt::format("{}: tensor '{}' is in {} too; one of them belongs to another model", part.file->name(),
                              tensor.name, holder->second->name()));
    }
  }
  const auto expected = parts.front().gguf.find_size("split.tensors.count");
  if (expected && static_cast<std::size_t>(*expected) != holders.size()) {
    throw Error(fmt::format("{}: the model has {} tensors (split.tensors.count), but its {} parts hold {}",
                            parts.front().file->name(), *expected, parts.size(), holders.size()));
  }
}

}  // namespace

std::vector<GgufPart> read_gguf_parts(const std::shared_ptr<const SourceFile>& file) {
  GgufPart given{file, Gguf::read(*file)};
  const std::int64_t count = given.gguf.find_size("split.count").value_or(1);
  std::vector<GgufPart> parts;
  if (count <= 1) {
    parts.push_back(std::move(given));
    return parts;
  }
  const std::int64_t number = given.gguf.find_size("split.no").value_or(0);
  if (count > kMostParts || number >= count) {
    throw Error(fmt::format("{}: is part {} of {} (split.no, split.count); expected at most {} parts", file->name(),
                            number + 1, count, kMostParts));
  }
  const std::string& name = file->name();
  if (!name.ends_with(ending(number, count))) {
    throw Error(
        fmt::format("{}: is part {} of a model in {} files (split.count), but its name does not end in '{}', by "
                    "which the others are found; give the files their names back",
                    name, number + 1, count, ending(number, count)));
  }
  const std::string stem = name.substr(0, name.size() - ending(number, count).size());
  for (std::int64_t i = 0; i < count; ++i) {
    const fs::path path = stem + ending(i, count);
    if (i != number && !file_exists(path)) {
      throw Error(fmt::format("{}: is missing: the model of {} is in {} files; put it beside the others", path.string(),
                              name, count));
    }
    parts.push_back(i == number ? GgufPart{file, given.gguf} : open_part(path));
    check_part(parts.back(), i, count, given);
  }
  check_tensors(parts);
  return parts;
}

}  // namespace heed::convert
