// heed serve: models over HTTP, with the interfaces that clients of OpenAI and LibreTranslate know.
#include <fmt/format.h>
#include <sys/resource.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "heed/error.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/program.h"
#include "tools/sampling_options.h"
#include "tools/serve/server.h"

namespace heed::tools {
namespace {

struct ServeArguments {
  std::vector<std::string> models;
  WorkerOptions worker;
  HttpOptions http;
  std::string key_file;
  SamplingArguments sampling;
  std::int64_t max_tokens = 0;
  std::int64_t seconds = 600;
  std::int64_t grace = 30;
};

/// Name and file of "NAME=FILE" or "FILE", whose name is the file's without its ending.
std::pair<std::string, std::string> named_model(const std::string& argument) {
  const std::size_t equals = argument.find('=');
  if (equals != std::string::npos && !std::filesystem::exists(argument)) {
    if (equals == 0 || equals + 1 == argument.size()) {
      throw Error(fmt::format("'{}': expected a .heed file, or NAME=FILE", argument));
    }
    return {argument.substr(0, equals), argument.substr(equals + 1)};
  }
  return {std::filesystem::path(argument).stem().string(), argument};
}

/// All of them; no two have one name.
std::vector<std::pair<std::string, std::string>> named_models(const std::vector<std::string>& arguments) {
  std::vector<std::pair<std::string, std::string>> models;
  std::set<std::string> names;
  for (const std::string& argument : arguments) {
    models.push_back(named_model(argument));
    if (names.insert(models.back().first).second) continue;
    throw Error(fmt::format("two models are called {}; say NAME=FILE", models.back().first));
  }
  return models;
}

/// The key of a file, or of the environment; empty for none. On the command line others could read it.
std::string api_key(const std::string& file) {
  if (file.empty()) {
    const char* const key = std::getenv("HEED_API_KEY");
    return key == nullptr ? "" : key;
  }
  std::ifstream stream(file);
  std::string key;
  if (!std::getline(stream, key) || key.empty()) {
    throw Error(fmt::format("{}: cannot be read, or its first line, the API key, is empty", file));
  }
  if (key.ends_with('\r')) key.pop_back();
  return key;
}

/// Each connection is an open file, and the usual limit is 1024. What the system forbids is not needed at once:
/// connections then wait.
void allow_open_files(std::size_t count) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= count) return;
  limit.rlim_cur = std::min<rlim_t>(count, limit.rlim_max);
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

/// Gives memory of large bodies back to the system when they are gone. glibc would learn from the first one to take the
/// next from the heap of the thread that reads it, and keep it there: 24 MB, eight times as often as there are cores.
void give_back_large_memory() {
#ifdef __GLIBC__
  ::mallopt(M_MMAP_THRESHOLD, 1 << 20);
  ::mallopt(M_TRIM_THRESHOLD, 2 << 20);
#endif
}

int run_serve(const ServeArguments& arguments) {
  give_back_large_memory();
  HttpOptions http = arguments.http;
  http.api_key = api_key(arguments.key_file);
  const bool local = is_loopback(http.host);
  // A text that waits takes up a thread, as one that is written does. Others are for what is quick.
  const std::size_t texts = static_cast<std::size_t>(arguments.worker.slots) + arguments.worker.waiting;
  http.connections = std::clamp<std::size_t>(arguments.models.size() * texts + 64, http.connections, 4096);
  allow_open_files(http.connections + 512);
  arguments.sampling.sampling.check();
  ServeLimits limits;
  limits.sampling = arguments.sampling.sampling;
  if (arguments.sampling.seed->count() > 0) {
    // Answers say it, and requests bring it back as a number that has a sign.
    if (limits.sampling.seed > static_cast<std::uint64_t>(INT64_MAX)) {
      throw Error(
          fmt::format("--seed {}: heed serve takes at most {}, as requests do", limits.sampling.seed, INT64_MAX));
    }
    limits.seed = limits.sampling.seed;
  }
  limits.max_tokens = arguments.max_tokens;
  limits.time = std::chrono::seconds(arguments.seconds);
  Server server(http, limits);
  const int port = server.http().bind();  // before models are loaded, which takes time

  // The first Ctrl-C or SIGTERM lets answers finish, the second ends the process.
  const InterruptFlag interrupt;
  std::atomic<bool> lost = false;
  const std::vector<std::pair<std::string, std::string>> models = named_models(arguments.models);
  for (const auto& [name, file] : models) Worker::served_task(file);
  { const Device noticed = open_device(arguments.worker.device); }
  for (const auto& [name, file] : models) {
    auto worker = std::make_unique<Worker>(name, file, arguments.worker, [&lost] { lost = true; });
    if (!worker->note().empty()) write_error(fmt::format("{}: {}\n", name, worker->note()));
    server.add_model(std::move(worker));
    if (interrupt.raised()) return kExitInterrupted;
  }
  server.add_routes();
  if (!local && http.api_key.empty()) {
    write_error("note: whoever reaches this machine can use the server; --api-key-file asks for a key\n");
  }
  const bool bare_ipv6 = http.host.find(':') != std::string::npos;
  write_error(fmt::format("heed serves on http://{}:{}\n", bare_ipv6 ? "[" + http.host + "]" : http.host, port));

  std::atomic<bool> ended = false;
  std::thread watch([&] {
    const auto wait = [](auto time) { std::this_thread::sleep_for(time); };
    while (!ended && !lost && !interrupt.raised()) wait(std::chrono::milliseconds(50));
    server.http().stop();
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(arguments.grace);
    while (!ended && std::chrono::steady_clock::now() < end) wait(std::chrono::milliseconds(50));
    server.give_up();
  });
  const auto end_watch = [&] {
    ended = true;
    watch.join();
  };
  try {
    server.http().run();
  } catch (...) {
    end_watch();
    throw;
  }
  end_watch();
  if (lost) {
    write_error("heed: a device was lost and does not come back; the server ends so that it can be started afresh\n");
    return kExitDeviceLost;
  }
  write_error("heed: the server has ended\n");
  return 0;
}

}  // namespace

