#include "tools/serve/metrics.h"

#include <fmt/format.h>

#include "tools/serve/worker.h"
#include "tools/version.h"

namespace heed::tools {
namespace {

/// A label's value between quotes, as Prometheus' format wants it.
std::string quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '\n') {
      quoted += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + '"';
}

std::string heading(std::string_view name, std::string_view type, std::string_view help) {
  return fmt::format("# HELP {0} {2}\n# TYPE {0} {1}\n", name, type, help);
}

}  // namespace

void Metrics::count_answer(const std::string& route, int status) {
  const std::lock_guard lock(mutex_);
  ++answers_[{route, status}];
}

void Metrics::count_done(const std::string& model, std::size_t count, std::int64_t prompt_tokens,
                         std::int64_t shared_tokens, std::int64_t new_tokens, double seconds) {
  const std::lock_guard lock(mutex_);
  Done& done = done_[model];
  done.count += count;
  done.prompt_tokens += prompt_tokens;
  done.shared_tokens += shared_tokens;
  done.new_tokens += new_tokens;
  done.seconds += seconds;
}

std::string Metrics::text(const std::vector<std::unique_ptr<Worker>>& workers) const {
  const double uptime = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  std::string text = heading("heed_build_info", "gauge", "The version that runs.") +
                     fmt::format("heed_build_info{{version=\"{}\"}} 1\n", kVersion) +
                     heading("heed_uptime_seconds", "gauge", "Since the server started.") +
                     fmt::format("heed_uptime_seconds {:.1f}\n", uptime);
  text += heading("heed_model_ready", "gauge", "1 where the model can be used, 0 after its device was lost.");
  for (const auto& worker : workers) {
    text += fmt::format("heed_model_ready{{model={}}} {}\n", quoted(worker->name()),
                        worker->state() == Worker::State::Ready ? 1 : 0);
  }
  text += heading("heed_outstanding", "gauge", "Texts and other work that go on or wait.");
  for (const auto& worker : workers) {
    text += fmt::format("heed_outstanding{{model={}}} {}\n", quoted(worker->name()), worker->outstanding());
  }
  const std::lock_guard lock(mutex_);
  text += heading("heed_requests_total", "counter",
                  "Requests answered, by path, other for those that are not served, and HTTP status.");
  for (const auto& [answer, count] : answers_) {
    text +=
        fmt::format("heed_requests_total{{path={},status=\"{}\"}} {}\n", quoted(answer.first), answer.second, count);
  }
  const auto of_models = [&](std::string_view name, std::string_view help, const auto& value) {
    text += heading(name, "counter", help);
    for (const auto& [model, done] : done_)
      text += fmt::format("{}{{model={}}} {}\n", name, quoted(model), value(done));
  };
  of_models("heed_answers_total", "Texts, lines of translations and pictures finished.",
            [](const Done& done) { return done.count; });
  of_models("heed_prompt_tokens_total", "Tokens of prompts read.", [](const Done& done) { return done.prompt_tokens; });
  of_models("heed_shared_prompt_tokens_total", "Of these, tokens whose keys another text that began alike had left.",
            [](const Done& done) { return done.shared_tokens; });
  of_models("heed_generated_tokens_total", "Tokens generated.", [](const Done& done) { return done.new_tokens; });
  of_models("heed_answer_seconds_total", "Time that requests for these took, each from its start to its end.",
            [](const Done& done) { return done.seconds; });
  return text;
}

}  // namespace heed::tools
