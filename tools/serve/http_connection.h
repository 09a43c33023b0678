#pragma once

#include <httplib.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

namespace heed::tools {

/// A client's connection as cpp-httplib reads and writes it: each request has a deadline by which it must have come and
/// a number of bytes that it may have; some of what is sent must be taken each time that it is waited for. Does not own
/// the socket.
class HttpConnection : public httplib::Stream {
 public:
  using Clock = std::chrono::steady_clock;

  HttpConnection(socket_t socket, std::chrono::seconds write_time);

  /// Waits for the first byte of a request; false where none comes in time or the client has gone. `stopping` is asked
  /// now and then.
  template <typename Stopping>
  bool wait_for_request(std::chrono::seconds time, const Stopping& stopping) {
    const Clock::time_point end = Clock::now() + time;
    while (!has_buffered()) {
      if (wait(/*for_reading=*/true, std::chrono::milliseconds(100))) return !gone();
      if (stopping() || Clock::now() >= end) return false;
    }
    return true;
  }
  /// What is read from now on is one request.
  void begin_request(std::chrono::seconds time, std::size_t bytes);
  /// Whether more came than a request may have.
  bool exceeded() const { return exceeded_; }
  /// No other request is read from this connection: there may be rest of this one before it.
  void end_after_request() { ends_ = true; }
  bool ends() const { return ends_; }
  /// Whether the other side has closed, or the connection is broken.
  bool gone() const;
  /// Lets the client read what was sent last, though it may still be sending; then closes.
  static void close_gently(socket_t socket);

  bool is_readable() const override { return has_buffered() || wait(true, std::chrono::milliseconds(0)); }
#ifdef CPPHTTPLIB_VERSION_NUM  // versions that have it ask otherwise
  bool is_writable() const { return wait(false, write_time_) && !gone(); }
  bool wait_readable() const override { return is_readable(); }
  bool wait_writable() const override { return is_writable(); }
  time_t duration() const override { return 0; }
#else
  bool is_writable() const override { return wait(false, write_time_) && !gone(); }
#endif
  ssize_t read(char* data, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  // cpp-httplib asks only to refuse what select() cannot wait for; here poll() waits.
  socket_t socket() const override { return INVALID_SOCKET; }

 private:
  bool has_buffered() const { return begin_ < end_; }
  bool wait(bool for_reading, std::chrono::milliseconds time) const;

  const socket_t socket_;
  const std::chrono::milliseconds write_time_;
  Clock::time_point deadline_{};
  std::size_t left_ = 0;  // bytes that the request may still have
  bool exceeded_ = false;
  bool ends_ = false;
  std::array<char, 16384> buffer_{};  // cpp-httplib reads lines a byte at a time
  std::size_t begin_ = 0, end_ = 0;
};

}  // namespace heed::tools
