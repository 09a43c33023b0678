#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "heed/text.h"

namespace heed {

/// A text of a queue, and who is told of its end: one of the two, once. What they throw, and what
/// TextRequest::on_text throws, comes out of TextQueue::advance(), and the queue is empty then.
struct QueuedText {
  TextRequest request;
  std::function<void(Generation&&)> on_end;
  std::function<void(const Error&)> on_error;  // why it cannot be made; others go on
};

/// Texts of a model that come at any time: as many go on together as the model has slots, the others wait in order.
/// Texts are the same bytes whatever goes on beside them. GenerationOptions::cancelled is asked between submissions, of
/// texts that wait too. For the thread that uses the model, which must live as long; while there is a queue the model
/// generates nothing else.
class TextQueue {
 public:
  /// Throws Error where the model has a queue already, or where it cannot have several texts at a time.
  explicit TextQueue(TextModel& model);
  /// Forgets the texts that there are.
  ~TextQueue();
  TextQueue(const TextQueue&) = delete;
  TextQueue& operator=(const TextQueue&) = delete;

  /// Puts a text behind those that wait. Throws Error where TextModel::generate() would before it generates anything.
  void add(QueuedText text);
  /// One submission: a piece of a prompt, or some steps of all texts whose prompts are read. Where the device is lost
  /// meanwhile they go on after it was opened afresh; throws DeviceLost when that does not help: then every text has
  /// been told, and the queue is empty.
  void advance();

  bool empty() const { return going() == 0 && waiting() == 0; }
  /// Texts that have a slot, and those that wait for one.
  std::size_t going() const;
  std::size_t waiting() const;
  /// Prompt tokens of all texts so far whose keys were there already, since another text had begun alike.
  std::int64_t shared_tokens() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed
