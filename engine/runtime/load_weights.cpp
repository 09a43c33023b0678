#include "runtime/load_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "file/model_file.h"
#include "graph/integer.h"
#include "heed/error.h"
#include "runtime/staging.h"
#include "runtime/threads.h"

namespace heed {
namespace {

constexpr std::size_t kMostThreads = 8;
constexpr std::uint64_t kReadBytes = std::uint64_t{256} << 10;  // at a time: stays in a core's cache until packed
constexpr std::uint64_t kStagedBytes = std::uint64_t{8} << 20;  // packed at a time, where not in place
constexpr std::size_t kBuffersAThread = 2;                      // one is packed while the other is copied

/// Rows of a tensor, and whether they are all of it and its checksum is compared.
struct RowRange {
  std::string tensor;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  std::optional<std::uint64_t> checksum;
};

void compare(const WeightBytes& source, const std::string& tensor, std::uint64_t checksum, std::uint64_t expected) {
  if (checksum == expected) return;
  throw Error(
      fmt::format("'{}': tensor '{}' is damaged: checksum {:016x}, expected {:016x}; fetch or convert the file again",
                  source.origin(), tensor, checksum, expected));
}

/// Reads rows one after the other, a few at a time, and compares checksums on the way.
class RowReader {
 public:
  RowReader(const WeightBytes& source, std::span<const RowRange> ranges, std::uint64_t row_bytes)
      : source_(source), ranges_(ranges), row_bytes_(row_bytes) {
    begin_range();
  }

  /// The next rows, at most so many and at least one: valid until the next call.
  std::span<const std::byte> next(std::int64_t most, std::int64_t& count) {
    while (done_ == ranges_[range_].count) {
      ++range_;
      begin_range();
      assert(range_ < ranges_.size());  // parts are as long as the weight
    }
    const RowRange& range = ranges_[range_];
    count = std::min(most, range.count - done_);
    buffer_.resize(std::max(buffer_.size(), static_cast<std::size_t>(count) * row_bytes_));
    const std::span<std::byte> rows = std::span(buffer_).first(static_cast<std::size_t>(count) * row_bytes_);
    source_.read(range.tensor, static_cast<std::uint64_t>(range.begin + done_) * row_bytes_, rows);
    done_ += count;
    if (checksum_) checksum_->update(rows);
    if (checksum_ && done_ == range.count) compare(source_, range.tensor, checksum_->digest(), *range.checksum);
    return rows;
  }

 private:
  void begin_range() {
    done_ = 0;
    checksum_.reset();
    if (range_ < ranges_.size() && ranges_[range_].checksum) checksum_.emplace();
  }

  const WeightBytes& source_;
  std::span<const RowRange> ranges_;
  std::uint64_t row_bytes_;
  std::size_t range_ = 0;
  std::int64_t done_ = 0;  // rows of the range
  std::optional<Checksum> checksum_;
  std::vector<std::byte> buffer_;
};

/// Compares the checksum of a tensor whose rows several pieces of work read.
void check_tensor(const WeightBytes& source, const std::string& tensor, std::uint64_t expected) {
  const TensorType type = source.type(tensor);
  const std::uint64_t size = byte_size(type.dtype, type.shape);
  std::vector<std::byte> buffer(std::min(kReadBytes, size));
  Checksum checksum;
  for (std::uint64_t done = 0; done < size; done += buffer.size()) {
    const std::span<std::byte> part(buffer.data(), std::min<std::uint64_t>(buffer.size(), size - done));
    source.read(tensor, done, part);
    checksum.update(part);
  }
  compare(source, tensor, checksum.digest(), expected);
}

/// What one call of load_weights() works with.
class Loader {
 public:
  Loader(Gpu& gpu, const WeightBytes& source, std::span<const PlacedWeight> weights,
         const std::set<std::string>& checked, std::size_t threads)
      : gpu_(gpu), source_(source), checked_(checked), threads_(threads) {
    std::uint64_t bytes = 0;
    for (const PlacedWeight& placed : weights) bytes += placed.weight->bytes;
    // A tensor that one thread reads is touched once; a large one has to be shared, lest the others wait for it.
    most_bytes_ = std::max(kStagedBytes, bytes / (4 * threads));
    for (const PlacedWeight& placed : weights) {
      staged_ = staged_ || placed.buffer->mapped().empty();
      add(placed);
    }
  }

