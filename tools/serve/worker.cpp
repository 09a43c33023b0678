#include "tools/serve/worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <future>

#include "file/model_file.h"
#include "heed/error.h"
#include "tools/serve/text_request.h"

namespace heed::tools {
namespace {

/// Devices that were lost are tried again so often, at growing intervals, before the worker gives up.
constexpr int kMostRecoveries = 5;

std::string task_of(const ModelFile& model) {
  const auto task = model.metadata().find("task");
  return task != model.metadata().end() && task->is_string() ? task->get<std::string>() : "";
}

}  // namespace

Worker::Worker(std::string name, std::string file, const WorkerOptions& options, std::function<void()> lost)
    : name_(std::move(name)), file_(std::move(file)), options_(options), lost_(std::move(lost)) {
  std::promise<void> promise;
  std::future<void> loaded = promise.get_future();
  thread_ = std::thread([this, &promise] {
    run([&](std::exception_ptr error) {
      if (error) {
        promise.set_exception(std::move(error));
      } else {
        promise.set_value();
      }
    });
  });
  try {
    loaded.get();
  } catch (...) {
    thread_.join();
    throw;
  }
}

std::string Worker::shown(std::string message) const {
  for (std::size_t at = 0; (at = message.find(file_, at)) != std::string::npos; at += name_.size()) {
    message.replace(at, file_.size(), name_);
  }
  return message;
}

const std::vector<std::int32_t>& Worker::Model::tokens_with(const std::vector<std::string>& texts) {
  const TextModel& model = std::get<TextModel>(any);
  if (tokens_with_.first == texts) return tokens_with_.second;
  std::vector<std::int32_t> found;
  for (std::int32_t token = 0; token < model.vocabulary() && !texts.empty(); ++token) {
    const std::string of_token = model.token_text(token);
    const auto holds = [&](const std::string& text) { return of_token.find(text) != std::string::npos; };
    if (std::ranges::any_of(texts, holds)) found.push_back(token);
  }
  tokens_with_ = {texts, std::move(found)};
  return tokens_with_.second;
}

std::shared_ptr<TokenConstraint> Worker::constrain(const TextOptions& options, std::chrono::seconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  std::unique_lock lock(grammar_mutex_, std::defer_lock);
  bool locked = false;
  do {  // whoever waited for others is asked for once more
    locked = lock.try_lock_for(std::chrono::milliseconds(200));
    if (given_up_) throw HttpError(503, "the server is stopping");
    if (HttpServer::client_gone()) throw HttpError(499, "the client has gone");
    if (!locked && std::chrono::steady_clock::now() >= end) {
      throw HttpError(504, "the grammars of others took too long");
    }
  } while (!locked);
  // Nothing is written under this one, so any token may be its end: not every model has one besides those of its chats.
  return options.constraint(grammars(), {0});
}

void Worker::give_up() {
  given_up_ = true;  // whoever waits in call() sees it
  const std::lock_guard lock(mutex_);
  stop_ = true;
  changed_.notify_all();
}

Worker::~Worker() {
  give_up();
  thread_.join();
}

Worker::Places Worker::take_places(std::size_t count) {
  if (state_ != State::Ready) {
    throw HttpError(503, fmt::format("model {}: its device was lost and is being opened afresh", name_));
  }
  const std::size_t most = options_.waiting + static_cast<std::size_t>(kind_ == Kind::Text ? options_.slots : 1);
  if (count > most) {
    throw HttpError(400, fmt::format("{} texts were asked for, this server takes at most {} at a time", count, most));
  }
  std::size_t taken = outstanding_;
  do {
    if (taken + count > most) {
      HttpError error(429, fmt::format("model {}: {} texts are going on or wait; try again later", name_, taken));
      error.retry_after = 2;
      throw error;
    }
  } while (!outstanding_.compare_exchange_weak(taken, taken + count));
  return {*this, count};
}

void Worker::post(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (!stop_ && state_ == State::Ready) {
      jobs_.push_back(std::move(job));
      changed_.notify_all();
      return;
    }
  }
  job.fail(HttpError(503, fmt::format("model {} is not there now", name_)));
}

std::string Worker::served_task(const std::string& file) {
  std::string task = task_of(ModelFile::open(file));
  // A file without a task may be one that changes pictures.
  constexpr std::string_view kServed[] = {"",     "text-generation", "translation", "text-to-image",
                                          "draw", "image-to-image"};
  if (task == "sound")
    throw Error(fmt::format("{}: heed serve does not serve sound models; heed sound runs them", file));
  if (std::ranges::find(kServed, task) == std::end(kServed)) {
    throw Error(fmt::format("{}: heed serve does not serve models of the task '{}'", file, task));
  }
  return task;
}

