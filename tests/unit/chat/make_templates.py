"""Makes templates.json: small templates, each with what transformers' own environment (jinja2) prints of it, or the fact
that it refuses it. Run where transformers is installed: python3 make_templates.py [DIR...]

With folders it writes given.json instead: the templates of the models whose tokenizer_config.json, chat_template.jinja or
*.jinja lies there, with chats of several kinds; HEED_CHAT_CASES=given.json build/tests/unit_chat compares them."""
import datetime
import glob
import json
import os
import sys

import jinja2
from transformers.utils import chat_template_utils

M = [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "Hello <there> & \"you\""},
     {"role": "assistant", "content": "Hi!\n"}, {"role": "user", "content": "Grüße, 你好 'x'"}]
TOOL = {"type": "function", "function": {
    "name": "weather", "description": "Tells the weather", "parameters": {
        "type": "object", "required": ["city"],
        "properties": {"city": {"type": "string", "description": "Which"}, "days": {"type": "integer", "default": 1.5}}}}}
V = {"messages": M, "add_generation_prompt": True, "bos_token": "<s>", "eos_token": "</s>", "tools": None,
     "n": 7, "f": 2.5, "s": "a,b,,c", "u": "Äpfel UND birnen", "l": [3, 1, 2], "d": {"b": 1, "A": [True, None], "c": {"x": 1.0}},
     "words": ["b", "A", "a", "C", "b"], "e": [], "tool": TOOL, "people": [
         {"name": "Ann", "age": 3, "tags": ["x", "y"]}, {"name": "bob", "age": 1}, {"name": "Cid", "age": 2, "ok": True}]}

