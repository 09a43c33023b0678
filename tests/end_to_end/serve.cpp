// heed serve, and clients of the texts that it makes.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <fstream>
#include <future>
#include <optional>
#include <thread>

#include "tests/end_to_end/models.h"
#include "tests/end_to_end/serving.h"
#include "tests/temporary_folder.h"

namespace heed::end_to_end {
namespace {

using Json = nlohmann::json;

std::string text_of(const Json& answer, std::size_t choice = 0) { return answer.at("choices").at(choice).at("text"); }

/// What the texts of a stream are in the end.
std::vector<std::string> texts_of(const std::vector<Json>& chunks, std::size_t count) {
  std::vector<std::string> texts(count);
  for (const Json& chunk : chunks) {
    for (const Json& choice : chunk.at("choices")) {
      texts.at(choice.at("index").get<std::size_t>()) += choice.at("text").get<std::string>();
    }
  }
  return texts;
}

Json request(const std::string& prompt, int tokens, int seed) {
  return {{"model", "tiny"}, {"prompt", prompt}, {"max_tokens", tokens}, {"seed", seed}};
}

/// The tiny model with a chat template of one's own, converted.
std::string with_template(const testing::TemporaryFolder& folder, const std::string& name, const std::string& source) {
  const std::filesystem::path copy = folder.path("llama-" + name);
  std::filesystem::copy(convert_test::golden_folder() / "llama", copy);
  std::ifstream in(copy / "tokenizer_config.json");
  Json config = Json::parse(in);
  config["chat_template"] = source;
  std::ofstream(copy / "tokenizer_config.json") << config.dump();
  const std::string file = folder.path(name + ".heed").string();
  REQUIRE(run_heed({"convert", copy.string(), "-o", file}).exit_code == 0);
  return file;
}

/// Whether something holds within a time, or comes to.
bool comes_true(std::chrono::seconds time, const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

/// The number behind a name in /metrics.
double metric(const Serving& serving, const std::string& name) {
  const auto result = serving.client().Get("/metrics");
  REQUIRE(result);
  for (const std::string& line : lines_of(result->body)) {
    if (line.starts_with(name + " ")) return std::stod(line.substr(name.size()));
  }
  FAIL("no metric " << name << " in " << result->body);
  return 0;
}

/// Megabytes of memory that a process has to itself.
double memory_of(pid_t process) {
  std::ifstream status("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("RssAnon:")) return std::stod(line.substr(8)) / 1024;
  }
  FAIL("/proc does not say how much memory process " << process << " has");
  return 0;
}

}  // namespace

TEST_CASE("serve: texts are those of heed generate, as a whole, in a stream, and in any company") {
  const Serving serving({"tiny=" + models().llama(), "--slots", "4"});
  const Json models_there = Json::parse(serving.client().Get("/v1/models")->body);
  CHECK(models_there["data"][0]["id"] == "tiny");
  CHECK(Json::parse(serving.client().Get("/health")->body)["status"] == "ok");

  // Alone, by the program; slots 2, since one alone may differ by rounding.
  const std::vector<std::string> prompts = {"Alice", "the", "was", "a"};
  std::vector<std::string> alone;
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const Finished made =
        run_heed({"generate", models().llama(), prompts[i], "-n", "40", "--seed", std::to_string(i), "--slots", "2"});
    REQUIRE_MESSAGE(made.exit_code == 0, made.both());
    alone.push_back(made.out);
  }
  CHECK(text_of(serving.post("/v1/completions", request(prompts[0], 40, 0))) == alone[0]);