void add_serve(Program& program) {
  CLI::App* verb =
      program.app.add_subcommand("serve", "Serve models over HTTP, as OpenAI's and LibreTranslate's interfaces do");
  verb->footer(
      "A browser finds a page at /. Paths for programs: /v1/models, /v1/completions, /v1/chat/completions,\n"
      "/v1/attention, /v1/images/generations, /v1/images/edits, /translate, /languages, /health, /metrics\n"
      "(README, \"Serve\").\n"
      "An API key is the first line of --api-key-file, or the environment's HEED_API_KEY. Ctrl-C or SIGTERM lets\n"
      "answers finish. Exit code 75: the device was lost for good, start it again.\n"
      "Example:\n"
      "  heed serve qwen.heed translator=models/en-ja.heed --slots 8");
  auto arguments = std::make_shared<ServeArguments>();
  ServeArguments& a = *arguments;
  verb->add_option("MODEL", a.models, ".heed files, each FILE or NAME=FILE; the name is what requests say")->required();
  verb->add_option("--host", a.http.host, "Address to listen on; 0.0.0.0 lets other machines in")
      ->capture_default_str()
      ->type_name("ADDRESS");
  verb->add_option("--port", a.http.port, "0 takes any that is free")
      ->capture_default_str()
      ->transform(integers(0, 65535))
      ->type_name("PORT");
  verb->add_option("--api-key-file", a.key_file, "Only requests that bring the key in this file's first line")
      ->type_name("FILE");
  verb->add_option("--cors", a.http.cors, "Let pages of this origin ask, * for all (default: none)")
      ->type_name("ORIGIN");
  const CLI::Option* const allowed_host =
      verb->add_option("--allowed-host", a.http.allowed_hosts,
                       "Also answer requests that call the server NAME, as a proxy lets them; may be given again")
          ->type_name("NAME")
          ->allow_extra_args(false)
          ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  verb->add_option("--slots", a.worker.slots, "Texts that a model writes at a time, at most 1024; others wait")
      ->capture_default_str()
      ->transform(integers(1, 1024))
      ->type_name("N");
  verb->add_option("--queue", a.worker.waiting, "Texts of a model that may wait; more are answered with status 429")
      ->capture_default_str()
      ->transform(integers(0, 100000))
      ->type_name("N");
  verb->add_option("--context", a.worker.context, "Tokens that a text has at most (default: the model's own)")
      ->transform(integers(1))
      ->type_name("N");
  verb->add_option("--max-tokens", a.max_tokens, "New tokens that a text has at most, whatever is asked for")
      ->transform(integers(1))
      ->type_name("N");
  verb->add_option("--timeout", a.seconds, "Seconds after which a text ends where it is")
      ->capture_default_str()
      ->transform(integers(1, 1000000))
      ->type_name("S");
  verb->add_option("--max-body", a.http.body_bytes, "Bytes of a request, at most")
      ->capture_default_str()
      ->transform(integers(1024, 1 << 30))
      ->type_name("N");
  verb->add_option("--grace", a.grace, "Seconds that answers get to finish when the server is stopped")
      ->capture_default_str()
      ->transform(integers(0, 1000000))
      ->type_name("S");
  add_sampling_options(*verb, a.sampling);
  add_cache_option(*verb, a.worker.cache);
  add_device_option(*verb, a.worker.device);
  let_last_count(*verb, {allowed_host});
  verb->callback([&program, arguments] { program.run = [arguments] { return run_serve(*arguments); }; });
}

}  // namespace heed::tools