Worker::Model Worker::load() {
  const std::string task = served_task(file_);
  Device device(options_.device.name, options_.device.options);
  if (task == "text-generation") {
    Model model{device, TextModel(device, file_, options_.context, options_.cache, options_.slots)};
    model.queue = std::make_unique<TextQueue>(std::get<TextModel>(model.any));
    return model;
  }
  if (task == "translation") return {device, TranslationModel(device, file_, options_.cache)};
  if (task == "text-to-image") return {device, TextPictureModel(device, file_)};
  return {device, PictureModel(device, file_)};
}

void Worker::describe(const Model& model) {
  if (const auto* const text = std::get_if<TextModel>(&model.any)) {
    kind_ = Kind::Text;
    has_chat_ = text->has_chat();
    if (!grammars_) grammars_ = text->grammars();
    if (has_chat_) {
      // A file keeps its template also where that cannot be run.
      try {
        ChatRequest hello;
        hello.messages = messages_json({{"user", "Hello"}});
        text->chat_tokens(hello);
      } catch (const Error& error) {
        has_chat_ = false;
        note_ = fmt::format("its chat template cannot be used: {}", error.what());
      }
    }
    context_ = text->context();
    vocabulary_ = text->vocabulary();
    const ModelFile file = ModelFile::open(file_);
    for (const Graph& graph : file.header().graphs) {
      layers_ += static_cast<std::size_t>(
          std::ranges::count_if(graph.nodes, [](const Node& node) { return node.op == "attention"; }));
    }
  } else if (const auto* const translation = std::get_if<TranslationModel>(&model.any)) {
    kind_ = Kind::Translation;
    if (!translation->has_tokenizer()) {
      throw Error(
          fmt::format("{}: the model has no tokenizer and reads no text; convert it again with its tokenizer", file_));
    }
    languages_ = ModelLanguages::of(*translation, {name_, std::filesystem::path(file_).stem().string()});
  } else if (const auto* const drawn = std::get_if<TextPictureModel>(&model.any)) {
    kind_ = Kind::TextToImage;
    drawn_size_ = {drawn->width(), drawn->height()};
  } else {
    const auto& picture = std::get<PictureModel>(model.any);
    kind_ = picture.draws() ? Kind::Draw : Kind::Transform;
    drawn_size_ = picture.drawn_size();
    note_ = picture.assumed();
  }
}

void Worker::run(const std::function<void(std::exception_ptr)>& loaded) {
  std::optional<Model> model;
  try {
    model.emplace(load());
    describe(*model);
  } catch (...) {
    loaded(std::current_exception());
    return;
  }
  loaded(nullptr);
  while (true) {
    std::string why;
    try {
      if (!model) model.emplace(load());
      state_ = State::Ready;
      serve(*model);
      return;
    } catch (const std::exception& error) {
      why = error.what();
    }
    model.reset();
    state_ = State::Recovering;
    fail_all(HttpError(503, fmt::format("model {}: {}", name_, shown(why))));
    if (++losses_ > kMostRecoveries) {
      state_ = State::Lost;
      lost_();
      return;
    }
    if (stopped_within(options_.recovery_delay * (1 << (losses_ - 1)))) return;
  }
}

void Worker::serve(Model& model) {
  while (true) {
    std::deque<Job> jobs;
    {
      std::unique_lock lock(mutex_);
      if (model.queue == nullptr || model.queue->empty()) {
        changed_.wait(lock, [&] { return stop_ || !jobs_.empty(); });
      }
      if (stop_) break;
      jobs.swap(jobs_);
    }
    // One by one, so that what a job holds is free again when it is done.
    while (!jobs.empty()) {
      const Job job = std::move(jobs.front());
      jobs.pop_front();
      try {
        job.work(model);
        if (model.queue == nullptr) losses_ = 0;
      } catch (const std::exception& error) {
        for (const Job& other : jobs) other.fail(HttpError(503, error.what()));
        throw;
      }
    }
    if (model.queue != nullptr && !model.queue->empty()) {
      model.queue->advance();
      losses_ = 0;
    }
  }
  fail_all(HttpError(503, "the server is stopping"));
}

void Worker::fail_all(const HttpError& error) {
  std::deque<Job> jobs;
  {
    const std::lock_guard lock(mutex_);
    jobs.swap(jobs_);
  }
  for (const Job& job : jobs) job.fail(error);
}

bool Worker::stopped_within(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, time, [&] { return stop_; });
}

void Worker::await(std::unique_lock<std::mutex>& lock, std::condition_variable& done, const bool& is_done,
                   std::chrono::seconds time, std::atomic<bool>& cancelled) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!done.wait_for(lock, std::chrono::milliseconds(200), [&] { return is_done; })) {
    if (HttpServer::client_gone()) {
      cancelled = true;
      throw HttpError(499, "the client has gone");
    }
    if (given_up_) {
      cancelled = true;
      throw HttpError(503, "the server is stopping");
    }
    if (std::chrono::steady_clock::now() >= end) {
      cancelled = true;
      throw HttpError(504, fmt::format("model {} did not answer within {} s", name_, time.count()));
    }
  }
}

}  // namespace heed::tools
