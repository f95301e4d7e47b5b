"""Why an answer was refused: the one line of a checker's output that says it."""

import pytest

from workbench.checkers.failure_reason import LONGEST, reason_in

PARSER = """\
/usr/lib/node_modules/blop-language/src/utils.js:90
  throw new Error(`
  ^

Error:\x20
  Parser error at line 9 char 0 to 1
  Unexpected }
  Best match was at rule object_literal_key[0][0] string

    at Object.displayError (/usr/lib/node_modules/blop-language/src/utils.js:90:9)
    at compileSource (/usr/lib/node_modules/blop-language/src/compile.js:33:11)

Node.js v20.20.2
"""
TOKENIZER = """\
/usr/lib/node_modules/blop-language/src/parser.js:7692
      throw error;
      ^

Error: Tokenizer error, no matching token found for # Lifecycle
    at Object.tokenize (/usr/lib/node_modules/blop-language/src/parser.js:7690:21) {
  token: { type: 'W' }
}
"""
OWN_FAULT = """\
/usr/lib/node_modules/blop-language/src/utils.js:75
  for (let i = 0; i < sub_rules.length; i++) {
                                ^

TypeError: Cannot read properties of undefined (reading 'length')
    at Object.displayError (/usr/lib/node_modules/blop-language/src/utils.js:75:33)
"""
MISSING = """\
node:internal/modules/cjs/loader:1228
  throw err;
  ^

Error: Cannot find module '/tmp/check.js'
Require stack:
    at node:internal/modules/cjs/loader:1225:15
"""
SYNTAX = """\
answer.js:1
let x = = 1
        ^

SyntaxError: Unexpected token '='
    at wrapSafe (node:internal/modules/cjs/loader:1469:18)
"""
PYTHON = """\
Traceback (most recent call last):
  File "/tmp/check.py", line 1, in <module>
    1 / 0
ZeroDivisionError: division by zero
"""


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("", ""),
        (" \n\t\n", ""),
        ("\nanswer.c:3: expected ';'\n1 error\n", "answer.c:3: expected ';'"),
        (PYTHON, "ZeroDivisionError: division by zero"),
        (PARSER, "Parser error at line 9 char 0 to 1: Unexpected }"),
        (TOKENIZER, "Tokenizer error, no matching token found for # Lifecycle"),
        (OWN_FAULT, "TypeError: Cannot read properties of undefined (reading 'length')"),
        (MISSING, "Cannot find module '/tmp/check.js': Require stack:"),
        ("/tmp/answer.js:3\n", "/tmp/answer.js:3"),
        (SYNTAX, "answer.js:1: SyntaxError: Unexpected token '='"),
    ],
)
def test_the_line_that_says_why_is_found(written: str, reason: str) -> None:
    assert reason_in(written) == reason


def test_a_long_line_is_cut_and_control_characters_are_shown() -> None:
    assert len(reason_in("x" * 2 * LONGEST)) <= LONGEST
    assert "\x1b" not in reason_in("\x1b[31mred")
