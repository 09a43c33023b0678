#include <fmt/format.h>

#include <algorithm>

#include "heed/error.h"
#include "tools/convert/onnx_import.h"
#include "tools/convert/text.h"

namespace heed::convert {

void OnnxNode::fail(const std::string& message) const {
  throw Error(
      fmt::format("node {} ({}): {}", in_quotes(proto_.name().empty() ? label_ : proto_.name()), op(), message));
}

const onnx::AttributeProto* OnnxNode::find(std::string_view name) const {
  read_.emplace(name);
  for (const onnx::AttributeProto& attribute : proto_.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}

const onnx::AttributeProto* OnnxNode::typed(std::string_view name, int type) const {
  const onnx::AttributeProto* attribute = find(name);
  if (attribute != nullptr && attribute->type() != type) {
    fail(fmt::format("attribute '{}' is of type {}, expected {}", name,
                     onnx::AttributeProto::AttributeType_Name(attribute->type()),
                     onnx::AttributeProto::AttributeType_Name(static_cast<onnx::AttributeProto::AttributeType>(type))));
  }
  return attribute;
}

std::int64_t OnnxNode::integer(std::string_view name, std::int64_t otherwise) const {
  const onnx::AttributeProto* attribute = typed(name, onnx::AttributeProto::INT);
  return attribute == nullptr ? otherwise : attribute->i();
}

double OnnxNode::real(std::string_view name, double otherwise) const {
  const onnx::AttributeProto* attribute = typed(name, onnx::AttributeProto::FLOAT);
  return attribute == nullptr ? otherwise : static_cast<double>(attribute->f());
}

std::string OnnxNode::text(std::string_view name, std::string_view otherwise) const {
  const onnx::AttributeProto* attribute = typed(name, onnx::AttributeProto::STRING);
  return attribute == nullptr ? std::string(otherwise) : attribute->s();
}

std::vector<std::int64_t> OnnxNode::integers(std::string_view name) const {
  const onnx::AttributeProto* attribute = typed(name, onnx::AttributeProto::INTS);
  if (attribute == nullptr) return {};
  return {attribute->ints().begin(), attribute->ints().end()};
}

std::vector<double> OnnxNode::reals(std::string_view name) const {
  const onnx::AttributeProto* attribute = typed(name, onnx::AttributeProto::FLOATS);
  if (attribute == nullptr) return {};
  return {attribute->floats().begin(), attribute->floats().end()};
}

std::vector<std::string> OnnxNode::texts(std::string_view name) const {
  const onnx::AttributeProto* attribute = typed(name, onnx::AttributeProto::STRINGS);
  if (attribute == nullptr) return {};
  return {attribute->strings().begin(), attribute->strings().end()};
}

void OnnxNode::refuse_unread() const {
  for (const onnx::AttributeProto& attribute : proto_.attribute()) {
    if (!read_.contains(attribute.name())) {
      fail(fmt::format("attribute {} is not known to heed", in_quotes(attribute.name())));
    }
  }
}

}  // namespace heed::convert
