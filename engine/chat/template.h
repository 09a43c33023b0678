#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "chat/syntax.h"

namespace heed::chat {

/// A chat template, as models bring it: in the subset of Jinja that the published ones use, with what transformers adds
/// (raise_exception, strftime_now, {% generation %}, tojson as json.dumps writes it; lists and dicts that cannot be
/// changed). It gives the bytes that transformers gives or throws Error. Immutable; any thread may call it.
class Template {
 public:
  /// Throws Error for what is no UTF-8, longer than 1 MiB, not well formed or not supported, naming the line.
  explicit Template(std::string_view source);

  /// What it prints with these variables, an object. `now` is what strftime_now formats. Throws Refused where it does
  /// not take them (rendering.h), and Error, with the line, for all else: templates are untrusted, and work.h bounds
  /// what they may cost.
  std::string render(const nlohmann::ordered_json& variables,
                     std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) const;
  /// The same, where the texts of a second object of variables are given (text.h): the result says what came of them.
  /// Not given is what begins a turn: a message's role that is a usual one, or that the template itself has in quotes.
  Text render(const nlohmann::ordered_json& own, const nlohmann::ordered_json& given,
              std::chrono::system_clock::time_point now = std::chrono::system_clock::now()) const;
  const std::string& source() const { return *source_; }
  /// Whether what it prints can depend on a variable: its name is read somewhere.
  bool reads(std::string_view variable) const;

 private:
  Value messages_from_json(const nlohmann::ordered_json& messages, Work& work) const;

  std::shared_ptr<const std::string> source_;
  std::shared_ptr<const Body> body_;
};

}  // namespace heed::chat
