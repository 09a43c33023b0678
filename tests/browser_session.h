#pragma once

#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/temporary_folder.h"

namespace heed::testing {

/// A Chromium without a screen, with one page that is asked and used as a person would: real requests to a server of
/// this machine, its headers, keys, time. By the DevTools protocol, over pipes. All throws std::runtime_error when the
/// browser fails, or does not answer within two minutes.
class BrowserSession {
 public:
  explicit BrowserSession(const std::string& browser);
  ~BrowserSession();
  BrowserSession(const BrowserSession&) = delete;
  BrowserSession& operator=(const BrowserSession&) = delete;

  /// Both return when the page is loaded.
  void open(const std::string& url);
  void reload();
  /// In CSS pixels; narrow pages are those of a telephone.
  void resize(int width, int height);
  /// What is run in each page before its own scripts.
  void before_pages(const std::string& script);
  /// The value of an expression in the page, or what it promises. Throws what it throws.
  nlohmann::json evaluate(const std::string& expression);
  /// Until an expression is true in the page.
  void wait_for(const std::string& expression);
  /// Text into the element that has the focus, and a key: "Enter", "Escape", "Tab", "ArrowRight".
  void type(const std::string& text);
  void press(const std::string& key, bool ctrl = false);

  /// What the browser complained of: errors, refused requests, uncaught exceptions.
  const std::vector<std::string>& complaints() const { return complaints_; }

 private:
  nlohmann::json send(const std::string& method, const nlohmann::json& parameters = nlohmann::json::object());
  nlohmann::json receive();

  TemporaryFolder folder_;
  pid_t process_ = -1;
  int to_ = -1, from_ = -1;
  int last_id_ = 0;
  std::string received_, session_;
  std::vector<std::string> complaints_;
};

}  // namespace heed::testing
