#pragma once

#include <httplib.h>
#include <sys/types.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/end_to_end/process.h"

namespace heed::end_to_end {

/// A `heed serve` that runs meanwhile, on a port of its own.
class Serving {
 public:
  /// Returns when it answers. Fails the test when it ends instead.
  explicit Serving(std::vector<std::string> arguments);
  /// Kills what still runs.
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  int port() const { return port_; }
  pid_t process() const { return child_; }
  /// Answers within two minutes or not at all.
  httplib::Client client() const;
  /// What a GET, or a POST of JSON, answers; they fail the test where that is not of this status.
  nlohmann::json get(const std::string& path, int status = 200) const;
  nlohmann::json post(const std::string& path, const nlohmann::json& body, int status = 200) const;
  /// The objects of a stream of server-sent events, without its end; fails the test where it has no end.
  std::vector<nlohmann::json> stream(const std::string& path, const nlohmann::json& body) const;

  /// Sends a signal and waits for its end.
  Finished stop(int signal);

 private:
  pid_t child_ = -1;
  int error_ = -1;  // the end of its standard error that is read
  int port_ = 0;
  std::string said_;  // on standard error so far
};

/// The JSON of an answer; fails the test where there is none, or it is not of this status.
nlohmann::json json_of(const httplib::Result& result, int status = 200);

}  // namespace heed::end_to_end
