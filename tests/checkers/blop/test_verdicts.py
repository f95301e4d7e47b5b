"""The checker says what the real compiler said: verdicts recorded by `recipes.blop.agreement`."""

import json
from pathlib import Path

import pytest

from workbench.checkers.blop import check

RECORDED = Path(__file__).parent / "verdicts.jsonl"
ACCEPTED = {
    "nothing": "",
    "blank lines": "\n\nx = 1\n\n",
    "a name that begins like a keyword": "def f(format, index) {\n  return format + index\n}",
    "assignment to an unknown name": "x := 1",
    "no newline at the end": "def f() {}",
    "text between values": "def A(a) {\n  <p>'Hi 'a.name'!'</p>\n}",
    "a tag in each branch": "def A(a) {\n  if a {\n    <p>1</p>\n  } else {\n    <p>2</p>\n  }\n}",
    "a tag as a value": "def A(a) {\n  <b>\n    = if a.x => <i>'y'</i> else <u>'n'</u>\n  </b>\n}",
    "annotations": "def A(a: object): VNode {\n  for x in a.xs: array {\n    y = x\n  }\n}",
    "a comment after a line": "x = 1\ny = 2 // two\n/* three */\nz = 3",
    "destructuring over lines": "def f(a) {\n  { b, c as d,\n    e } = a\n  return b + d + e\n}",
    "a call over lines": "console.log(\n  1,\n  2)",
    "a dashed attribute": "def A(a) {\n  <p data-id=a.id title=a.t />\n}",
    "spread and index": "def f(a) {\n  return [...a, a[0]]\n}",
    "a regular expression": "x = /a+/gi.test('aa')",
    "class": "class A extends Component {\n  def render() {\n    <p>this.x</p>\n  }\n}",
    "try": "try {\n  x = 1\n} catch e {\n  console.log(e)\n}",
    "imports": "import './s'\nimport a from 'a'\nimport 'b' as b\nimport { c, d as e } from 'c'",
}
REFUSED = {
    "an unknown name": ("def f() {\n  return x\n}", 2),
    "a name made twice": ("x = 1\nx = 2", 2),
    "two root tags": ("def A(a) {\n  <p>a</p>\n  <p>a</p>\n}", 3),
    "a tag outside a function": ("<p>'x'</p>", 1),
    "a value outside a tag": ("def A(a) {\n  = a\n}", 2),
    "return outside a function": ("return 1", 1),
    "break outside a loop": ("def f() {\n  break\n}", 2),
    "await in a plain function": ("def f(p) {\n  return await p\n}", 2),
    "tags that do not match": ("def A(a) {\n  <p>a</b>\n}", 2),
    "an unknown component": ("def A(a) {\n  <B a />\n}", 2),
    "two spaces": ("x =  1", 1),
    "a space at the end": ("x = 1\n\ny = 2 ", 3),
    "a comment first": ("// hello\nx = 1", 1),
    "an open text": ("def A(a) {\n  <p>'x'a</p>\n}", 2),
    "an unknown character": ("x = 1\ny = #", 2),
    "JavaScript's own names": ("toString = 1", 1),
    "else if": ("def f(a) {\n  if a {\n    b = 1\n  } else if a {\n    c = 1\n  }\n}", 4),
}
REACT = """function UserCard(props) {
  return (
    <div className="card">
      <h2>{props.user.name}</h2>
    </div>
  );
}"""
PYTHON = "def total_price(orders):\n    return sum(order.price for order in orders)"


def test_recorded_verdicts_of_the_compiler() -> None:
    lines = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
    differing = [x["source"] for x in lines if (check(x["source"]) is None) != x["accepted"]]
    assert len(lines) > 300 and differing == []


@pytest.mark.parametrize("source", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_accepted(source: str) -> None:
    assert check(source) is None


@pytest.mark.parametrize(("source", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_with_its_line(source: str, line: int) -> None:
    fault = check(source)
    assert fault is not None and fault.line == line and "\n" not in fault.message


@pytest.mark.parametrize("source", [REACT, PYTHON], ids=["React", "Python"])
def test_other_languages_are_refused(source: str) -> None:
    assert check(source) is not None


def test_deep_nesting_is_judged_not_crashed_on() -> None:
    deep = 150
    tags = "".join("  <b>\n" for _ in range(deep)) + "".join("  </b>\n" for _ in range(deep))
    assert check(f"def A() {{\n{tags}}}") is None
    assert check("x = " + "(" * 30_000) is not None