TEMPLATES = r"""
{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m['content'] | trim }}{{ eos_token }}{% endfor %}
{% for m in messages %}{% if m['role'] == 'user' %}U:{{ m.content }}{% elif m.role == 'system' %}S{% else %}A{% endif %}{% if not loop.last %}, {% endif %}{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }}{{ loop.cycle('o', 'e') }};{% endfor %}
{% for x in e %}x{% else %}none{% endfor %}|{% for x in l if x > 1 %}{{ x }}{{ loop.length }}{% endfor %}|{% for x in l if x > 9 %}{{ x }}{% else %}none{% endfor %}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for (a, b) in [(1, 2), [3, 4]] %}{{ a + b }}{% endfor %}
{% for x in l %}{% for y in l %}{% if y == 1 %}{% continue %}{% endif %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{{ y }}{{ loop.depth0 }} {% endfor %}{% endfor %}
{% set x = 1 %}{% for i in l %}{{ x }}{% set x = i %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 5 %}{% endif %}{{ x }}
{% set ns = namespace(count=0, found=false) %}{% for i in l %}{% set ns.count = ns.count + i %}{% if i == 1 %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.count }}{{ ns.found }}{{ ns.other is defined }}
{% set a, b = 1, 'two' %}{{ a }}{{ b }}{% set t = (1,) %}{{ t }}{{ () }}{{ (1, 2) }}{% set c %}block {{ a }}{% endset %}{{ c }}{% set u2 | upper | replace('B', 'x') %}ab{% endset %}{{ u2 }}
{% macro greet(name, mark='!', n=name) %}Hi {{ name }}{{ mark }}{{ n }}{% endmacro %}{{ greet('A') }}{{ greet('B', '?') }}{{ greet(mark='.', name='C') }}{{ greet() }}
{% macro tree(x, depth=0) %}{% if x is mapping %}{ {% for k, v in x.items() %}{{ k }}:{{ tree(v, depth + 1) }} {% endfor %}}{% elif x is iterable and x is not string %}[{% for v in x %}{{ tree(v) }}{% endfor %}]{% else %}{{ x }}@{{ depth }}{% endif %}{% endmacro %}{{ tree(tool) }}
{% macro late() %}{{ set_later }}{% endmacro %}{% set set_later = 'x' %}{{ late() }}{% for i in l %}{% set set_later = i %}{{ late() }}{% endfor %}
{% generation %}{% set inner = 1 %}a{% endgeneration %}{{ inner is defined }}{% with q = 1, r = 2 %}{{ q + r }}{% endwith %}{{ q is defined }}{% filter upper | trim %} abc {% endfilter %}|
{{ 1 + 2 * 3 ** 2 - 7 // 2 % 2 }} {{ 7 / 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 3 ** 2 }} {{ 1.5 + 1 }} {{ 1e3 }} {{ 10 / 5 }} {{ 2 ** -1 }} {{ -2 ** 2 }} {{ 7.5 // 2 }} {{ -7.5 % 2 }}
{{ 1 + 2 ~ 3 + 4 }}
{{ 1 * 2 ~ 3 * 4 }} {{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'x'] }} {{ 'a' * 3 }} {{ [1] * 2 }} {{ 'a' + 'b' }} {{ [1] + [2] }} {{ 'a' 'b' }} {{ true + 1 }} {{ 3 * 'ab' }}
{{ 1 < 2 < 3 }} {{ 1 < 2 > 5 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' == 1 }} {{ none == none }} {{ [1] == (1,) }} {{ {'a': 1} == {'a': 1.0} }} {{ 1 != 2 }} {{ 2 >= 2 }} {{ 2 <= 1 }}
{{ 'a' in 'abc' }} {{ 4 in l }} {{ 'b' in d }} {{ 'z' not in d }} {{ not 'z' in d }} {{ 'x' in nothing }} {{ 3 in range(4) }} {{ (1, 2) in [(1, 2)] }}
{{ not true or true and false }} {{ 0 or 'x' }} {{ '' and 1 }} {{ none or [] or {} }} {{ 1 if n > 3 else 2 }} {{ 1 if false }}| {{ 'a' if 0 else 'b' if 0 else 'c' }} {{ (1 if true else 2) + 1 }}
{{ l[0] }}{{ l[-1] }}{{ l[9] }}{{ l[::-1] }}{{ l[1:] }}{{ l[:-1] }}{{ l[-2:] }}{{ l[::2] }}{{ l[5:] }}{{ l[2:0:-1] }}{{ 'abcdef'[::-2] }}{{ 'äöü'[1] }}{{ 'äöü'[-9:2] }}{{ (1, 2, 3)[1:] }}{{ l[-1:-10:-1] }}{{ l[1::-1] }}
{{ messages[1:][0].role }}{{ messages[-1]['content'][:5] }}{{ d.c.x }}{{ d['c']['x'] }}{{ d.nothing }}{{ d['nothing'] }}{{ l.0 }}{{ 'abc'.x }}{{ n.x }}
{{ ' x '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ '  a'.lstrip() }}|{{ 'a  '.rstrip() }}|{{ 'abc'.lstrip('ba') }}|{{ s.split(',') }}|{{ ' a  b '.split() }}|{{ 'a b c'.split(' ', 1) }}|{{ 'a b c'.rsplit(' ', 1) }}|{{ 'a-b'.split('-')[-1] }}|{{ ' a b  c '.split(none, 1) }}|{{ 'a b c'.split(maxsplit=1) }}
{{ u.upper() }}{{ u.lower() }}{{ u.title() }}{{ u.capitalize() }}{{ "they're bill's".title() }}{{ 'ΟΔΟΣ'.lower() }}{{ u | upper }}{{ u | lower }}{{ "they're bill-x (y)" | title }}{{ u | capitalize }}
{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'a.b.a'.replace('a', 'xx') }}{{ 'aaa'.replace('a', 'b', 2) }}{{ 'abc'.replace('', '-') }}{{ 'abc'.find('c') }}{{ 'abc'.find('x') }}{{ 'abcabc'.rfind('c') }}{{ 'abca'.count('a') }}{{ 'äbc'.index('b') }}{{ '-'.join(['a', 'b']) }}{{ 'xay'.partition('a') }}{{ 'xay'.rpartition('q') }}{{ 'xay'.removeprefix('x') }}{{ 'xay'.removesuffix('y') }}
{{ '12'.isdigit() }}{{ 'a1'.isalpha() }}{{ 'a1'.isalnum() }}{{ ' '.isspace() }}{{ 'AB'.isupper() }}{{ 'aB'.islower() }}{{ ''.isdigit() }}{{ 'a\nb\r\nc\n'.splitlines() }}{{ 'a\nb'.splitlines(true) }}
{{ d.keys() | list }}{{ d.values() | list }}{{ d.items() | list }}{{ d.get('b') }}{{ d.get('q') }}{{ d.get('q', 5) }}{{ d | length }}{{ d | list }}{{ d.items() | length }}{{ d.copy() == d }}
{{ d | tojson }}|{{ d | tojson(indent=2) }}|{{ tool | tojson(indent=4) }}|{{ 'ü\n"\\/<&' | tojson }}|{{ [] | tojson(indent=2) }}{{ {} | tojson(indent=1) }}|{{ [1, 2.0, 1e20, none, true, 'x'] | tojson }}|{{ {1: 2, none: 3, true: 4} | tojson }}
{{ d | tojson(separators=(',', ':')) }}|{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}|{{ 'ü😀' | tojson(ensure_ascii=true) }}|{{ tool | tojson(indent='\t') }}|{{ (1, 2) | tojson }}
{{ l | first }}{{ l | last }}{{ e | first }}{{ 'abc' | first }}{{ 'abc' | last }}{{ l | length }}{{ l | count }}{{ l | sum }}{{ people | sum(attribute='age') }}{{ l | max }}{{ l | min }}{{ words | max }}{{ 'ba' | reverse }}{{ l | reverse | list }}
{{ l | sort }}{{ l | sort(reverse=true) }}{{ words | sort }}{{ words | sort(case_sensitive=true) }}{{ people | sort(attribute='age') | map(attribute='name') | join(', ') }}{{ d | dictsort }}{{ d | dictsort(true) }}{{ {'a': 2, 'b': 1} | dictsort(by='value') }}{{ {'a': 2, 'b': 1} | dictsort(reverse=true) }}{{ words | unique | list }}{{ words | unique(true) | list }}
{{ people | map(attribute='name') | list }}{{ people | map(attribute='ok', default='-') | list }}{{ words | map('upper') | join }}{{ [' a ', 'b '] | map('trim') | list }}{{ ['ab', 'cb'] | map('replace', 'b', 'x') | list }}{{ people[:1] | map(attribute='tags.0') | list }}
{{ people | selectattr('ok') | list | length }}{{ people | rejectattr('ok', 'defined') | map(attribute='name') | list }}{{ people | selectattr('age', 'gt', 1) | map(attribute='name') | list }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | selectattr('role', 'in', ['user', 'system']) | map(attribute='role') | list }}{{ l | select('odd') | list }}{{ [0, 1, '', 'a'] | select | list }}{{ l | reject('equalto', 1) | list }}
{% set it = messages | selectattr('role', 'equalto', 'none') %}{% if it %}true of nothing{% endif %}{% set i2 = l | map('string') %}{{ i2 | list }}{{ i2 | list }}{% set i3 = l | map('string') %}{{ i3 | first }}{{ i3 | list }}{{ '1' in (l | map('string')) }}
{{ nothing | default('x') }}{{ '' | default('y') }}{{ '' | default('y', true) }}{{ none | d('z') }}{{ nothing | d }}{{ false | default('q', boolean=true) }}{{ nothing.x | default('x') if nothing is defined else 'no' }}
{{ '3' | int }}{{ '3.9' | int }}{{ 'x' | int }}{{ 'x' | int(5) }}{{ 3.9 | int }}{{ '0x1f' | int(base=16) if false else '1f' | int(base=16) }}{{ '2.5' | float }}{{ 'x' | float }}{{ 2 | float }}{{ 2.567 | round(2) }}{{ 2.5 | round }}{{ 3.5 | round }}{{ 2.1 | round(method='ceil') }}{{ 2.19 | round(1, 'floor') }}{{ -3 | abs }}{{ (-3.5) | abs }}{{ true | int }}{{ none | int }}
{{ 3 | string ~ 'x' }}{{ [1] | string }}{{ 'abc' | list }}{{ '<b>' | safe }}{{ [1, 'a', none] | join('-') }}{{ l | join }}{{ 'abc' | replace('b', 'x') }}{{ 12 | replace(1, 'x') }}{{ '  a ' | trim }}{{ 'xax' | trim('x') }}{{ 5 | trim }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb\n\nc' | indent(2, true) }}|{{ 'a\nb\n\nc\n' | indent(width=3, blank=true) }}|{{ 'a\nb' | indent('> ') }}|{{ '' | indent }}|{{ 'a\n' | indent(1) }}|
{{ d | items | list }}{{ nothing | items | list }}{{ range(3) | list }}{{ range(1, 6, 2) | list }}{{ range(3, 0, -1) | list }}{{ range(5) | length }}{{ range(5)[2] }}{{ dict(a=1, b='x') }}{{ dict({'a': 1}, b=2) }}
{{ n is defined }}{{ nothing is defined }}{{ nothing is undefined }}{{ none is none }}{{ n is not none }}{{ s is string }}{{ n is string }}{{ d is mapping }}{{ l is mapping }}{{ l is iterable }}{{ s is iterable }}{{ n is iterable }}{{ l is sequence }}{{ d is sequence }}{{ s is sequence }}{{ n is sequence }}{{ nothing is sequence }}{{ (l | map('string')) is sequence }}{{ d.items() is sequence }}{{ range(2) is sequence }}
{{ n is number }}{{ true is number }}{{ s is number }}{{ true is boolean }}{{ 1 is boolean }}{{ n is integer }}{{ true is integer }}{{ f is float }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ 0 is false }}{{ n is odd }}{{ n is even }}{{ n is divisibleby 7 }}{{ n is divisibleby(2) }}{{ n is eq 7 }}{{ n is equalto 7 }}{{ n is ne(7) }}{{ n is gt 3 }}{{ n is lessthan(3) }}{{ n is ge 7 }}{{ n is in [7] }}{{ n is not in [7] }}{{ 'a' is lower }}{{ 'Ab' is upper }}{{ true is sameas true }}{{ none is sameas(none) }}{{ greet is callable }}
{{ [1, 'a', "it's", 'q"', 'x\ny', none, true, 1.0, 1e16, 1e-5, 123456789.125, 'ü', '\t\\', {'k': (1,)}, '\x07\u200b\u00a0'] }}
{{ 'a\tb\x41\u00e9\'\"\\n' }}{{ "it's" }}{{ 'x\qy' }}{{ '\U0001F600' }}{{ 1_000 if false else 1000 }}
  {% if true %}  
   a {%- if true -%}  b  {%- endif %}  c
  {%+ if true %}d{% endif +%}

	{# comment #}  
e {#- x -#}  f {# y +#}
{{- 'g' -}}  
h {{ 'i' }}   
  {% set k = 1 %}
 j {% set k = 2 %} k
{% raw %}{{ raw {% x %} }}{% endraw %}|{%- raw -%}  a  {%- endraw -%}  |{{ '{{' }}{{ '%}' }}{{ {'a': {'b': 1}}['a'] }}{ { } % }{% if '}}' == '%}' %}{% endif %}#}{ #
{{ raise_exception('Only ' ~ n ~ ' roles') }}
{% if messages[0].role != 'user' %}{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}
{{ nothing.x.y }}
{{ nothing() }}
{{ none.x }}|{{ none['x'] }}
{{ 'a' + 1 }}
{{ l.append(4) }}
{{ d.update({'x': 1}) }}
{{ d.pop('b') }}
{{ 'a'.nothing() }}
{{ 1 / 0 }}
{{ l | nofilter }}
{{ l is notest }}
{% include 'x' %}
{% for x in l recursive %}{{ loop(x) }}{% endfor %}
{{ undefined_function(1) }}
{{ tree }
{% if true %}
{{ 'abc }}
{{ (1 }}
{% endfor %}
{{ greet(1, 2, 3, 4) }}
{{ nothing | tojson }}
{{ 5 in 'abc' }}
{{ (l | map('string')) | length }}
{{ none | length }}
{{ n | join }}
{% for x in n %}{% endfor %}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}
{% set n.x = 1 %}
{% for a, b in [[1, 2, 3]] %}{% endfor %}
{{ [3, 'a'] | sort }}
{{ l['x'] }}{{ s['x'] }}{{ l[none] }}|{{ d[none] }}{{ s[l] if false }}
{{ '%s' | trim }}{{ messages | map(attribute='content') | map('length') | list }}{{ messages | length > 3 and messages[0]['role'] == 'system' }}
{{ messages[0]['content'] | trim | length }}{{ messages | last }}{{ (messages | last)['role'] }}{{ messages[-1].content is string and 'x' in messages[-1].content }}
{%- for m in messages -%}
  {%- if loop.first and m.role == 'system' -%}
    {{- '<|system|>\n' + m.content + '\n' -}}
  {%- else %}
    {{- '<|' + m['role'] + '|>\n' + m['content'] | trim + eos_token + '\n' }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>\n' }}
{%- endif %}
"""


