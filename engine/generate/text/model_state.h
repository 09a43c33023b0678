#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "chat/prompt.h"
#include "file/model_file.h"
#include "generate/submission_length.h"
#include "generate/text/batch.h"
#include "generate/text/session.h"
#include "heed/error.h"
#include "heed/text.h"
#include "tokenizer/tokenizer.h"

namespace heed {

/// How often a device may be lost while a text is generated, or several together.
inline constexpr int kMostLosses = 3;

/// What a text model is made of: its file, on a device that may be lost and opened afresh.
struct TextModel::State {
  /// Throws Error as TextModel's constructor does.
  State(const Device& opened, const std::filesystem::path& path, std::int64_t wanted_context, CacheType wanted_cache,
        std::int64_t wanted_slots);

  Generation generate(const TextRequest& request);
  /// The sequences that go on together, with the weights of the session.
  TextBatch& live_batch() {
    TextSession& with_weights = live();
    if (batch == nullptr) {
      batch = std::make_unique<TextBatch>(device.gpu(), with_weights.weights(), with_weights.text(), slots);
    }
    return *batch;
  }
  void forget_session() {
    batch.reset();
    session.reset();
  }
  TextGrammars make_grammars() const;
  /// Throws Error where there is none, or none that can be used.
  const chat::ChatPrompts& prompts();
  /// Opens the device afresh after `lost` and puts the model on it. Throws DeviceLost with both reasons where that
  /// fails.
  void reopen(const DeviceLost& lost);
  /// The session; where the device was lost before, on a fresh one.
  TextSession& live() {
    if (session == nullptr) reopen(DeviceLost("the device was lost"));
    return *session;
  }
  /// Does work with the session, which is no use any more where that loses the device.
  auto with_session(const auto& work) {
    try {
      return work(live());
    } catch (const DeviceLost&) {
      forget_session();
      throw;
    }
  }

  const std::int64_t slots;
  bool has_queue = false;  // a TextQueue, of which there is one at a time
  // Of the last submission; until there was one, steps go one at a time.
  double seconds_a_step = kSubmissionSeconds;
  Device device;
  ModelFile file;
  std::unique_ptr<TextSession> session;  // none after a device was lost and could not be opened again
  std::unique_ptr<TextBatch> batch;      // of the session's weights
  const std::int64_t context;
  const std::int64_t vocabulary;
  const CacheType cache;  // never Auto
  std::shared_ptr<const Tokenizer> tokenizer;
  std::vector<std::int32_t> end_tokens;
  std::optional<TextGrammars> grammars;           // of its tokens
  std::optional<chat::ChatPrompts> chat_prompts;  // once they are asked for
};

}  // namespace heed
