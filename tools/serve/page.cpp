#include "tools/serve/page.h"

#include <fmt/format.h>

#include <string>

#include "tools/serve/ids.h"
#include "tools/serve/server.h"

namespace heed::tools {
namespace {

/// The page with this answer's nonce: texts of models that came to be taken for HTML could not run, since they cannot
/// know it.
std::string page_with(const std::string& nonce) {
  constexpr std::string_view kPlace = "@NONCE@";
  std::string page(kPage);
  for (std::size_t at = 0; (at = page.find(kPlace, at)) != std::string::npos;) page.replace(at, kPlace.size(), nonce);
  return page;
}

}  // namespace

void add_page_route(Server& server) {
  // Without a key, which the page asks for: it says nothing of the server.
  server.http().get(
      "/",
      [](const httplib::Request&, httplib::Response& response) {
        const std::string nonce = random_id({});
        response.set_header("Content-Security-Policy",
                            fmt::format("default-src 'none'; script-src 'nonce-{0}'; style-src 'nonce-{0}'; "
                                        "img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                                        "frame-ancestors 'none'",
                                        nonce));
        response.set_header("X-Content-Type-Options", "nosniff");
        response.set_header("Referrer-Policy", "no-referrer");
        response.set_header("Cache-Control", "no-store");  // a nonce serves once
        response.set_content(page_with(nonce), "text/html; charset=utf-8");
      },
      true);
}

}  // namespace heed::tools
