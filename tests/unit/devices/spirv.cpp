#include "tests/unit/devices/spirv.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "heed/error.h"

namespace heed {
namespace {

// Numbers of the SPIR-V specification, sections 3.20, 3.31 and 3.49.
enum : std::uint32_t {
  kOpCapability = 17,
  kOpTypeBool = 20,
  kOpTypeInt = 21,
  kOpTypeFloat = 22,
  kOpTypeVector = 23,
  kOpTypeMatrix = 24,
  kOpTypeArray = 28,
  kOpTypeStruct = 30,
  kOpTypePointer = 32,
  kOpConstantTrue = 41,
  kOpConstantFalse = 42,
  kOpConstant = 43,
  kOpConstantComposite = 44,
  kOpSpecConstantTrue = 48,
  kOpSpecConstantFalse = 49,
  kOpSpecConstant = 50,
  kOpSpecConstantComposite = 51,
  kOpSpecConstantOp = 52,
  kOpFunction = 54,
  kOpVariable = 59,
  kOpDecorate = 71,
  kOpCompositeExtract = 81,
};
constexpr std::uint32_t kSpecId = 1, kBuiltIn = 11, kWorkgroupSize = 25, kWorkgroup = 4, kPushConstant = 9;

struct Reader {
  std::map<std::uint32_t, std::uint32_t> spec_id;               // of results
  std::map<std::uint32_t, std::uint64_t> value;                 // of constants
  std::map<std::uint32_t, std::vector<std::uint32_t>> members;  // of composites
  std::map<std::uint32_t, std::uint64_t> bytes;                 // of types
  std::map<std::uint32_t, std::uint32_t> pointee;
  std::uint32_t size_id = 0;
  std::span<const std::uint32_t> specialization;

  std::uint64_t constant(std::uint32_t id) const {
    const auto found = value.find(id);
    if (found == value.end()) throw Error(fmt::format("SPIR-V: %{} is no constant that is known", id));
    return found->second;
  }
  std::uint64_t specialised(std::uint32_t id, std::uint64_t otherwise) const {
    const auto found = spec_id.find(id);
    return found != spec_id.end() && found->second < specialization.size() ? specialization[found->second] : otherwise;
  }

  std::uint64_t operate(std::uint32_t op, std::span<const std::uint32_t> of) const {
    if (op == kOpCompositeExtract) return constant(members.at(of[0]).at(of[1]));
    const auto a = static_cast<std::uint32_t>(constant(of[0]));
    const auto b = of.size() > 1 ? static_cast<std::uint32_t>(constant(of[1])) : 0;
    const auto signed_a = static_cast<std::int32_t>(a), signed_b = static_cast<std::int32_t>(b);
    switch (op) {
      case 124:  // OpBitcast
        return a;
      case 128:
        return a + b;
      case 130:
        return a - b;
      case 132:
        return a * b;
      case 134:
        return a / b;
      case 135:
        return static_cast<std::uint32_t>(signed_a / signed_b);
      case 137:
        return a % b;
      case 166:
        return a != 0 || b != 0;
      case 167:
        return a != 0 && b != 0;
      case 168:
        return a == 0;
      case 169:
        return a != 0 ? b : constant(of[2]);
      case 170:
        return a == b;
      case 171:
        return a != b;
      case 172:
        return a > b;
      case 173:
        return signed_a > signed_b;
      case 174:
        return a >= b;
      case 175:
        return signed_a >= signed_b;
      case 176:
        return a < b;
      case 177:
        return signed_a < signed_b;
      case 178:
        return a <= b;
      case 179:
        return signed_a <= signed_b;
      case 194:
        return a >> b;
      case 196:
        return a << b;
      case 197:
        return a | b;
      case 199:
        return a & b;
      default:
        throw Error(fmt::format("SPIR-V: constant operation {} is not known", op));
    }
  }
};

}  // namespace

ShaderNeeds shader_needs(std::span<const std::uint32_t> words, std::span<const std::uint32_t> specialization) {
  constexpr std::size_t kHeader = 5;
  Reader r;
  r.specialization = specialization;
  ShaderNeeds needs;
  for (std::size_t at = kHeader; at < words.size();) {
    const std::uint32_t op = words[at] & 0xffff, count = words[at] >> 16;
    if (count == 0 || at + count > words.size()) throw Error("SPIR-V: an instruction runs past the end");
    const std::span<const std::uint32_t> w = words.subspan(at, count);
    at += count;
    if (op == kOpFunction) break;
    switch (op) {
      case kOpCapability:
        needs.capabilities.insert(w[1]);
        break;
      case kOpDecorate:
        if (w[2] == kSpecId) {
          r.spec_id[w[1]] = w[3];
          needs.constants = std::max<std::size_t>(needs.constants, w[3] + 1);
        }
        if (w[2] == kBuiltIn && w[3] == kWorkgroupSize) r.size_id = w[1];
        break;
      case kOpTypeBool:
        r.bytes[w[1]] = 4;
        break;
      case kOpTypeInt:
      case kOpTypeFloat:
        r.bytes[w[1]] = w[2] / 8;
        break;
      case kOpTypeVector:
      case kOpTypeMatrix:
        r.bytes[w[1]] = r.bytes.at(w[2]) * w[3];
        break;
      case kOpTypeArray:
        // What is behind a descriptor has a stride of its own; of workgroup variables this is the size.
        r.bytes[w[1]] = r.bytes.contains(w[2]) ? r.bytes.at(w[2]) * r.constant(w[3]) : 0;
        break;
      case kOpTypeStruct: {
        std::uint64_t sum = 0;
        for (const std::uint32_t member : w.subspan(2)) sum += r.bytes.contains(member) ? r.bytes.at(member) : 0;
        r.bytes[w[1]] = sum;
        break;
      }
      case kOpTypePointer:
        r.pointee[w[1]] = w[3];
        break;
      case kOpConstantTrue:
      case kOpConstantFalse:
        r.value[w[2]] = op == kOpConstantTrue;
        break;
      case kOpSpecConstantTrue:
      case kOpSpecConstantFalse:
        r.value[w[2]] = r.specialised(w[2], op == kOpSpecConstantTrue);
        break;
      case kOpConstant:
        r.value[w[2]] = w[3];
        break;
      case kOpSpecConstant:
        r.value[w[2]] = r.specialised(w[2], w[3]);
        break;
      case kOpConstantComposite:
      case kOpSpecConstantComposite:
        r.members[w[2]].assign(w.begin() + 3, w.end());
        break;
      case kOpSpecConstantOp:
        r.value[w[2]] = r.operate(w[3], w.subspan(4));
        break;
      case kOpVariable:
        if (w[3] == kWorkgroup) needs.shared_memory += r.bytes.at(r.pointee.at(w[1]));
        if (w[3] == kPushConstant) needs.push_constants = r.bytes.at(r.pointee.at(w[1]));
        break;
      default:
        break;
    }
  }
  if (r.size_id != 0) {
    for (std::size_t i = 0; i < 3; ++i) {
      needs.workgroup_size[i] = static_cast<std::uint32_t>(r.constant(r.members.at(r.size_id).at(i)));
    }
  }
  return needs;
}

}  // namespace heed