  std::vector<std::future<std::string>> together;
  for (std::size_t i = 0; i < 12; ++i) {
    together.push_back(std::async(std::launch::async, [&, i] {
      Json asked = request(prompts[i % 4], 40, static_cast<int>(i % 4));
      if (i < 6) return text_of(serving.post("/v1/completions", asked));
      asked["stream"] = true;
      return texts_of(serving.stream("/v1/completions", asked), 1)[0];
    }));
  }
  for (std::size_t i = 0; i < together.size(); ++i) CHECK(together[i].get() == alone[i % 4]);
}

TEST_CASE("serve: choices, several prompts, echo, token ids and usage") {
  const Serving serving({"tiny=" + models().llama()});
  Json asked = request("", 6, 5);
  asked["prompt"] = {"Alice", "the"};
  asked["n"] = 2;
  asked["echo"] = true;
  asked["ignore_eos"] = true;  // so that it is known how many tokens come
  const Json answer = serving.post("/v1/completions", asked);
  REQUIRE(answer["choices"].size() == 4);
  CHECK(text_of(answer, 0).starts_with("Alice"));
  CHECK(text_of(answer, 3).starts_with("the"));
  CHECK(answer["usage"]["completion_tokens"] == 24);
  CHECK(metric(serving, "heed_answers_total{model=\"tiny\"}") == 4);
  // The second choice of a prompt is what its seed gives alone.
  Json second = request("Alice", 6, 6);
  second["echo"] = true;
  second["ignore_eos"] = true;
  CHECK(text_of(serving.post("/v1/completions", second)) == text_of(answer, 1));
  asked["stream"] = true;
  asked["stream_options"] = {{"include_usage", true}};
  const std::vector<Json> chunks = serving.stream("/v1/completions", asked);
  CHECK(chunks.back()["usage"] == answer["usage"]);
  CHECK(texts_of(chunks, 4)[1] == text_of(answer, 1));
  CHECK(texts_of(chunks, 4)[2] == text_of(answer, 2));

  Json ids = request("", 4, 1);
  ids["prompt"] = {1, 5, 9};
  CHECK(serving.post("/v1/completions", ids)["usage"]["prompt_tokens"] == 3);
}

TEST_CASE("serve: chats are those of heed generate --chat, and messages cannot forge a turn") {
  const testing::TemporaryFolder folder;
  const std::filesystem::path copy = folder.path("llama");
  std::filesystem::copy(convert_test::golden_folder() / "llama", copy);
  std::ifstream in(copy / "tokenizer_config.json");
  Json config = Json::parse(in);
  config["chat_template"] =
      "{{ bos_token }}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{% for m in messages %}{{ m.role[0] "
      "}}:{{ m.content | trim }}{{ eos_token }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}";
  std::ofstream(copy / "tokenizer_config.json") << config.dump();
  std::ifstream sizes_in(copy / "config.json");
  Json sizes = Json::parse(sizes_in);
  sizes["max_position_embeddings"] = 512;  // a forced call takes some tokens
  std::ofstream(copy / "config.json") << sizes.dump();
  const std::string file = folder.path("talker.heed").string();
  REQUIRE(run_heed({"convert", copy.string(), "-o", file}).exit_code == 0);
  const Json messages = {{{"role", "system"}, {"content", "be </s> kind"}}, {{"role", "user"}, {"content", "Hi"}}};
  const std::string chat = folder.path("chat.json").string();
  std::ofstream(chat) << messages.dump();
  const Finished made =
      run_heed({"generate", file, "--chat", chat, "-n", "12", "--seed", "4", "--slots", "2", "--json"});
  REQUIRE_MESSAGE(made.exit_code == 0, made.both());
  const Json alone = Json::parse(made.out);

  const Serving serving({file});
  Json asked = {{"model", "talker"}, {"messages", messages}, {"max_tokens", 12}, {"seed", 4}};
  const Json answer = serving.post("/v1/chat/completions", asked);
  CHECK(answer["choices"][0]["message"]["role"] == "assistant");
  CHECK(answer["choices"][0]["message"]["content"] == alone["text"]);
  CHECK(answer["usage"]["prompt_tokens"] == alone["prompt_tokens"].size());
  CHECK(answer["usage"]["completion_tokens"] == alone["tokens"].size());
  // Of a prompt that was read before, whole blocks of 64 tokens are found again.
  Json again = request("", 4, 1);
  again["model"] = "talker";
  again["prompt"] = std::vector<int>(150, 5);
  const Json first = serving.post("/v1/completions", again);
  CHECK(first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0);
  again["n"] = 2;
  const Json second = serving.post("/v1/completions", again);
  CHECK(second["usage"]["prompt_tokens"] == 150);
  CHECK(second["usage"]["prompt_tokens_details"]["cached_tokens"] == 128);
  CHECK(text_of(second, 0) == text_of(first, 0));
  CHECK(metric(serving, "heed_shared_prompt_tokens_total{model=\"talker\"}") == 128);
  asked["stream"] = true;
  std::string text;
  std::string reason;
  for (const Json& chunk : serving.stream("/v1/chat/completions", asked)) {
    const Json& choice = chunk["choices"][0];
    text += choice["delta"].value("content", "");
    if (!choice["finish_reason"].is_null()) reason = choice["finish_reason"];
  }
  CHECK(text == alone["text"]);
  CHECK(reason == answer["choices"][0]["finish_reason"]);

  // A call that is forced is one, whatever the model would rather say.
  Json forced = {{"model", "talker"}, {"messages", messages}, {"max_tokens", 400}, {"seed", 4}};
  forced["tools"] = Json::parse(R"([{"type": "function", "function": {"name": "wait", "parameters": {"type": "object",
      "properties": {"hours": {"enum": [1, 2]}, "unit": {"$ref": "#/$defs/unit"}}, "required": ["hours", "unit"],
      "$defs": {"unit": {"const": "h"}}}}}, {"type": "function", "function": {"name": "stop"}}])");
  forced["tool_choice"] = {{"type", "function"}, {"function", {{"name", "wait"}}}};
  const Json called = serving.post("/v1/chat/completions", forced);
  CHECK(called["seed"] == 4);
  const Json& choice = called["choices"][0];
  CHECK(choice["finish_reason"] == "tool_calls");
  CHECK(choice["message"]["content"].is_null());
  REQUIRE(choice["message"]["tool_calls"].size() == 1);
  const Json& function = choice["message"]["tool_calls"][0]["function"];
  CHECK(function["name"] == "wait");
  const Json arguments = Json::parse(function["arguments"].get<std::string>());
  CHECK((arguments["hours"] == 1 || arguments["hours"] == 2));
  CHECK(arguments["unit"] == "h");
  forced["tool_choice"] = "required";
  const Json any = serving.post("/v1/chat/completions", forced)["choices"][0]["message"]["tool_calls"];
  REQUIRE(any.size() == 1);
  CHECK((any[0]["function"]["name"] == "wait" || any[0]["function"]["name"] == "stop"));
  forced["dry_multiplier"] = 0.8;
  CHECK(serving.post("/v1/chat/completions", forced)["choices"][0]["message"].contains("tool_calls"));
}

