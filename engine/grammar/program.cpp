#include "grammar/program.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>
#include <tuple>

#include "heed/error.h"

namespace heed::grammar {
namespace {

using Node = Program::Node;
using Kind = Node::Kind;

constexpr std::size_t kMostNodes = std::size_t{1} << 19;
constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// Makes nodes from the end of a rule to its beginning: each knows what comes next.
class Compiler {
 public:
  explicit Compiler(const Grammar& grammar) {
    program_.root = grammar.root;
    for (const Rule& each : grammar.rules) {
      program_.rules.push_back({each.name});
      bodies_.push_back(&each.body);
    }
    // The list grows by what repetitions put into rules of their own.
    for (std::size_t i = 0; i < bodies_.size(); ++i) {
      naming_ = i;
      const std::uint32_t end = add({});
      program_.rules[i].start = build(*bodies_[i], end);
    }
  }

  Program take() { return std::move(program_); }

 private:
  std::uint32_t add(const Node& node) {
    if (program_.nodes.size() == kMostNodes) {
      throw Error(
          fmt::format("grammar: rule '{}': the grammar becomes larger than {} nodes; smaller counts of "
                      "repetitions make it smaller",
                      program_.rules[naming_].name, kMostNodes));
    }
    program_.nodes.push_back(node);
    return static_cast<std::uint32_t>(program_.nodes.size() - 1);
  }
  std::uint32_t add_bytes(std::uint8_t first, std::uint8_t last, std::uint32_t next) {
    return add({Kind::Bytes, first, last, next, 0});
  }
  std::uint32_t add_split(std::uint32_t next, std::uint32_t other) { return add({Kind::Split, 0, 0, next, other}); }

  std::uint32_t build(const Expression& expression, std::uint32_t next) {
    switch (expression.kind) {
      case Expression::Kind::Text:
        for (auto byte = expression.text.rbegin(); byte != expression.text.rend(); ++byte) {
          next = add_bytes(static_cast<std::uint8_t>(*byte), static_cast<std::uint8_t>(*byte), next);
        }
        return next;
      case Expression::Kind::Characters:
        return build_characters(expression.characters, next);
      case Expression::Kind::Rule:
        return add({Kind::Call, 0, 0, next, expression.rule});
      case Expression::Kind::Sequence:
        for (auto part = expression.parts.rbegin(); part != expression.parts.rend(); ++part) next = build(*part, next);
        return next;
      case Expression::Kind::Choice: {
        assert(!expression.parts.empty());
        std::uint32_t all = kNone;
        for (auto part = expression.parts.rbegin(); part != expression.parts.rend(); ++part) {
          const std::uint32_t one = build(*part, next);
          all = all == kNone ? one : add_split(one, all);
        }
        return all;
      }
      case Expression::Kind::Repeat:
        return build_repeat(expression, next);
    }
    return next;
  }

  std::uint32_t build_characters(const std::vector<CodePoints>& ranges, std::uint32_t next) {
    assert(!ranges.empty());
    std::map<std::tuple<std::uint8_t, std::uint8_t, std::uint32_t>, std::uint32_t> shared;
    std::uint32_t all = kNone;
    for (const CodePoints& range : ranges) {
      for (const ByteSequence& bytes : byte_sequences(range)) {
        std::uint32_t one = next;
        for (std::size_t i = bytes.size(); i-- > 0;) {
          const auto [found, added] = shared.try_emplace({bytes[i].first, bytes[i].second, one}, 0);
          if (added) found->second = add_bytes(bytes[i].first, bytes[i].second, one);
          one = found->second;
        }
        all = all == kNone ? one : add_split(one, all);
      }
    }
    return all;
  }

  std::uint32_t build_repeat(const Expression& expression, std::uint32_t next) {
    const Expression* part = &expression.parts.front();
    const std::uint32_t copies = expression.most.value_or(expression.least + 1);
    Expression call;
    if (copies > 1 && !is_small(*part)) {  // each copy is a call, then
      call = rule(static_cast<std::uint32_t>(bodies_.size()));
      bodies_.push_back(part);
      program_.rules.push_back({program_.rules[naming_].name});
      part = &call;
    }
    if (!expression.most) {
      const std::uint32_t loop = add_split(0, next);
      const std::uint32_t again = build(*part, loop);
      program_.nodes[loop].next = again;
      next = loop;
    } else {
      const std::uint32_t end = next;
      for (std::uint32_t i = expression.least; i < *expression.most; ++i) next = add_split(build(*part, next), end);
    }
    for (std::uint32_t i = 0; i < expression.least; ++i) next = build(*part, next);
    return next;
  }

  static bool is_small(const Expression& part) {
    if (part.kind == Expression::Kind::Rule) return true;
    if (part.kind == Expression::Kind::Text) return part.text.size() <= 2;
    return part.kind == Expression::Kind::Characters && part.characters.size() == 1 &&
           part.characters.front().last < 0x80;
  }