  std::set<std::string> run() {
    const std::size_t threads = std::min(threads_, work_.size());
    if (staged_) staging_.emplace(gpu_, kBuffersAThread * threads, kStagedBytes);
    std::atomic<std::size_t> failed = work_.size();  // what comes after it is of no use any more
    for_each_on_threads(
        work_.size(),
        [&](std::size_t i) {
          if (failed < i) return;
          try {
            work_[i]();
          } catch (...) {
            for (std::size_t first = failed; i < first && !failed.compare_exchange_weak(first, i);) continue;
            throw;
          }
        },
        threads);
    if (staging_) staging_->finish();
    return std::move(right_);
  }

 private:
  /// Some rows of a weight that one thread reads from front to back.
  struct Share {
    PlacedWeight placed;
    std::int64_t first = 0;
    std::int64_t count = 0;
    std::vector<RowRange> ranges;
    std::vector<RowRange> checks;  // tensors that begin here and do not end here
  };

  void add(PlacedWeight placed);
  void load(const Share& share);
  void load_pieces(const Share& share, RowReader& reader, std::int64_t rows_at_once);
  void pack(RowReader& reader, const DeviceWeight& weight, std::int64_t first, std::int64_t count,
            std::span<std::byte> target) const;

  Gpu& gpu_;
  const WeightBytes& source_;
  const std::set<std::string>& checked_;
  const std::size_t threads_;
  std::uint64_t most_bytes_;  // of a share
  bool staged_ = false;
  std::optional<Staging> staging_;
  std::mutex large_piece_;  // only one thread holds memory for one
  std::set<std::string> right_;
  std::deque<DeviceWeight> weights_;
  std::vector<std::function<void()>> work_;
};

std::uint64_t file_row_bytes(const DeviceWeight& weight) {
  const DTypeInfo& info = dtype_info(weight.dtype);
  return static_cast<std::uint64_t>(weight.columns) / info.block_elements * info.block_bytes;
}

/// Rows of about so many bytes, in whole bands.
std::int64_t rows_of_bytes(const DeviceWeight& weight, std::uint64_t bytes, std::uint64_t row_bytes) {
  const auto rows =
      static_cast<std::int64_t>(std::min<std::uint64_t>(bytes / std::max<std::uint64_t>(row_bytes, 1), 1u << 30));
  return std::max(rows / weight.band, std::int64_t{1}) * weight.band;
}

std::uint64_t device_row_bytes(const DeviceWeight& weight) {
  return weight.bytes / static_cast<std::uint64_t>(std::max<std::int64_t>(weight.row_count, 1));
}

/// A dense weight as rows of a block: what it calls rows may be long, or a single one.
DeviceWeight in_short_rows(DeviceWeight weight) {
  const std::int64_t columns = dtype_info(weight.dtype).block_elements;
  if (weight.layout != WeightLayout::Dense || weight.columns == 0) return weight;
  weight.row_begin *= weight.columns / columns;
  weight.row_count *= weight.columns / columns;
  weight.columns = columns;
  return weight;
}

void Loader::add(PlacedWeight placed) {
  const DeviceWeight& weight = weights_.emplace_back(in_short_rows(*placed.weight));
  placed.weight = &weight;
  const std::int64_t rows_a_share =
      weight.bytes <= most_bytes_ ? weight.row_count : rows_of_bytes(weight, most_bytes_, device_row_bytes(weight));
  std::vector<Share> shares;
  for (std::int64_t first = 0; first < weight.row_count; first += rows_a_share) {
    shares.push_back({placed, first, std::min(rows_a_share, weight.row_count - first), {}, {}});
  }
  std::int64_t part_begin = 0;  // the part's first row among all stacked rows
  for (const std::string& part : weight.parts) {
    const TensorType type = source_.type(part);
    const std::int64_t part_rows = weight.columns == 0 ? weight.row_count : element_count(type.shape) / weight.columns;
    std::uint64_t expected = 0;
    bool check = source_.checksum(part, expected) && !checked_.contains(part) && !right_.contains(part);
    for (Share& share : shares) {
      const std::int64_t share_begin = weight.row_begin + share.first;
      const std::int64_t begin = std::max(part_begin, share_begin);
      const std::int64_t end = std::min(part_begin + part_rows, share_begin + share.count);
      if (begin >= end) continue;
      RowRange range{part, begin - part_begin, end - begin, std::nullopt};
      if (check) {
        const bool whole = range.count == part_rows;
        if (whole) range.checksum = expected;
        if (!whole) share.checks.push_back({part, 0, part_rows, expected});
        right_.insert(part);
        check = false;
      }
      share.ranges.push_back(std::move(range));
    }
    part_begin += part_rows;
  }
  for (Share& share : shares) {
    std::vector<RowRange> checks = std::move(share.checks);
    work_.push_back([this, share = std::move(share)] { load(share); });
    for (RowRange& check : checks) {
      work_.push_back([this, check = std::move(check)] { check_tensor(source_, check.tensor, *check.checksum); });
    }
  }
}

void Loader::load(const Share& share) {
  const DeviceWeight& weight = *share.placed.weight;
  if (weight.bytes == 0) return;  // a matrix without columns
  RowReader reader(source_, share.ranges, file_row_bytes(weight));
  const vk::Buffer& buffer = *share.placed.buffer;
  if (!buffer.mapped().empty() && buffer.host_cached()) {
    return pack(reader, weight, share.first, share.count, buffer.mapped().subspan(share.placed.offset, weight.bytes));
  }
  const std::int64_t rows_at_once = rows_of_bytes(weight, kStagedBytes / 2, device_row_bytes(weight));
  load_pieces(share, reader, rows_at_once);
}

/// Packs rows in memory of their own first: what the host sees of the device is nothing, or write-combined, where words
/// that are written here and there cost a transfer each.
void Loader::load_pieces(const Share& share, RowReader& reader, std::int64_t rows_at_once) {
  const vk::Buffer& buffer = *share.placed.buffer;
  const std::uint64_t offset = share.placed.offset;
  std::vector<std::byte> packed;
  for (std::int64_t done = 0; done < share.count; done += rows_at_once) {
    const std::int64_t count = std::min(rows_at_once, share.count - done);
    const auto& [piece, runs] = piece_of(*share.placed.weight, share.first + done, count);
    const bool fits = piece.bytes <= kStagedBytes;
    // What pads the last band, or word, is written too.
    const bool padded = count % piece.band != 0 || piece.layout != WeightLayout::Matrix;
    const std::unique_lock lock = fits ? std::unique_lock<std::mutex>() : std::unique_lock(large_piece_);
    if (buffer.mapped().empty() && fits) {
      Staging::Borrowed borrowed = staging_->borrow();
      if (borrowed.host_cached()) {
        if (padded) std::ranges::fill(borrowed.bytes().first(piece.bytes), std::byte{0});
        pack(reader, piece, 0, count, borrowed.bytes().first(piece.bytes));
      } else {
        packed.resize(piece.bytes);
        if (padded) std::ranges::fill(packed, std::byte{0});
        pack(reader, piece, 0, count, packed);
        std::ranges::copy(packed, borrowed.bytes().begin());
      }
      staging_->copy(std::move(borrowed), buffer, offset, runs);
      continue;
    }
    packed.resize(piece.bytes);
    if (padded) std::ranges::fill(packed, std::byte{0});
    pack(reader, piece, 0, count, packed);
    for (const ByteRun& run : runs) {
      const std::span<const std::byte> from = std::span(packed).subspan(run.from, run.bytes);
      if (!buffer.mapped().empty()) {
        std::ranges::copy(from, buffer.mapped().begin() + static_cast<std::ptrdiff_t>(offset + run.to));
        continue;
      }
      for (std::uint64_t at = 0; at < run.bytes; at += kStagedBytes) {
        const std::uint64_t bytes = std::min(kStagedBytes, run.bytes - at);
        Staging::Borrowed borrowed = staging_->borrow();
        std::ranges::copy(from.subspan(at, bytes), borrowed.bytes().begin());
        const ByteRun part{0, run.to + at, bytes};
        staging_->copy(std::move(borrowed), buffer, offset, {&part, 1});
      }
    }
    if (!fits) packed = {};
  }
}

/// Packs the next rows that the reader brings as rows [first, first + count) of a weight.
void Loader::pack(RowReader& reader, const DeviceWeight& weight, std::int64_t first, std::int64_t count,
                  std::span<std::byte> target) const {
  const bool whole = weight.layout == WeightLayout::Ordered;
  const std::int64_t rows_at_once = whole ? count : rows_of_bytes(weight, kReadBytes, file_row_bytes(weight));
  for (std::int64_t done = 0; done < count;) {
    std::int64_t rows = 0;
    const std::span<const std::byte> from = reader.next(std::min(rows_at_once, count - done), rows);
    pack_rows(weight, first + done, rows, from, target);
    done += rows;
  }
}

}  // namespace

std::size_t loading_threads() { return std::min(kMostThreads, machine_threads()); }

std::set<std::string> load_weights(Gpu& gpu, const WeightBytes& source, std::span<const PlacedWeight> weights,
                                   const std::set<std::string>& checked, std::size_t threads) {
  return Loader(gpu, source, weights, checked, threads).run();
}

}  // namespace heed
