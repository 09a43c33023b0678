#include "generate/text/pages.h"

#include <cassert>

namespace heed {

PagePool::PagePool(std::int64_t pages) { add(pages); }

void PagePool::add(std::int64_t pages) {
  for (std::int64_t i = 0; i < pages; ++i) {
    Page& page = pages_.emplace_back();
    page.free = free_.insert(free_.end(), static_cast<std::int64_t>(pages_.size()) - 1);
    page.known = known_.end();
  }
}

bool PagePool::set_aside(std::int64_t count) {
  if (count > available()) return false;
  set_aside_ += count;
  return true;
}

void PagePool::use(std::int64_t number) {
  assert(set_aside_ > 0);
  --set_aside_;
  Page& page = pages_[static_cast<std::size_t>(number)];
  if (page.users++ == 0) free_.erase(page.free);
}

std::int64_t PagePool::take() {
  assert(!free_.empty());
  const std::int64_t number = free_.front();
  use(number);
  Page& page = pages_[static_cast<std::size_t>(number)];
  if (page.known != known_.end()) known_.erase(page.known);
  page.known = known_.end();
  return number;
}

std::optional<std::pair<std::int64_t, PagePool::Content>> PagePool::find(Content before,
                                                                         std::span<const std::int32_t> tokens) {
  const auto known = known_.find({before, {tokens.begin(), tokens.end()}});
  if (known == known_.end()) return std::nullopt;
  use(known->second.page);
  return std::pair(known->second.page, known->second.content);
}

PagePool::Content PagePool::publish(std::int64_t page, Content before, std::span<const std::int32_t> tokens) {
  const auto [known, is_new] =
      known_.try_emplace({before, {tokens.begin(), tokens.end()}}, Known{page, last_content_ + 1});
  if (is_new) {
    ++last_content_;
    pages_[static_cast<std::size_t>(page)].known = known;
  }
  return known->second.content;
}

void PagePool::give_back(std::int64_t number) {
  Page& page = pages_[static_cast<std::size_t>(number)];
  assert(page.users > 0);
  if (--page.users == 0) page.free = free_.insert(free_.end(), number);
}

}  // namespace heed
