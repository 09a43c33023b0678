#include "tools/serve/http_connection.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace heed::tools {
namespace {

void address_of(const sockaddr_storage& address, socklen_t length, std::string& ip, int& port) {
  char host[NI_MAXHOST], service[NI_MAXSERV];
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address), length, host, sizeof(host), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return;
  }
  ip = host;
  port = std::atoi(service);
}

}  // namespace

HttpConnection::HttpConnection(socket_t socket, std::chrono::seconds write_time)
    : socket_(socket), write_time_(write_time) {}

bool HttpConnection::wait(bool for_reading, std::chrono::milliseconds time) const {
  pollfd poll = {.fd = socket_, .events = static_cast<short>(for_reading ? POLLIN : POLLOUT), .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&poll, 1, static_cast<int>(std::max<std::int64_t>(0, time.count())));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

void HttpConnection::begin_request(std::chrono::seconds time, std::size_t bytes) {
  deadline_ = Clock::now() + time;
  left_ = bytes;
  exceeded_ = false;
}

bool HttpConnection::gone() const {
  pollfd poll = {.fd = socket_, .events = POLLRDHUP, .revents = 0};
  if (::poll(&poll, 1, 0) < 0) return errno != EINTR;
  return (poll.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

ssize_t HttpConnection::read(char* data, std::size_t size) {
  if (left_ == 0) {
    exceeded_ = true;
    return -1;
  }
  while (!has_buffered()) {
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now());
    if (time.count() <= 0 || !wait(true, time)) return -1;
    const ssize_t received = ::recv(socket_, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (received < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) continue;
    if (received <= 0) return received;
    begin_ = 0;
    end_ = static_cast<std::size_t>(received);
  }
  const std::size_t count = std::min({size, end_ - begin_, left_});
  std::memcpy(data, buffer_.data() + begin_, count);
  begin_ += count;
  left_ -= count;
  return static_cast<ssize_t>(count);
}

ssize_t HttpConnection::write(const char* data, std::size_t size) {
  Clock::time_point end = Clock::now() + write_time_;
  std::size_t sent = 0;
  while (sent < size) {
    const ssize_t count = ::send(socket_, data + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
      end = Clock::now() + write_time_;
    } else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
      if (time.count() <= 0 || !wait(false, time)) return -1;
    } else if (count == 0 || errno != EINTR) {
      return -1;
    }
  }
  return static_cast<ssize_t>(sent);
}

void HttpConnection::close_gently(socket_t socket) {
  ::shutdown(socket, SHUT_WR);
  // Closed with bytes unread, the answer would be taken back by a reset.
  char rest[16384];
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(500);
  pollfd poll = {.fd = socket, .events = POLLIN, .revents = 0};
  std::size_t left = 1 << 20;
  while (left > 0 && Clock::now() < end && ::poll(&poll, 1, 50) > 0) {
    const ssize_t count = ::recv(socket, rest, sizeof(rest), MSG_DONTWAIT);
    if (count <= 0) break;
    left -= std::min(left, static_cast<std::size_t>(count));
  }
  ::close(socket);
}

void HttpConnection::get_remote_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address;
  socklen_t length = sizeof(address);
  if (::getpeername(socket_, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    address_of(address, length, ip, port);
  }
}

void HttpConnection::get_local_ip_and_port(std::string& ip, int& port) const {
  sockaddr_storage address;
  socklen_t length = sizeof(address);
  if (::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    address_of(address, length, ip, port);
  }
}

}  // namespace heed::tools
