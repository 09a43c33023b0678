#pragma once

#include <string_view>

#include "grammar/syntax.h"

namespace heed::grammar {

/// The JSON texts that a schema lets be: of JSON Schema the keywords type, enum, const, properties, required,
/// additionalProperties, items, prefixItems, minItems, maxItems, minLength, maxLength, pattern, format, minimum,
/// maximum, exclusiveMinimum, exclusiveMaximum, allOf, anyOf, oneOf, and $ref within the document. Every text is valid
/// by the schema, but not every valid text is one: properties come in the order in which they stand; others come only
/// where additionalProperties says so, or where there are none; more items than prefixItems has only where items says
/// so; white space is one space or a new line with up to 20 spaces or tabs; numbers have up to 15 digits before and
/// behind the point.
///
/// oneOf lets be what anyOf does; so alternatives of it are refused that a value could be valid by two of: each two
/// must be told apart by type, const, or enum, of the value or of a property that both require. So is an $id that is
/// not the root's, since it changes where $ref leads.
///
/// Throws Error naming the place of what is not understood, as a JSON pointer, for a schema that nothing is valid by,
/// and for what passes the limits, before it takes much.
Grammar parse_json_schema(std::string_view schema);

}  // namespace heed::grammar