  Program program_;
  std::vector<const Expression*> bodies_;
  std::size_t naming_ = 0;  // the rule that is built
};

// Nodes from which the end of their rule is reached: without a byte, or with any.
std::vector<bool> reaching_end(const Program& program, bool over_bytes) {
  const std::vector<Node>& nodes = program.nodes;
  std::vector<std::vector<std::uint32_t>> before(nodes.size());
  std::vector<std::vector<std::uint32_t>> starts(nodes.size());  // rules that start there
  std::vector<std::vector<std::uint32_t>> calls(program.rules.size());
  std::vector<bool> reaching(nodes.size());
  std::vector<bool> ending(program.rules.size());
  std::vector<std::uint32_t> fresh;
  const auto reach = [&](std::uint32_t node) {
    if (reaching[node]) return;
    reaching[node] = true;
    fresh.push_back(node);
  };
  for (std::uint32_t i = 0; i < program.rules.size(); ++i) starts[program.rules[i].start].push_back(i);
  for (std::uint32_t i = 0; i < nodes.size(); ++i) {
    const Node& node = nodes[i];
    if (node.kind == Kind::Accept) reach(i);
    if (node.kind == Kind::Split) before[node.other].push_back(i);
    if (node.kind == Kind::Split || node.kind == Kind::Call || (node.kind == Kind::Bytes && over_bytes)) {
      before[node.next].push_back(i);
    }
    if (node.kind == Kind::Call) calls[node.other].push_back(i);
  }
  while (!fresh.empty()) {
    const std::uint32_t at = fresh.back();
    fresh.pop_back();
    for (const std::uint32_t i : before[at]) {
      if (nodes[i].kind != Kind::Call || ending[nodes[i].other]) reach(i);
    }
    for (const std::uint32_t ended : starts[at]) {
      ending[ended] = true;
      for (const std::uint32_t call : calls[ended]) {
        if (reaching[nodes[call].next]) reach(call);
      }
    }
  }
  return reaching;
}

// Ranks rules by what they may begin with. Tarjan's strongly connected components, over the nodes that are reached
// without a byte: a call within one of them leads back to itself.
class Ranking {
 public:
  explicit Ranking(Program& program) : program_(program), seen_(program.nodes.size()), component_(seen_.size(), kNone) {
    for (std::uint32_t i = 0; i < program.nodes.size(); ++i) {
      if (seen_[i] == 0) search(i);
    }
    for (std::uint32_t i = 0; i < program.nodes.size(); ++i) {
      const Node& node = program.nodes[i];
      if (node.kind != Kind::Call) continue;
      const Program::Rule& called = program.rules[node.other];
      if (component_[called.start] != component_[i]) continue;
      throw Error(
          fmt::format("grammar: the rule '{}' is left recursive: it may begin with itself; let it begin with "
                      "something else, or repeat with *",
                      called.name));
    }
    for (Program::Rule& each : program.rules) each.rank = component_[each.start];
  }

 private:
  // The neighbour `index` of a node, kNone behind the last.
  std::uint32_t neighbour(std::uint32_t at, std::uint32_t index) const {
    const Node& node = program_.nodes[at];
    if (node.kind == Kind::Split && index < 2) return index == 0 ? node.next : node.other;
    if (node.kind != Kind::Call) return kNone;
    if (index == 0) return program_.rules[node.other].start;
    return index == 1 && program_.rules[node.other].nullable ? node.next : kNone;
  }

  void search(std::uint32_t from) {
    struct Place {
      std::uint32_t node, index, low;
    };
    std::vector<Place> path;
    const auto enter = [&](std::uint32_t node) {
      seen_[node] = ++count_;
      open_.push_back(node);
      path.push_back({node, 0, count_});
    };
    enter(from);
    while (!path.empty()) {
      Place& place = path.back();
      const std::uint32_t to = neighbour(place.node, place.index++);
      if (to != kNone) {
        if (seen_[to] == 0) {
          enter(to);
        } else if (component_[to] == kNone) {
          place.low = std::min(place.low, seen_[to]);
        }
        continue;
      }
      const Place done = place;
      path.pop_back();
      if (!path.empty()) path.back().low = std::min(path.back().low, done.low);
      if (done.low != seen_[done.node]) continue;
      while (component_[done.node] == kNone) {
        component_[open_.back()] = components_;
        open_.pop_back();
      }
      ++components_;
    }
  }

  Program& program_;
  std::vector<std::uint32_t> seen_;       // when, from 1
  std::vector<std::uint32_t> component_;  // ascending: what is reached comes before
  std::vector<std::uint32_t> open_;
  std::uint32_t count_ = 0, components_ = 0;
};

void classify_bytes(Program& program) {
  std::array<bool, 257> begins{};
  begins[0] = true;
  for (const Node& node : program.nodes) {
    if (node.kind != Kind::Bytes) continue;
    begins[node.first] = true;
    begins[std::size_t{node.last} + 1] = true;
  }
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (begins[byte]) program.byte_of.push_back(static_cast<std::uint8_t>(byte));
    program.class_of[byte] = static_cast<std::uint8_t>(program.byte_of.size() - 1);
  }
}

}  // namespace

Program compile(const Grammar& grammar) {
  Program program = Compiler(grammar).take();
  const std::vector<bool> empty = reaching_end(program, false);
  const std::vector<bool> some = reaching_end(program, true);
  for (Program::Rule& each : program.rules) {
    each.nullable = empty[each.start];
    if (some[each.start]) continue;
    throw Error(
        fmt::format("grammar: the rule '{}' has no text that ends: every alternative needs another of the same "
                    "kind",
                    each.name));
  }
  Ranking{program};
  classify_bytes(program);
  return program;
}

}  // namespace heed::grammar