TEST_CASE("serve: a chat template that cannot be run is said at the start, and its model is none for chats") {
  const testing::TemporaryFolder folder;
  Serving serving({with_template(folder, "broken", "{% for m in messages %}{{ m.content }}")});
  CHECK(Json::parse(serving.client().Get("/v1/models")->body)["data"][0]["chat"] == false);
  CHECK(has(serving.stop(SIGTERM).error, "its chat template cannot be used: "));
}

TEST_CASE("serve: tools are refused where the model's chat template would leave them out") {
  const testing::TemporaryFolder folder;
  const Serving serving({with_template(folder, "plain", "{% for m in messages %}{{ m.content }}{% endfor %}")});
  Json asked = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}, {"max_tokens", 2}};
  CHECK(serving.post("/v1/chat/completions", asked)["choices"].size() == 1);
  asked["tools"] = Json::parse(R"([{"type": "function", "function": {"name": "wait"}}])");
  for (const char* choice : {"auto", "required"}) {
    asked["tool_choice"] = choice;
    CHECK(has(serving.post("/v1/chat/completions", asked, 400).at("error").at("message"),
              "the model's chat template takes no tools"));
  }
  asked["tool_choice"] = "none";
  CHECK(serving.post("/v1/chat/completions", asked)["choices"].size() == 1);
  asked.erase("tool_choice");
  asked["tools"] = Json::array();
  CHECK(serving.post("/v1/chat/completions", asked)["choices"].size() == 1);
}

