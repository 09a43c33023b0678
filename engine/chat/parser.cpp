#include "chat/parser.h"

#include <algorithm>
#include <array>

#include "chat/expression_parser.h"

namespace heed::chat {
namespace {

/// Tags of Jinja and its extensions that no chat template needs, or that would read other files.
constexpr std::array<std::string_view, 10> kRefusedTags = {"include", "import", "from",  "extends", "block",
                                                           "call",    "do",     "trans", "debug",   "autoescape"};

using EndNames = std::initializer_list<std::string_view>;

class Parser {
 public:
  explicit Parser(std::string_view source) : in_(cut_template(source)) {}

  Body run() {
    Body body = parse_body({});
    if (!in_.is_at(Token::Kind::End)) in_.fail_here("the end of the template");
    return body;
  }

 private:
  using Kind = Statement::Kind;

  /// Statements up to {% NAME of one of `ends`, whose name is then current; without, up to the end of the template.
  Body parse_body(EndNames ends) {
    const Work::Level level(in_.work());
    Body body;
    while (!in_.is_at(Token::Kind::End)) {
      Statement statement;
      statement.line = in_.current().line;
      in_.work().line = statement.line;
      if (in_.is_at(Token::Kind::Data)) {
        statement.text = in_.next().text;
      } else if (in_.is_at(Token::Kind::VariableBegin)) {
        in_.next();
        statement.kind = Kind::Output;
        statement.expression = in_.parse_tuple();
        if (!in_.is_at(Token::Kind::VariableEnd)) in_.fail_here("'}}'");
        in_.next();
      } else {
        in_.next();  // {%
        if (std::ranges::any_of(ends, [&](std::string_view end) { return in_.is_name(end); })) return body;
        parse_tag(statement);
      }
      body.push_back(std::move(statement));
    }
    if (ends.size() > 0) in_.work().fail("'{}' is missing", *(ends.end() - 1));
    return body;
  }

  /// The body of a tag that one other ends.
  Body parse_body_to(std::string_view end) {
    Body body = parse_body({end});
    in_.next();
    end_tag();
    return body;
  }

  void end_tag() {
    if (!in_.is_at(Token::Kind::BlockEnd)) in_.fail_here("'%}'");
    in_.next();
  }

  void parse_tag(Statement& statement) {
    const std::string name = in_.expect_any_name();
    if (name == "if") return parse_if(statement);
    if (name == "for") return parse_for(statement);
    if (name == "set") return parse_set(statement);
    if (name == "macro") return parse_macro(statement);
    if (name == "with") return parse_with(statement);
    if (name == "generation") {
      end_tag();
      statement.kind = Kind::Scope;
      ++scopes_;
      statement.body = parse_body_to("endgeneration");
      --scopes_;
      return;
    }
    if (name == "filter") {
      statement.kind = Kind::Filter;
      statement.expression = in_.parse_filters(nullptr, true);
      end_tag();
      ++scopes_;
      statement.body = parse_body_to("endfilter");
      --scopes_;
      return;
    }
    if (name == "break" || name == "continue") {
      if (loops_ == 0) in_.work().fail("'{}' stands outside of a loop", name);
      statement.kind = name == "break" ? Kind::Break : Kind::Continue;
      return end_tag();
    }
    if (std::ranges::find(kRefusedTags, name) != kRefusedTags.end()) {
      in_.work().fail("the tag '{}' is not supported", name);
    }
    in_.work().fail("there is no tag '{}', or it does not stand here", name);
  }

  void parse_if(Statement& statement) {
    statement.kind = Kind::If;
    while (true) {
      ExpressionPtr condition = in_.parse_tuple(false);
      end_tag();
      statement.branches.push_back({std::move(condition), parse_body({"elif", "else", "endif"})});
      if (!in_.skip_name("elif")) break;
    }
    if (in_.skip_name("else")) {
      end_tag();
      statement.otherwise = parse_body({"endif"});
    }
    in_.expect_name("endif");
    end_tag();
  }

  void parse_for(Statement& statement) {
    statement.kind = Kind::For;
    statement.target = in_.parse_target(false);
    in_.expect_name("in");
    statement.expression = in_.parse_tuple(false);
    if (in_.skip_name("if")) statement.condition = in_.parse_expression();
    if (in_.is_name("recursive")) in_.work().fail("recursive loops are not supported");
    end_tag();
    ++scopes_;
    ++loops_;
    statement.body = parse_body({"else", "endfor"});
    --loops_;
    if (in_.skip_name("else")) {
      end_tag();
      statement.otherwise = parse_body({"endfor"});
    }
    --scopes_;
    in_.expect_name("endfor");
    end_tag();
  }

  void parse_set(Statement& statement) {
    statement.target = in_.parse_target(true);
    if (in_.skip_operator("=")) {
      statement.kind = Kind::Set;
      statement.expression = in_.parse_tuple();
      return end_tag();
    }
    statement.kind = Kind::SetBlock;
    statement.expression = in_.parse_filters(nullptr, false);
    end_tag();
    if (statement.target.unpacks) in_.work().fail("a block is set to several names");
    ++scopes_;
    statement.body = parse_body_to("endset");
    --scopes_;
  }

  void parse_macro(Statement& statement) {
    // One that is made anew in each round of a loop would have to keep the round's variables.
    if (scopes_ > 0) in_.work().fail("a macro within a loop, a macro or a block is not supported");
    statement.kind = Kind::Macro;
    statement.text = in_.expect_any_name();
    statement.parameters = in_.parse_parameters();
    end_tag();
    const int loops = std::exchange(loops_, 0);
    ++scopes_;
    statement.body = parse_body_to("endmacro");
    --scopes_;
    loops_ = loops;
  }

  void parse_with(Statement& statement) {
    statement.kind = Kind::With;
    while (!in_.is_at(Token::Kind::BlockEnd)) {
      if (!statement.assignments.empty()) in_.expect_operator(",");
      Target target;
      target.names.push_back(in_.expect_any_name());
      in_.expect_operator("=");
      statement.assignments.emplace_back(std::move(target), in_.parse_expression());
    }
    end_tag();
    ++scopes_;
    statement.body = parse_body_to("endwith");
    --scopes_;
  }

  ExpressionParser in_;
  int scopes_ = 0;
  int loops_ = 0;
};

}  // namespace

Body parse_template(std::string_view source) { return Parser(source).run(); }

}  // namespace heed::chat