def cases():
    """The lines above; from an indented line or one that begins with {%- to the next that does not, they are one."""
    whole = TEMPLATES.strip("\n").split("\n")
    starts = [i for i, line in enumerate(whole) if line.startswith(("{{ ", "{% ", "  {% if true %}  "))]
    starts = [i for i in starts if not (whole[i].startswith("{% raw") and i and whole[i - 1].startswith(" j"))]
    multi = next(i for i, line in enumerate(whole) if line.startswith("{%- for m in messages"))
    begin = next(i for i, line in enumerate(whole) if line == "  {% if true %}  ")
    end = next(i for i, line in enumerate(whole) if line.startswith("{% raw"))
    singles = [line for i, line in enumerate(whole) if not begin <= i < end and i < multi]
    return singles + ["\n".join(whole[begin:end]) + "\n{% endif %}\n", "\n".join(whole[multi:]) + "\n", "a\r\n{% if true %}\r\nb\r{% endif %}\n\n",
                      "\n", "", "{# only #}\n", "a{{ 1 }}\n{{ 2 }}\n\n", "{%- set x -%} y {%- endset %}[{{ x }}]", "{{ strftime_now('%d %b %Y %H:%M%z%Z') }}",
                      "{% if x is defined and x %}{% endif %}{{ tools is none }}{{ tools is defined }}"]