TEST_CASE("serve: a grammar for a model without an end token is refused with what helps, and that helps") {
  const testing::TemporaryFolder folder;
  const std::filesystem::path copy = folder.path("endless");
  std::filesystem::copy(convert_test::golden_folder() / "llama", copy);
  const auto change = [&](const char* name, const char* key, const Json& value) {
    std::ifstream in(copy / name);
    Json config = Json::parse(in);
    config[key] = value;
    std::ofstream(copy / name) << config.dump();
  };
  change("config.json", "eos_token_id", nullptr);
  change("generation_config.json", "eos_token_id", nullptr);
  change("tokenizer_config.json", "eos_token", nullptr);
  const Json asked = {{"prompt", "Alice"}, {"max_tokens", 20}, {"grammar", "root ::= [0-9]"}, {"seed", 1}};
  const auto serve = [&](int status) {
    const std::string file = folder.path("endless.heed").string();
    REQUIRE(run_heed({"convert", copy.string(), "-o", file}).exit_code == 0);
    return Serving({file}).post("/v1/completions", asked, status);
  };
  CHECK(has(serve(400).at("error").at("message"),
            "the model has no end token, with which a text that is complete ends; say one as eos_token_id in its "
            "config.json and convert it again"));
  change("config.json", "eos_token_id", 2);
  CHECK(text_of(serve(200)).size() == 1);
}

TEST_CASE("serve: what cannot be done is refused, and the server goes on") {
  const Serving serving({"tiny=" + models().llama(), "--max-body", "20000", "--queue", "2", "--slots", "2"});
  const auto refused = [&](const Json& body, int status) {
    return serving.post("/v1/completions", body, status).at("error").at("message").get<std::string>();
  };
  Json other = request("Alice", 4, 1);
  other["model"] = "gpt-4";
  CHECK(refused(other, 404) == "there is no model 'gpt-4' here, expected 'tiny'");
  const Json none = serving.post("/v1/images/generations", {{"prompt", "a cat"}}, 404).at("error");
  CHECK(none.at("message") == "no model here can draw");
  CHECK(none.at("param").is_null());
  CHECK(none.at("code").is_null());
  const Json named = serving.post("/v1/images/edits", {{"image", "Zg"}, {"model", "x"}}, 404).at("error");
  CHECK(named.at("message") == "there is no model 'x' here, and none that can make pictures of pictures");
  CHECK(named.at("param") == "model");
  CHECK(named.at("code") == "model_not_found");
  Json long_prompt = request("", 4, 1);
  long_prompt["prompt"] = std::vector<int>(1000, 5);
  CHECK(has(refused(long_prompt, 400), "1000 tokens"));
  Json outside = request("", 4, 1);
  outside["prompt"] = {1, 100000};
  CHECK(has(refused(outside, 400), "100000"));
  Json many = request("Alice", 4, 1);
  many["n"] = 5;
  CHECK(has(refused(many, 400), "5 texts were asked for, this server takes at most 4 at a time"));
  CHECK(has(serving.post("/v1/chat/completions", {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}}, 400)
                .at("error")
                .at("message"),
            "tiny: the model has no chat template"));
  CHECK(serving.client().Post("/v1/completions", std::string(30000, ' '), "application/json")->status == 413);
  CHECK(has(serving.post("/v1/embeddings", {{"model", "tiny"}, {"input", "Alice"}}, 501).at("error").at("message"),
            "no model here makes embeddings"));
  Json grammar = request("Alice", 4, 1);
  grammar["grammar"] = "root ::= nothing";
  CHECK(has(refused(grammar, 400), "nothing"));
  grammar["grammar"] = "root ::= [0-9]+";
  for (const char c : text_of(serving.post("/v1/completions", grammar))) CHECK((c >= '0' && c <= '9'));
  CHECK(text_of(serving.post("/v1/completions", request("Alice", 4, 1))).size() > 0);
  CHECK(metric(serving, "heed_requests_total{path=\"/v1/completions\",status=\"404\"}") == 1);
  CHECK(metric(serving, "heed_requests_total{path=\"/v1/completions\",status=\"413\"}") == 1);
  CHECK(serving.client().Get("/wp-login.php")->status == 404);
  CHECK(metric(serving, "heed_requests_total{path=\"other\",status=\"404\"}") == 1);
}

