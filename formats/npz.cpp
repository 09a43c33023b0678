#include "formats/npz.h"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <memory>

#include "file/output_file.h"
#include "heed/error.h"

namespace heed {
namespace {

// MS-DOS's first day, 1980-01-01: the time of writing would make two files of the same arrays differ.
constexpr zip_uint16_t kFirstDay = (1 << 5) | 1;

struct FreeSource {
  void operator()(zip_source_t* source) const { zip_source_free(source); }
};
struct DiscardZip {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};

void check_entry_name(const std::filesystem::path& path, const std::string& name) {
  const bool hidden = std::ranges::any_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
  const bool leads_out =
      name.starts_with('/') || name.find("..") != std::string::npos || name.find_first_of("\\:") != std::string::npos;
  if (!name.empty() && !hidden && !leads_out) return;
  throw Error(fmt::format("{}: not written: '{}' is no name for an array in it", path.string(),
                          hidden ? "(control characters)" : name));
}

}  // namespace

void write_npz(const std::filesystem::path& path, const std::vector<NpzEntry>& entries) {
  const auto fail = [&](const char* reason) {
    throw Error(fmt::format("{}: cannot be packed: {}", path.string(), reason));
  };
  if (entries.empty()) fail("there are no arrays");  // the library would make no file of nothing
  zip_error_t error;
  zip_error_init(&error);
  // Packed in memory, as the library would write to the file in a way of its own.
  const std::unique_ptr<zip_source_t, FreeSource> packed(zip_source_buffer_create(nullptr, 0, 0, &error));
  if (packed == nullptr) fail(zip_error_strerror(&error));
  std::unique_ptr<zip_t, DiscardZip> archive(zip_open_from_source(packed.get(), ZIP_TRUNCATE, &error));
  if (archive == nullptr) fail(zip_error_strerror(&error));
  zip_source_keep(packed.get());  // the archive has taken it over
  for (const NpzEntry& entry : entries) {
    check_entry_name(path, entry.name);
    zip_source_t* const data = zip_source_buffer(archive.get(), entry.npy.data(), entry.npy.size(), 0);
    if (data == nullptr) fail(zip_strerror(archive.get()));
    const zip_int64_t at = zip_file_add(archive.get(), (entry.name + ".npy").c_str(), data, ZIP_FL_ENC_UTF_8);
    if (at < 0) {
      zip_source_free(data);
      fail(zip_strerror(archive.get()));
    }
    const auto index = static_cast<zip_uint64_t>(at);
    if (zip_set_file_compression(archive.get(), index, ZIP_CM_STORE, 0) != 0 ||
        zip_file_set_dostime(archive.get(), index, 0, kFirstDay, 0) != 0) {
      fail(zip_strerror(archive.get()));
    }
  }
  if (zip_close(archive.get()) != 0) fail(zip_strerror(archive.get()));
  (void)archive.release();

  zip_stat_t stat;
  if (zip_source_stat(packed.get(), &stat) != 0 || zip_source_open(packed.get()) != 0) {
    fail(zip_error_strerror(zip_source_error(packed.get())));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(stat.size));
  const zip_int64_t read = zip_source_read(packed.get(), bytes.data(), stat.size);
  zip_source_close(packed.get());
  if (read != static_cast<zip_int64_t>(stat.size)) fail("its bytes cannot be read back");
  OutputFile file(path);
  file.append(bytes);
  file.commit();
}

}  // namespace heed