NOW = datetime.datetime(2024, 7, 5, 13, 2, 3)


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return NOW


chat_template_utils.datetime = FixedTime


def case(name, template, variables):
    made = {"name": name, "template": template, "variables": variables}
    try:
        made["expected"] = chat_template_utils._compile_jinja_template(template).render(**variables)
    except (jinja2.exceptions.TemplateError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
        made["refused"] = type(error).__name__ + ": " + str(error)
    return made


def given(folders):
    """Chats of several kinds for the templates in these folders."""
    user = {"role": "user", "content": "What is 2+2?"}
    answer = {"role": "assistant", "content": "<think>\nsum\n</think>\n\nIt is 4."}
    system = {"role": "system", "content": "You are helpful.\n"}
    call = {"role": "assistant", "content": "", "tool_calls": [
        {"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"city": "Köln", "days": 2}}}]}
    result = {"role": "tool", "tool_call_id": "abcdefghi", "name": "weather", "content": "{\"sun\": true}"}
    parts = {"role": "user", "content": [{"type": "text", "text": "Hello "}, {"type": "text", "text": "parts"}]}
    chats = [("user", [user]), ("system", [system, user]), ("turns", [user, answer, user]),
             ("system turns", [system, user, answer, user]), ("answer", [user, answer]), ("call", [user, call, result]),
             ("call answer", [system, user, call, result, answer, user]), ("parts", [parts]), ("two users", [user, user]), ("empty", [{"role": "user", "content": ""}])]
    for folder in folders:
        paths = sorted(glob.glob(os.path.join(folder, "**", "*"), recursive=True))
        for path in paths:
            tokens = {}
            if path.endswith(".jinja"):
                templates = {"default": open(path, encoding="utf-8").read()}
                tokens = {"bos_token": "<s>", "eos_token": "</s>"}
            elif os.path.basename(path) == "tokenizer_config.json":
                config = json.load(open(path, encoding="utf-8"))
                templates = config.get("chat_template") or {}
                if isinstance(templates, str):
                    templates = {"default": templates}
                elif isinstance(templates, list):
                    templates = {t["name"]: t["template"] for t in templates}
                for key in ("bos_token", "eos_token", "unk_token", "pad_token"):
                    token = config.get(key)
                    token = token.get("content") if isinstance(token, dict) else token
                    if isinstance(token, str):
                        tokens[key] = token
            else:
                continue
            for name, template in templates.items():
                for kind, messages in chats:
                    for tools in (None, [TOOL]):
                        for prompt in (True, False):
                            variables = {**tokens, "messages": messages, "tools": tools, "documents": None,
                                         "add_generation_prompt": prompt}
                            yield case(f"{os.path.relpath(path, folder)} {name} {kind} tools={tools is not None} {prompt}", template, variables)
                yield case(f"{path} {name} no thinking", template, {**tokens, "messages": [user], "tools": None, "documents": None,
                                                                 "add_generation_prompt": True, "enable_thinking": False, "thinking": True,
                                                                 "reasoning_effort": "low"})


if __name__ == "__main__":
    if len(sys.argv) > 1:
        made, out = list(given(sys.argv[1:])), "given.json"
    else:
        made, out = [case(f"case {i}", t, V) for i, t in enumerate(cases())], "templates.json"
        shared = made[0]["variables"]
        for one in made:
            del one["variables"]
        made = {"variables": shared, "cases": made}
    with open(out, "w", encoding="utf-8") as file:
        json.dump({"cases": made} if isinstance(made, list) else made, file, ensure_ascii=False, indent=1)
        file.write("\n")
    everything = made if isinstance(made, list) else made["cases"]
    print(len(everything), "cases,", sum("refused" in c for c in everything), "refused")
