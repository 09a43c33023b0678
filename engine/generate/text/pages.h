#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "generate/text/prompt_runs.h"

namespace heed {

/// Places for the keys and values of many sequences: pages of kPositions positions each out of one pool. A page that
/// holds a whole block of a prompt is known by what it holds: sequences that begin alike share it, also when who
/// computed it is gone, until the page is needed for something else. Knows numbers alone, not the device.
class PagePool {
 public:
  /// What a page holds, and all the pages before it in the sequence: equal numbers, equal keys. 0: before the first.
  using Content = std::uint64_t;
  /// A prompt's block, since a block's keys are the same bits whoever computed it.
  static constexpr std::int64_t kPositions = kPromptBlock;

  explicit PagePool(std::int64_t pages);

  /// So many pages more, which hold nothing; numbers go on.
  void add(std::int64_t pages);

  /// Sets `count` pages aside; false where so many are not left. Each of take(), and find() with a result, uses up one
  /// of those.
  bool set_aside(std::int64_t count);
  /// Pages that were set aside and are not needed.
  void give_up(std::int64_t count) { set_aside_ -= count; }

  /// A page for one's own use; what it held is forgotten.
  std::int64_t take();
  /// The page with these tokens behind `before`, for reading.
  std::optional<std::pair<std::int64_t, Content>> find(Content before, std::span<const std::int32_t> tokens);
  /// Says what a page that was taken holds from now on. No sequence writes to it any more.
  Content publish(std::int64_t page, Content before, std::span<const std::int32_t> tokens);
  /// Every page that was taken or found, once. Pages of a sequence are given back from the last on, so that beginnings,
  /// which more sequences share, are kept longest.
  void give_back(std::int64_t page);

  /// Pages that are neither in use nor set aside.
  std::int64_t available() const { return static_cast<std::int64_t>(free_.size()) - set_aside_; }

 private:
  using Key = std::pair<Content, std::vector<std::int32_t>>;
  struct Known {
    std::int64_t page = 0;
    Content content = 0;
  };
  struct Page {
    std::int64_t users = 0;
    std::list<std::int64_t>::iterator free;  // where users is 0
    std::map<Key, Known>::iterator known;    // known_.end(): nobody else may read it
  };
  void use(std::int64_t page);

  std::vector<Page> pages_;
  std::list<std::int64_t> free_;  // the one that was given back first is taken first
  std::map<Key, Known> known_;
  std::int64_t set_aside_ = 0;
  Content last_content_ = 0;
};

}  // namespace heed
