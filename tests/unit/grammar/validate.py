"""Holds texts against their schemas with jsonschema. usage: python3 validate.py FILE

FILE is a JSON array of {"schema": TEXT, "texts": [TEXT, ...]}. Prints what is not valid; the exit code is then 1.
"""

import datetime
import json
import sys

import jsonschema

validators = jsonschema.validators
formats = jsonschema.FormatChecker()


# jsonschema knows these with packages that are seldom there.
@formats.checks("date-time", ValueError)
def is_date_time(value):
    return "T" in value and datetime.datetime.fromisoformat(value).tzinfo is not None


@formats.checks("time", ValueError)
def is_time(value):
    return is_date_time("2000-01-01T" + value)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        cases = json.load(file)
    wrong = checked = 0
    for case in cases:
        schema = json.loads(case["schema"])
        # Lists of schemas in "items" are of draft 7.
        old = isinstance(schema, dict) and isinstance(schema.get("items"), list)
        kind = validators.Draft7Validator if old else validators.Draft202012Validator
        checker = kind(schema, format_checker=formats)
        for text in case["texts"]:
            checked += 1
            try:
                errors = [error.message for error in checker.iter_errors(json.loads(text))]
            except json.JSONDecodeError as error:
                errors = [str(error)]
            if errors:
                wrong += 1
                print(f"{case['schema']}\n  {text}\n  {errors[0]}")
    print(f"{checked} texts, {wrong} wrong")
    return 1 if wrong or not checked else 0


sys.exit(main())
