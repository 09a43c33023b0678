#pragma once

#include <cstdint>
#include <span>

namespace heed {

/// Says which tokens may come next in one text, such as those that a grammar allows. It is asked between the steps of
/// that text: the text makes one token a submission, so that the next question knows of it. Called by the thread that
/// generates, never twice for a token: also where the device was lost and the text goes on, a constraint is not told
/// again what it was told before. What it throws ends this text, with an Error of the same message. One for each text;
/// a finished text's cannot serve another unless it resets itself.
struct TokenConstraint {
  TokenConstraint() = default;
  TokenConstraint(const TokenConstraint&) = delete;
  TokenConstraint& operator=(const TokenConstraint&) = delete;
  virtual ~TokenConstraint();

  /// Bit i % 32 of word i / 32 shall say whether token i may come next. The mask has ceil(vocabulary / 32) words, all 0
  /// when it is called; bits behind the vocabulary do not matter. End tokens are among the tokens: where none is
  /// allowed the text cannot end there, and where nothing is allowed generation fails. May be asked again for the same
  /// place.
  virtual void allowed(std::span<std::uint32_t> mask) = 0;
  /// Token `token` became part of the text, once for each, in order. An end token is no part of it.
  virtual void accept(std::int32_t token) = 0;
};

}  // namespace heed
