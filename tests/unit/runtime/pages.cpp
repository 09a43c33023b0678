// Pages of keys and values: who has them, who shares them, and what is left.
#include "generate/text/pages.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

namespace heed {
namespace {

std::vector<std::int32_t> chunk(std::int32_t first) {
  std::vector<std::int32_t> tokens(PagePool::kPositions);
  for (std::int32_t& token : tokens) token = first++;
  return tokens;
}

}  // namespace

TEST_CASE("pages: what is set aside is there to take, and no more") {
  PagePool pool(3);
  CHECK(pool.available() == 3);
  REQUIRE(pool.set_aside(2));
  CHECK_FALSE(pool.set_aside(2));
  CHECK(pool.available() == 1);
  const std::int64_t a = pool.take(), b = pool.take();
  CHECK(a != b);
  CHECK(pool.available() == 1);
  pool.give_back(a);
  CHECK(pool.available() == 2);
  REQUIRE(pool.set_aside(2));
  pool.give_up(1);
  CHECK(pool.take() != b);
  CHECK(pool.available() == 1);
}

TEST_CASE("pages: there can be more later, and what those before hold stays known") {
  PagePool pool(1);
  REQUIRE(pool.set_aside(1));
  const std::int64_t first = pool.take();
  pool.publish(first, 0, chunk(0));
  CHECK_FALSE(pool.set_aside(1));
  pool.add(2);
  CHECK(pool.available() == 2);
  REQUIRE(pool.set_aside(2));
  CHECK(pool.find(0, chunk(0))->first == first);
  const std::int64_t second = pool.take();
  CHECK(second > first);
  CHECK(second < 3);
}

TEST_CASE("pages: equal beginnings share a page, and only those") {
  PagePool pool(4);
  REQUIRE(pool.set_aside(4));
  const std::int64_t first = pool.take();
  const PagePool::Content one = pool.publish(first, 0, chunk(0));
  const std::int64_t second = pool.take();
  pool.publish(second, one, chunk(5));
  CHECK_FALSE(pool.find(0, chunk(5)).has_value());  // the same tokens elsewhere
  CHECK_FALSE(pool.find(one, chunk(6)).has_value());
  const auto found = pool.find(0, chunk(0));
  REQUIRE(found.has_value());
  CHECK(found->first == first);
  CHECK(pool.find(found->second, chunk(5))->first == second);
  // Two users each: given back once they are still somebody's.
  pool.give_back(second);
  pool.give_back(first);
  CHECK(pool.available() == 2);
  pool.give_back(second);
  pool.give_back(first);
  CHECK(pool.available() == 4);
}

TEST_CASE("pages: what a page held is known until it is taken, the beginnings for longest") {
  PagePool pool(3);
  REQUIRE(pool.set_aside(3));
  const std::int64_t first = pool.take(), second = pool.take(), third = pool.take();
  const PagePool::Content one = pool.publish(first, 0, chunk(0));
  const PagePool::Content two = pool.publish(second, one, chunk(1));
  pool.publish(third, two, chunk(2));
  for (const std::int64_t page : {third, second, first}) pool.give_back(page);
  CHECK(pool.available() == 3);
  REQUIRE(pool.set_aside(3));
  CHECK(pool.take() == third);
  CHECK(pool.find(0, chunk(0))->first == first);
  CHECK(pool.find(one, chunk(1))->first == second);
  CHECK_FALSE(pool.find(two, chunk(2)).has_value());
}

TEST_CASE("pages: whoever comes and goes, no page is lost, and none is had by two that write") {
  constexpr std::int64_t kPages = 23;
  PagePool pool(kPages);
  struct User {
    std::vector<std::int64_t> pages;
    std::size_t own = 0;  // of these, the last ones
    std::int64_t set_aside = 0;
    PagePool::Content content = 0;
  };
  std::vector<User> users;
  std::mt19937 random(7);
  const auto below = [&](std::size_t count) { return static_cast<std::size_t>(random() % count); };
  for (int round = 0; round < 20000; ++round) {
    if (users.size() < 6 && below(3) == 0) {
      User user;
      user.set_aside = static_cast<std::int64_t>(1 + below(7));
      const std::int64_t before = pool.available();
      if (pool.set_aside(user.set_aside)) {
        CHECK(pool.available() == before - user.set_aside);
        users.push_back(user);
      } else {
        CHECK(before < user.set_aside);
      }
    } else if (!users.empty()) {
      const std::size_t which = below(users.size());
      User& user = users[which];
      if (user.set_aside == 0 || below(8) == 0) {
        std::for_each(user.pages.rbegin(), user.pages.rend(), [&](std::int64_t page) { pool.give_back(page); });
        pool.give_up(user.set_aside);
        users.erase(users.begin() + static_cast<std::ptrdiff_t>(which));
      } else {
        --user.set_aside;
        const std::vector<std::int32_t> tokens = chunk(static_cast<std::int32_t>(below(2)));
        const auto found = pool.find(user.content, tokens);
        const std::int64_t page = found ? found->first : pool.take();
        for (const User& other : users) {
          if (!found) CHECK(std::ranges::count(other.pages, page) == 0);
        }
        user.pages.push_back(page);
        user.content = found ? found->second : pool.publish(page, user.content, tokens);
      }
    }
    std::set<std::int64_t> used;
    std::int64_t set_aside = 0;
    for (const User& user : users) {
      used.insert(user.pages.begin(), user.pages.end());
      set_aside += user.set_aside;
    }
    REQUIRE(pool.available() == kPages - static_cast<std::int64_t>(used.size()) - set_aside);
  }
}

}  // namespace heed