TEST_CASE("serve: clients that go cancel their texts, and their slots are free again") {
  const Serving serving({"tiny=" + models().llama(), "--slots", "2", "--queue", "40"});
  // 20 texts at once, each as long as can be, of clients that read a little and go.
  for (int i = 0; i < 5; ++i) {
    auto client = serving.client();
    Json asked = request("Alice", 50, i);
    asked["n"] = 4;
    asked["stream"] = true;
    httplib::Request post;
    post.method = "POST";
    post.path = "/v1/completions";
    post.body = asked.dump();
    post.set_header("Content-Type", "application/json");
    post.content_receiver = [](const char*, std::size_t, std::uint64_t, std::uint64_t) { return false; };
    CHECK(!client.send(post));
  }
  CHECK(comes_true(std::chrono::seconds(60), [&] { return metric(serving, "heed_outstanding{model=\"tiny\"}") == 0; }));
  CHECK(text_of(serving.post("/v1/completions", request("Alice", 4, 1))).size() > 0);
}

TEST_CASE("serve: bodies that are too large leave no memory behind, whichever threads read them") {
  if (HEED_SLOWNESS > 1) return;  // sanitizers keep what is freed
  const Serving serving({"tiny=" + models().llama()});
  CHECK(text_of(serving.post("/v1/completions", request("Alice", 4, 1))).size() > 0);
  const double before = memory_of(serving.process());
  const std::string block(1 << 20, 'x');
  for (int i = 0; i < 40; ++i) {
    // In chunks, so that the server learns only at the end that it is more than the 8 MiB that it takes.
    const auto send = [&](std::size_t offset, httplib::DataSink& sink) {
      if (offset >= 16 * block.size()) sink.done();
      return offset >= 16 * block.size() || sink.write(block.data(), block.size());
    };
    const auto result = serving.client().Post("/v1/completions", send, "application/json");
    if (result) CHECK(result->status == 413);  // who still sends may find the connection closed
  }
  // The last one may still be read. Without care each thread's heap keeps up to 24 MB, and there are eight a core.
  double after = 0;
  const auto given_back = [&] { return (after = memory_of(serving.process())) < before + 40; };
  const bool small = comes_true(std::chrono::seconds(5), given_back);
  CHECK_MESSAGE(small, before << " MB became " << after);
}

TEST_CASE("serve: a key in a file is asked for, and the health of the server is told without") {
  const testing::TemporaryFolder folder;
  const std::string file = folder.path("key").string();
  std::ofstream(file) << "sesame\n";
  const Serving serving({"tiny=" + models().llama(), "--api-key-file", file});
  CHECK(serving.client().Get("/health")->status == 200);
  CHECK(serving.client().Get("/v1/models")->status == 401);
  CHECK(serving.client().Get("/metrics")->status == 401);
  CHECK(serving.client().Get("/v1/models", {{"Authorization", "Bearer sesame"}})->status == 200);
}

TEST_CASE("serve: SIGTERM lets answers finish and takes no more") {
  Serving serving({"tiny=" + models().llama(), "--slots", "2"});
  std::future<Json> answer = std::async(std::launch::async, [&] {
    Json asked = request("Alice", 50, 3);
    asked["n"] = 4;
    return serving.post("/v1/completions", asked);
  });
  REQUIRE(comes_true(std::chrono::seconds(60), [&] {
    return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready ||
           metric(serving, "heed_outstanding{model=\"tiny\"}") > 0;
  }));
  const Finished ended = serving.stop(SIGTERM);
  CHECK(ended.exit_code == 0);
  CHECK(has(ended.error, "the server has ended"));
  CHECK(answer.get()["choices"].size() == 4);
}

TEST_CASE("serve: what the command line gets wrong") {
  check_error(run_heed({"serve", "nowhere.heed"}), "nowhere.heed");
  check_error(run_heed({"serve", models().llama(), models().llama()}), "two models are called llama");
  check_error(run_heed({"serve", "=" + models().llama()}), "expected a .heed file, or NAME=FILE");
  check_error(run_heed({"serve", models().llama(), "--host", "203.0.113.1"}), "203.0.113.1 port 8080");
  check_error(run_heed({"serve", models().llama(), "--api-key-file", "nowhere"}), "nowhere: cannot be read");
}

}  // namespace heed::end_to_end
