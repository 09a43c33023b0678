#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace heed::end_to_end {

/// A `heed serve` while it runs, on a port that was free. Fails the test when it does not come up within two minutes.
class Served {
 public:
  /// The models, and other arguments.
  explicit Served(std::vector<std::string> arguments);
  /// Asks it to end, and fails the test when it does not within a minute.
  ~Served();
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  /// "http://127.0.0.1:8080"
  const std::string& url() const { return url_; }

 private:
  pid_t process_ = -1;
  int error_ = -1;  // its standard error
  std::string url_;
};

}  // namespace heed::end_to_end
