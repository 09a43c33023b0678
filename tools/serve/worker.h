#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "heed/picture.h"
#include "heed/text_queue.h"
#include "heed/translate.h"
#include "tools/device_arguments.h"
#include "tools/serve/http_server.h"
#include "tools/serve/languages.h"

namespace heed::tools {

struct TextOptions;

struct WorkerOptions {
  DeviceArguments device;
  CacheType cache = CacheType::Auto;
  std::int64_t context = 0;
  std::int64_t slots = 4;    // texts at a time
  std::size_t waiting = 64;  // texts, or pieces of other work, that may wait; more are refused
  /// How long to wait before a lost device is opened afresh; each time twice as long.
  std::chrono::milliseconds recovery_delay{1000};
};

/// A model that is served, on a thread of its own, which alone uses it and its device.
class Worker {
 public:
  /// What it loads; there is a queue where the model makes texts.
  class Model {
   public:
    using Any = std::variant<TextModel, TranslationModel, PictureModel, TextPictureModel>;
    Model(Device opened, Any made) : device(std::move(opened)), any(std::move(made)) {}
    Device device;
    Any any;
    std::unique_ptr<TextQueue> queue{};
    /// Tokens of a text model that hold one of these texts; those of the last ones are kept.
    const std::vector<std::int32_t>& tokens_with(const std::vector<std::string>& texts);

   private:
    std::pair<std::vector<std::string>, std::vector<std::int32_t>> tokens_with_{};
  };
  enum class Kind { Text, Translation, Draw, Transform, TextToImage };
  enum class State { Ready, Recovering, Lost };

  /// The task of a model, "" where its file says none. Throws Error for a file that is no model, or one that no worker
  /// serves; needs no device.
  static std::string served_task(const std::string& file);
  /// Loads the model and waits for it. `lost` is called, from its thread, when the device is lost and does not come
  /// back. Throws Error where it cannot be loaded.
  Worker(std::string name, std::string file, const WorkerOptions& options, std::function<void()> lost);
  /// As give_up(), and waits for the thread.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  const std::string& name() const { return name_; }
  Kind kind() const { return kind_; }
  State state() const { return state_; }
  bool has_chat() const { return has_chat_; }
  std::int64_t context() const { return context_; }
  std::int64_t vocabulary() const { return vocabulary_; }
  std::int64_t slots() const { return options_.slots; }
  /// Of texts: nodes of attention.
  std::size_t layers() const { return layers_; }
  /// A constraint of a text model's, made on this thread. One grammar of a model is looked at at a time, so that those
  /// of strangers leave processors free. Throws Error for what is wrong with it; HttpError 499 where the client has
  /// gone, 504 where it waited for `time`.
  std::shared_ptr<TokenConstraint> constrain(const TextOptions& options, std::chrono::seconds time);
  const TextGrammars& grammars() const { return *grammars_; }
  /// Of translations.
  const ModelLanguages& languages() const { return languages_; }
  /// Of pictures that are drawn: width and height.
  std::pair<std::int64_t, std::int64_t> drawn_size() const { return drawn_size_; }

  /// Texts, or pieces of work, that are going on or wait.
  std::size_t outstanding() const { return outstanding_; }

  /// Takes up `count` of the places that there are for work; gives them back when it goes.
  class Places {
   public:
    Places(Worker& worker, std::size_t count) : worker_(&worker), count_(count) {}
    Places(Places&& other) noexcept : worker_(std::exchange(other.worker_, nullptr)), count_(other.count_) {}
    Places& operator=(Places&&) = delete;
    ~Places() {
      if (worker_ != nullptr) worker_->outstanding_ -= count_;
    }

   private:
    Worker* worker_;
    std::size_t count_;
  };
  /// Throws HttpError 429 where too much waits already, and 503 where the model is not there now.
  Places take_places(std::size_t count);

  /// Work for the model's thread, and what is done where it cannot be done there. Neither may throw but DeviceLost.
  struct Job {
    std::function<void(Model&)> work;
    std::function<void(const HttpError&)> fail;
  };
  void post(Job job);

  /// Has work done on the model's thread and waits for its result. `work` gets a function that tells when it is not
  /// wanted any more. Throws what the work throws; HttpError 429 and 503 as take_places(), 504 after `time`, and 499
  /// where the client has gone.
  template <typename R>
  R call(std::chrono::seconds time, std::function<R(Model&, const std::function<bool()>& cancelled)> work);

  /// A message with the model's name in place of its file, which is nobody's business.
  std::string shown(std::string message) const;

  /// Ends what is going on, with status 503, and takes nothing more.
  void give_up();

  /// The line for a user about what its file does not say and was found out by a trial; empty mostly.
  const std::string& note() const { return note_; }

 private:
  void run(const std::function<void(std::exception_ptr)>& loaded);
  Model load();
  /// Finds out what others may ask of this, once: it does not change when the model is loaded again.
  void describe(const Model& model);
  void serve(Model& model);
  void fail_all(const HttpError& error);
  /// Waits; true when the worker is to end.
  bool stopped_within(std::chrono::milliseconds time);
  void await(std::unique_lock<std::mutex>& lock, std::condition_variable& done, const bool& is_done,
             std::chrono::seconds time, std::atomic<bool>& cancelled);

  const std::string name_, file_;
  const WorkerOptions options_;
  const std::function<void()> lost_;
  Kind kind_ = Kind::Text;
  bool has_chat_ = false;
  std::int64_t context_ = 0, vocabulary_ = 0;
  std::size_t layers_ = 0;
  std::optional<TextGrammars> grammars_;
  std::timed_mutex grammar_mutex_;  // while a grammar is looked at
  ModelLanguages languages_;
  std::pair<std::int64_t, std::int64_t> drawn_size_;
  std::string note_;

  std::atomic<State> state_ = State::Ready;
  std::atomic<std::size_t> outstanding_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  bool stop_ = false;
  std::atomic<bool> given_up_ = false;
  int losses_ = 0;
  std::thread thread_;
};

template <typename R>
R Worker::call(std::chrono::seconds time, std::function<R(Model&, const std::function<bool()>&)> work) {
  struct Call {
    std::mutex mutex;
    std::condition_variable done;
    bool is_done = false;
    std::optional<R> result;
    std::exception_ptr error;
    std::atomic<bool> cancelled = false;
    std::optional<Places> places;

    void end(std::optional<R> value, std::exception_ptr wrong) {
      const std::lock_guard lock(mutex);
      if (is_done) return;
      places.reset();
      result = std::move(value);
      error = std::move(wrong);
      is_done = true;
      done.notify_all();
    }
  };
  const auto call = std::make_shared<Call>();
  call->places.emplace(take_places(1));
  post({.work =
            [this, call, work = std::move(work)](Model& model) {
              if (call->cancelled) return;
              try {
                call->end(work(model, [call] { return call->cancelled.load(); }), nullptr);
              } catch (const DeviceLost&) {
                call->end({}, std::current_exception());
                throw;
              } catch (const Error& error) {
                call->end({}, std::make_exception_ptr(Error(shown(error.what()))));
              } catch (...) {
                call->end({}, std::current_exception());
              }
            },
        .fail = [call](const HttpError& error) { call->end({}, std::make_exception_ptr(error)); }});
  std::unique_lock lock(call->mutex);
  await(lock, call->done, call->is_done, time, call->cancelled);
  if (call->error) std::rethrow_exception(call->error);
  return std::move(*call->result);
}

}  // namespace heed::tools
