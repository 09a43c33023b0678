#include "tests/browser_session.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <stdexcept>
#include <thread>

namespace heed::testing {
namespace {

using nlohmann::json;
using SessionClock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience(120);

/// A pipe whose ends are none of the numbers that the browser has for them.
std::array<int, 2> high_pipe() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error("cannot make a pipe");
  for (int& end : ends) {
    const int low = end;
    end = ::fcntl(low, F_DUPFD_CLOEXEC, 10);
    ::close(low);
  }
  return ends;
}

}  // namespace

BrowserSession::BrowserSession(const std::string& browser) {
  const std::string profile = "--user-data-dir=" + folder_.path("profile").string();
  const std::array<const char*, 11> arguments = {browser.c_str(),
                                                 "--headless",
                                                 "--no-sandbox",
                                                 "--disable-gpu",
                                                 "--disable-dev-shm-usage",
                                                 "--no-first-run",
                                                 "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                                                 "--remote-debugging-pipe",
                                                 profile.c_str(),
                                                 "about:blank",
                                                 nullptr};
  ::signal(SIGPIPE, SIG_IGN);
  const std::array<int, 2> orders = high_pipe(), answers = high_pipe();
  process_ = ::fork();
  if (process_ < 0) throw std::runtime_error("cannot start " + browser);
  if (process_ == 0) {
    ::setpgid(0, 0);  // its processes end with it
    const int nothing = ::open("/dev/null", O_RDWR);
    for (const int descriptor : {0, 1, 2}) ::dup2(nothing, descriptor);
    ::dup2(orders[0], 3);
    ::dup2(answers[1], 4);
    ::execvp(browser.c_str(), const_cast<char**>(arguments.data()));
    ::_exit(127);
  }
  ::close(orders[0]);
  ::close(answers[1]);
  to_ = orders[1];
  from_ = answers[0];
  const json target = send("Target.createTarget", {{"url", "about:blank"}});
  session_ = send("Target.attachToTarget", {{"targetId", target.at("targetId")}, {"flatten", true}}).at("sessionId");
  for (const char* domain : {"Page", "Runtime", "Log"}) send(std::string(domain) + ".enable");
}

BrowserSession::~BrowserSession() {
  ::close(to_);  // the browser ends when nobody commands it
  ::close(from_);
  const SessionClock::time_point end = SessionClock::now() + std::chrono::seconds(5);
  while (::waitpid(process_, nullptr, WNOHANG) == 0) {
    if (SessionClock::now() > end) ::kill(-process_, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

json BrowserSession::receive() {
  std::array<char, 65536> block;
  std::size_t end = 0;
  while ((end = received_.find('\0')) == std::string::npos) {
    pollfd polled = {from_, POLLIN, 0};
    if (::poll(&polled, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) <= 0) {
      throw std::runtime_error("the browser does not answer");
    }
    const ssize_t count = ::read(from_, block.data(), block.size());
    if (count <= 0) throw std::runtime_error("the browser has ended");
    received_.append(block.data(), static_cast<std::size_t>(count));
  }
  json message = json::parse(received_.substr(0, end));
  received_.erase(0, end + 1);
  return message;
}

json BrowserSession::send(const std::string& method, const json& parameters) {
  json order = {{"id", ++last_id_}, {"method", method}, {"params", parameters}};
  if (!session_.empty()) order["sessionId"] = session_;
  const std::string text = order.dump();
  const std::string bytes(text.c_str(), text.size() + 1);  // with the 0 that ends it
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t count = ::write(to_, bytes.data() + at, bytes.size() - at);
    if (count < 0) throw std::runtime_error("the browser has ended");
    at += static_cast<std::size_t>(count);
  }
  for (;;) {
    json message = receive();
    if (message.value("id", 0) == last_id_) {
      if (message.contains("error")) throw std::runtime_error(method + ": " + message["error"].dump());
      return message.at("result");
    }
    const std::string event = message.value("method", "");
    const bool failed = event == "Runtime.exceptionThrown" || event == "Log.entryAdded";
    if (failed) complaints_.push_back(message.at("params").dump());
  }
}

void BrowserSession::open(const std::string& url) {
  const json answer = send("Page.navigate", {{"url", url}});
  if (answer.contains("errorText")) throw std::runtime_error(url + ": " + answer["errorText"].get<std::string>());
  wait_for("document.readyState === 'complete' && location.href !== 'about:blank'");
}

void BrowserSession::reload() {
  evaluate("window.ofThePageBefore = true");
  send("Page.reload");
  wait_for("window.ofThePageBefore === undefined && document.readyState === 'complete'");
}

void BrowserSession::resize(int width, int height) {
  send("Emulation.setDeviceMetricsOverride",
       {{"width", width}, {"height", height}, {"deviceScaleFactor", 1}, {"mobile", width < 600}});
}

void BrowserSession::before_pages(const std::string& script) {
  send("Page.addScriptToEvaluateOnNewDocument", {{"source", script}});
}

json BrowserSession::evaluate(const std::string& expression) {
  const json answer =
      send("Runtime.evaluate", {{"expression", expression}, {"awaitPromise", true}, {"returnByValue", true}});
  if (answer.contains("exceptionDetails")) throw std::runtime_error(answer["exceptionDetails"].dump());
  return answer.at("result").value("value", json());
}

void BrowserSession::wait_for(const std::string& expression) {
  const SessionClock::time_point end = SessionClock::now() + kPatience;
  while (evaluate("Boolean(" + expression + ")") != true) {
    if (SessionClock::now() > end) {
      throw std::runtime_error("not so in time: " + expression + "\n" +
                               evaluate("document.body.innerText").dump().substr(0, 2000));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

void BrowserSession::type(const std::string& text) { send("Input.insertText", {{"text", text}}); }

void BrowserSession::press(const std::string& key, bool ctrl) {
  json event = {{"type", "keyDown"}, {"key", key}, {"code", key}, {"modifiers", ctrl ? 2 : 0}};
  if (key == "Enter") {
    event["windowsVirtualKeyCode"] = 13;
    event["text"] = "\r";
  } else if (key == "Tab") {
    event["windowsVirtualKeyCode"] = 9;
  }
  send("Input.dispatchKeyEvent", event);
  event["type"] = "keyUp";
  event.erase("text");
  send("Input.dispatchKeyEvent", event);
}

}  // namespace heed::testing
