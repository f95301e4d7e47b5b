"""The grammar of Blop, in a notation of our own, as the compiler `blop-language` 0.9 reads it.

One rule a line, `rule = first | second`: the first alternative that fits wins (a parsing
expression grammar). Capitals and quoted marks are token kinds, small letters are rules, `label:`
gives a part a name, `?` and `*` have their usual meaning. `gap` is one space or a line break.
The alternatives are in the compiler's order, because the order decides what is accepted.
"""

from typing import NamedTuple


class Part(NamedTuple):
    """One part of an alternative."""

    symbol: str
    label: str
    repeat: str  # "", "?" or "*"
    is_token: bool


Grammar = dict[str, tuple[tuple[Part, ...], ...]]

RULES = r"""
program       = global line* END | line* END
line          = NEWLINE global after? | NEWLINE comment?
inner         = NEWLINE SPACE? SPACES? step after? | NEWLINE SPACE? SPACES? comment?
after         = SPACE COMMENT | SPACE MULTILINE_COMMENT
comment       = COMMENT | MULTILINE_COMMENT
global        = condition | assign | assign_step | tag | class | try | for | while | import | only
              | THROW exp
only          = exp
step          = condition | assign | assign_step | tag | class | try | for | while
              | RETURN exp? | THROW exp | only | BREAK | CONTINUE
assign        = name:NAME annotation? SPACE again:':=' SPACE exp
              | name:NAME annotation? SPACE '=' SPACE exp
              | unpack SPACE '=' SPACE exp | path:NAME access SPACE '=' SPACE exp
assign_step   = name:NAME annotation? SPACE STEP_ASSIGN SPACE exp
              | name:NAME access SPACE STEP_ASSIGN SPACE exp
for           = FOR value:NAME SPACE IN items:exp annotation? SPACE '{' inner* '}'
             
              | FOR key:NAME annotation? ',' SPACE value:NAME SPACE IN items:exp annotation? SPACE
                '{' inner* '}'
while         = WHILE exp SPACE '{' inner* '}'
condition     = IF exp SPACE '{' inner* '}' else?
else          = SPACE ELSEIF exp SPACE '{' inner* '}' else | SPACE ELSEIF exp SPACE '{' inner* '}'
              | SPACE ELSE '{' inner* '}' | SPACE?
try           = TRY '{' inner* '}' SPACE CATCH name:NAME SPACE '{' caught:inner* '}'
function      = async:ASYNC? DEF name:NAME? '(' ')' annotation? SPACE body
              | async:ASYNC? DEF name:NAME? '(' params ')' annotation? SPACE body
              | async:ASYNC? '(' params ')' annotation? SPACE '=>' SPACE arrow_body
              | async:ASYNC? '(' ')' annotation? SPACE '=>' SPACE arrow_body
body          = '{' inner* '}'
arrow_body    = '{' inner* '}' | exp
params        = name:NAME '=' exp annotation? ',' SPACE params | name:NAME '=' exp annotation?
              | name:NAME annotation? ',' SPACE params | name:NAME annotation?
annotation    = ':' SPACE NAME
call          = '(' break? arguments ')' | '(' ')'
arguments     = NAME '=' exp | exp ',' gap arguments | exp
named_call    = name:NAME call
class         = CLASS name:NAME SPACE EXTENDS NAME SPACE '{' member* '}'
              | CLASS name:NAME SPACE '{' member* '}'
member        = NEWLINE SPACE? SPACES? method after? | NEWLINE SPACE? SPACES? comment?
method        = async:ASYNC? DEF name:NAME? '(' ')' annotation? SPACE body
              | async:ASYNC? DEF name:NAME? '(' params ')' annotation? SPACE body
gap           = SPACE | break
break         = NEWLINE SPACE? SPACES?
array         = '[' NEWLINE? SPACES? elements NEWLINE? SPACES? ']' | '[' ']'
elements      = exp ',' gap elements | exp
object        = '{' gap pairs gap '}' | '{' '}'
pairs         = key ':' SPACE exp ',' gap pairs | same:key ',' gap pairs | key ':' SPACE exp
              | same:key
key           = STRING | NAME
unpack        = '{' SPACE names gap '}'
names         = name:NAME ',' gap names | NAME SPACE AS name:NAME ',' gap names
              | NAME SPACE AS name:NAME | name:NAME
import        = IMPORT name:NAME SPACE FROM STRING
              | IMPORT '{' SPACE names SPACE '}' SPACE FROM STRING
              | IMPORT STRING SPACE AS name:NAME | IMPORT file:STRING
tag           = '<' opening:NAME attribute* SPACE? '/>'
              | '<' opening:NAME attribute* '>' inner* '</' closing:NAME '>'
              | '<' opening:NAME attribute* '>' exp '</' closing:NAME '>'
tag_value     = '<' opening:NAME attribute* SPACE? '/>'
              | '<' opening:NAME attribute* '>' inner* '</' closing:NAME '>'
              | '<' opening:NAME attribute* '>' exp '</' closing:NAME '>'
attribute     = gap DASHED_NAME '=' exp | gap same:DASHED_NAME | gap NAME '=' exp | gap same:NAME
show          = '=' SPACE exp
text          = STRING text_rest
text_rest     = exp STRING text_rest | exp STRING
access        = '.' NAME access? | call access? | '[' exp ']' access?
operation     = MATH SPACE exp | BOOLEAN SPACE exp | '<' SPACE exp | '>' SPACE exp
follow        = access SPACE operation | access | SPACE operation
named         = name:NAME follow | name:NAME
choice        = IF exp SPACE '=>' SPACE exp SPACE ELSE exp | IF exp SPACE '=>' SPACE exp
exp           = named | exp follow | function | named_call | NUMBER | text | STRING | REGEXP
              | '(' exp ')' | TYPEOF exp | NOT exp | object | array | AWAIT exp | show | tag_value
              | NEW exp | DELETE exp | SPREAD exp | choice
"""


def _part(word: str) -> Part:
    repeat = word[-1] if word[-1] in "?*" and word[-2] != "'" or word.endswith(("'?", "'*")) else ""
    word = word[: len(word) - len(repeat)]
    label, colon, symbol = word.partition(":") if word[0] not in "'" else ("", "", word)
    if not colon:
        label, symbol = "", word
    is_token = symbol[0] == "'" or symbol.isupper()
    return Part(symbol.strip("'") if symbol[0] == "'" else _kind(symbol), label, repeat, is_token)


def _kind(symbol: str) -> str:
    return symbol.lower() if symbol.isupper() else symbol


def _read(rules: str) -> Grammar:
    """The rules by name; a line without a rule's name goes on with the one before."""
    grammar: dict[str, str] = {}
    name = ""
    for line in rules.strip().splitlines():
        head, _, rest = line.partition(" = ") if not line.startswith(" ") else ("", "", line)
        name = head.strip() or name
        grammar[name] = grammar.get(name, "") + " " + rest.strip()
    return {
        name: tuple(
            tuple(_part(word) for word in alternative.split()) for alternative in text.split(" | ")
        )
        for name, text in grammar.items()
    }


GRAMMAR = _read(RULES)
