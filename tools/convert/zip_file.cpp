#include "tools/convert/zip_file.h"

#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "heed/error.h"
#include "tools/convert/text.h"

namespace heed::convert {

namespace {

// What libzip reads from: a SourceFile, by the protocol of zip_source_function(3).
struct ZipSource {
  std::shared_ptr<const SourceFile> file;
  std::uint64_t offset = 0;
  zip_error_t error;
};

zip_int64_t read_source(ZipSource& source, void* data, zip_uint64_t length) {
  const std::uint64_t size = std::min<std::uint64_t>(length, source.file->size() - source.offset);
  try {
    source.file->read(source.offset, std::span(static_cast<std::byte*>(data), size));
  } catch (const Error&) {  // must not pass through C
    zip_error_set(&source.error, ZIP_ER_READ, 0);
    return -1;
  }
  source.offset += size;
  return static_cast<zip_int64_t>(size);
}

zip_int64_t serve_source(void* state, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  ZipSource& source = *static_cast<ZipSource*>(state);
  switch (command) {
    case ZIP_SOURCE_OPEN:
      source.offset = 0;
      return 0;
    case ZIP_SOURCE_READ:
      return read_source(source, data, length);
    case ZIP_SOURCE_CLOSE:
      return 0;
    case ZIP_SOURCE_STAT: {
      auto* stat = static_cast<zip_stat_t*>(data);
      zip_stat_init(stat);
      stat->size = source.file->size();
      stat->valid = ZIP_STAT_SIZE;
      return sizeof(zip_stat_t);
    }
    case ZIP_SOURCE_ERROR:
      return zip_error_to_data(&source.error, data, length);
    case ZIP_SOURCE_SEEK: {
      const zip_int64_t offset =
          zip_source_seek_compute_offset(source.offset, source.file->size(), data, length, &source.error);
      if (offset < 0) return -1;
      source.offset = static_cast<std::uint64_t>(offset);
      return 0;
    }
    case ZIP_SOURCE_TELL:
      return static_cast<zip_int64_t>(source.offset);
    case ZIP_SOURCE_SUPPORTS:
      return zip_source_make_command_bitmap(ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT,
                                            ZIP_SOURCE_ERROR, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_FREE, -1);
    case ZIP_SOURCE_FREE:
      delete &source;
      return 0;
    default:
      zip_error_set(&source.error, ZIP_ER_OPNOTSUPP, 0);
      return -1;
  }
}

}  // namespace

struct ZipFile::Archive {
  zip_t* zip = nullptr;
  std::mutex mutex;  // libzip's archive is for one thread
  ~Archive() {
    if (zip != nullptr) zip_discard(zip);
  }
};

ZipFile::ZipFile(std::shared_ptr<const SourceFile> file)
    : file_(std::move(file)), archive_(std::make_unique<Archive>()) {
  zip_error_t error;
  zip_error_init(&error);
  auto* state = new ZipSource{file_, 0, {}};
  zip_error_init(&state->error);
  zip_source_t* source = zip_source_function_create(serve_source, state, &error);
  if (source == nullptr) {
    delete state;
  } else {
    archive_->zip = zip_open_from_source(source, ZIP_RDONLY, &error);
    if (archive_->zip == nullptr) zip_source_free(source);
  }
  if (archive_->zip == nullptr) {
    const std::string message = zip_error_strerror(&error);
    zip_error_fini(&error);
    throw Error(fmt::format("{}: cannot be read as a zip archive: {}; it is truncated or damaged", name(), message));
  }
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive_->zip, 0); ++i) {
    const char* entry = zip_get_name(archive_->zip, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
    entries_.emplace_back(entry == nullptr ? "" : entry);
  }
}

ZipFile::~ZipFile() = default;

std::optional<std::uint64_t> ZipFile::size(const std::string& entry) const {
  const std::scoped_lock lock(archive_->mutex);
  zip_stat_t stat;
  if (zip_stat(archive_->zip, entry.c_str(), ZIP_FL_ENC_RAW, &stat) != 0) return {};
  if ((stat.valid & ZIP_STAT_SIZE) == 0) return {};
  return stat.size;
}

std::vector<std::byte> ZipFile::read(const std::string& entry, std::uint64_t offset, std::uint64_t size) const {
  const std::scoped_lock lock(archive_->mutex);
  const auto fail = [&](const char* why) {
    throw Error(fmt::format("{}: entry {} cannot be read: {}; the file is truncated or damaged", name(),
                            in_quotes(entry), why));
  };
  const std::unique_ptr<zip_file_t, int (*)(zip_file_t*)> opened(
      zip_fopen(archive_->zip, entry.c_str(), ZIP_FL_ENC_RAW), zip_fclose);
  if (opened == nullptr) fail(zip_strerror(archive_->zip));
  // What is stored as it is, as torch.save does, can be entered anywhere; of other entries the bytes before are passed.
  constexpr std::uint64_t kPieceBytes = 1 << 20;
  std::vector<std::byte> bytes;
  std::uint64_t passed = offset;
  if (offset == 0 || zip_fseek(opened.get(), static_cast<zip_int64_t>(offset), SEEK_SET) == 0) passed = 0;
  while (passed > 0) {
    bytes.resize(std::min(passed, kPieceBytes));
    const zip_int64_t got = zip_fread(opened.get(), bytes.data(), bytes.size());
    if (got <= 0) fail(zip_file_strerror(opened.get()));
    passed -= static_cast<std::uint64_t>(got);
  }
  // Memory follows what is there, not what the archive claims.
  std::uint64_t filled = 0;
  while (filled < size) {
    bytes.resize(std::min(size, std::max(filled * 2, filled + kPieceBytes)));
    const zip_int64_t got = zip_fread(opened.get(), bytes.data() + filled, bytes.size() - filled);
    if (got < 0) fail(zip_file_strerror(opened.get()));
    if (got == 0) fail("it ends before its size");
    filled += static_cast<std::uint64_t>(got);
  }
  bytes.resize(size);
  // libzip compares the checksum of an entry that was read from front to back where it ends.
  std::byte behind;
  if (offset == 0 && zip_fread(opened.get(), &behind, 1) < 0) fail(zip_file_strerror(opened.get()));
  return bytes;
}

}  // namespace heed::convert
