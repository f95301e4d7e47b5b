"""A file becomes a preset, or every fault of it is told with its place."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.preset.helpers import MINIMAL, loaded, refused
from workbench.core.errors import UserErrors
from workbench.preset.loader import MAX_BYTES, load, parse
from workbench.preset.lookup import shipped_root
from workbench.preset.toml_text import parse_value, toml_value

QUICKSTART = (shipped_root() / "presets" / "quickstart.toml").read_bytes()


def write(folder: Path, content: bytes | str) -> str:
    path = folder / "mine.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_a_minimal_preset(tmp_path: Path) -> None:
    preset = load(write(tmp_path, MINIMAL))
    assert preset.name == "mine"
    assert preset.preset.data.source[0].path == "a.txt"
    assert preset.origin["data.source.0.path"] == "preset"
    assert preset.origin["data.source.0.format"] == "default"
    assert preset.origin["evaluate.guard"] == "default"


def test_a_shipped_preset_is_found_by_name() -> None:
    assert load("quickstart").path == shipped_root() / "presets" / "quickstart.toml"


def test_a_preset_in_the_current_folder_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "quickstart.toml").write_text(MINIMAL)
    monkeypatch.chdir(tmp_path)
    assert load("quickstart").path == tmp_path / "presets" / "quickstart.toml"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(
        UserErrors, match=r"preset 'quickstrt' not found \(did you mean 'quickstart'\?\)"
    ):
        load("quickstrt")


@pytest.mark.parametrize("name", ["no/such.toml", "nosuch.toml", "a\0b", "~nobody-here/x.toml"])
def test_an_absent_file_is_refused(name: str) -> None:
    with pytest.raises(UserErrors):
        load(name)


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserErrors, match="is a folder"):
        load(f"{tmp_path}/")


def test_byte_order_mark_and_carriage_returns_change_nothing(tmp_path: Path) -> None:
    plain = load(write(tmp_path, MINIMAL)).preset
    for content in ("\ufeff" + MINIMAL, MINIMAL.replace("\n", "\r\n")):
        assert load(write(tmp_path, content)).preset == plain


def test_lines_count_the_same_with_carriage_returns() -> None:
    text = MINIMAL + "epohcs = 1\n"
    assert refused(text) == refused(text.replace("\n", "\r\n"))
    assert refused(text)[0].startswith("presets/mine.toml:6: train.0.epohcs: unknown key")


def test_bytes_that_are_not_utf8_are_told_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path, b'description = "a"\n# \xff\n')
    with pytest.raises(UserErrors, match=r"mine\.toml:2: byte 0xff is not UTF-8"):
        load(path)


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserErrors, match=f"larger than {MAX_BYTES} bytes; not a preset"):
        load(write(tmp_path, b"#" * (MAX_BYTES + 1)))


def test_an_empty_file_lacks_sources_and_stages() -> None:
    assert refused("") == [
        "presets/mine.toml: data.source: no data source (add a [[data.source]] table with a path)",
        "presets/mine.toml: train: no training stage (add a [[train]] table)",
    ]


def test_what_is_not_toml_is_told_with_its_line() -> None:
    assert refused('a = 1\nb = = "x"\n')[0].startswith("presets/mine.toml:2: invalid TOML: ")
    assert refused('a = """\n\n')[0].startswith("presets/mine.toml:3: invalid TOML: ")


def test_a_number_too_long_for_python_is_a_fault_of_the_file() -> None:
    assert "invalid TOML" in refused("a = " + "1" * 5000)[0]


def test_nesting_without_end_is_refused() -> None:
    assert "nested too deeply" in refused("a = " + "[" * 20_000 + "]" * 20_000)[0]


def test_all_faults_are_told_at_once() -> None:
    """Bad values in some tables do not hide what is wrong in the others."""
    text = """\
[model]
dtype = "fp16"
[data]
validaton = 0.1
[[data.source]]
path = "a.txt"
weight = "3"
[[train]]
epochs = 0
[generate]
max_tokens = 5000
[export]
formats = ["Q4_K_M"]
"""
    assert refused(text, "train.sft.lerning_rate=1") == [
        'presets/mine.toml:2: model.dtype: "fp16" is not allowed'
        ' (use "auto", "bfloat16", "float16" or "float32")',
        "presets/mine.toml:4: data.validaton: unknown key (did you mean 'validation'?)",
        'presets/mine.toml:7: data.source.0.weight: "3" is a string'
        " (use a number, above 0, at most 1000)",
        "presets/mine.toml:9: train.0.epochs: 0 is out of range"
        " (use a number, above 0, at most 100000)",
        "presets/mine.toml:11: generate.max_tokens: a response of 5000 tokens leaves no room for"
        " the prompt in a context of 4096 (lower max_tokens or raise context)",
        'presets/mine.toml:13: export.formats.0: "Q4_K_M" is not allowed'
        " (did you mean 'q4_k_m'? use a list of"
        ' "f32", "f16", "bf16", "q8_0", "q4_0", "q4_k_s", "q4_k_m", "q5_k_m" or "q6_k")',
        "--set train.sft.lerning_rate: unknown key 'lerning_rate' (did you mean 'learning_rate'?)",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("description = 5", "description: 5 is a whole number (use text)"),
        ("model = 3", "model: 3 is a whole number (write [model] with its keys below)"),
        ("generate = []", "generate: [] is a list (write [generate] with its keys below)"),
        ("evaluate.samples = 1.0", "evaluate.samples: 1.0 is a decimal number"),
        ("export.parity = 'yes'", 'export.parity: "yes" is a string (use true or false)'),
        ("ollama.name = 1979-05-27", "ollama.name: 1979-05-27 is a date or time (use text)"),
        ("learning_rate = 1", "learning_rate: unknown key (it belongs in [train])"),
        ("evaluate.apart = 'x'", 'evaluate.apart: "x" is a string (use a list of strings)'),
        ("evaluate.apart = ['x', 3]", "evaluate.apart.1: 3 is a whole number (use a list of"),
        ("evaluate.guard = [3]", "evaluate.guard.0: 3 is a whole number (use a [[evaluate.guard]]"),
        ("model.revision = ''", "model.revision: is empty (use text)"),
        ("evaluate.timeout = nan", "evaluate.timeout: nan is out of range"),
    ],
)
def test_faults_of_one_value(line: str, expected: str) -> None:
    assert any(
        found.startswith(f"presets/mine.toml:1: {expected}")
        for found in refused(f"{line}\n{MINIMAL}")
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("epochs = '3'", 'epochs: "3" is a string (use a number, above 0'),
        (
            "betas = [0.9]",
            "betas: [0.9] has 1 items (use a list of 2 numbers, at least 0, below 1)",
        ),
        ("betas = [0.9, 1]", "betas.1: 1 is out of range (use a list of 2 numbers"),
        ("source = [0, true]", "source.1: true is a boolean (use a list of whole numbers or"),
        ("warmup = 1.5", "warmup: 1.5 is neither a share nor a number of steps"),
        ("gradient_checkpointing = 1", "gradient_checkpointing: 1 is a whole number"),
        ("adapter.targets = 'al-linear'", 'adapter.targets: "al-linear" is not allowed (did you'),
        ("adapter.targets = []", "adapter.targets: no modules to adapt"),
        ("adapter.targets = ['']", "adapter.targets: no modules to adapt"),
        ("adapter.targets = [1]", "adapter.targets.0: 1 is a whole number"),
        ("adapter.alpha = 0", "adapter.alpha: 0 is out of range"),
        ("adapter.rank = 0", "adapter.rank: 0 is out of range (use a whole number from 1 to 4096)"),
        ("adapter.continue_ = 'new'", "adapter.continue_: unknown key (did you mean 'continue'?)"),
        ("adapter = 1", "adapter: 1 is a whole number (write [train.adapter] with its keys"),
    ],
)
def test_faults_of_one_value_in_a_stage(line: str, expected: str) -> None:
    found = refused(f"{MINIMAL}{line}\n")
    assert len(found) == 1
    assert found[0].startswith(f"presets/mine.toml:6: train.0.{expected}")


def test_text_from_outside_is_made_visible() -> None:
    found = refused(MINIMAL + '"a\\u001bb" = 1\n[model]\ndtype = "\\u001b[31m"\n')
    assert not any("\x1b" in line for line in found)
    assert len(found) == 2


def test_a_fault_of_an_absent_key_is_told_at_the_table_around_it() -> None:
    found = refused('[[data.source]]\nformat = "auto"\n[[train]]\n')
    assert found[0].startswith("presets/mine.toml:1: data.source.0.path: path is missing")


def test_a_value_in_an_inline_list_has_its_own_line() -> None:
    text = 'data.source = [\n  { path = "a" },\n  { path = "b", use = "x" },\n]\n[[train]]\n'
    assert refused(text)[0].startswith("presets/mine.toml:3: data.source.1.use: ")


def test_a_refused_key_is_not_held_against_a_second_one() -> None:
    """Whether 5000 tokens fit is not known while the context is wrong in itself."""
    answer = "generate.max_tokens = 5000\n"
    assert "no room" in refused(f"{answer}{MINIMAL}")[0]
    found = refused(f'generate.context = "large"\n{answer}{MINIMAL}')
    assert len(found) == 1 and "generate.context" in found[0]


def test_the_origin_of_a_derived_default_is_what_it_follows_from() -> None:
    assert loaded(MINIMAL).origin["train.0.batch_tokens"] == "default"
    assert loaded(MINIMAL, "train.0.batch_size=2").origin["train.0.batch_tokens"] == "flag"
    by_file = loaded(MINIMAL + "batch_size = 2\n")
    assert by_file.origin["train.0.batch_tokens"] == "preset"
    assert by_file.preset.train[0].batch_tokens == 0


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["cut", "insert", "repeat", "swap"]),
        st.floats(0, 1),
        st.integers(1, 40),
        st.one_of(
            st.binary(max_size=6),
            st.sampled_from(
                [b"[", b"]", b"[[", b'"', b'"""', b"=", b"\n", b"{", b"1", b"-1", b".", b"[]"]
                + [b"train", b"data", b"source", b"[[train]]\n", b"1979-05-27", b"nan", b"\\u0000"]
            ),
        ),
    ),
    min_size=1,
    max_size=6,
)


def mutated(content: bytes, mutations: list[tuple[str, float, int, bytes]]) -> bytes:
    for kind, where, length, inserted in mutations:
        at = int(where * len(content))
        piece = content[at : at + length]
        match kind:
            case "cut":
                content = content[:at] + content[at + length :]
            case "insert":
                content = content[:at] + inserted + content[at:]
            case "repeat":
                content = content[:at] + piece + content[at:]
            case "swap":
                content = content[:at] + inserted + content[at + length :]
    return content


def outcome(content: bytes, path: Path) -> str:
    """ "preset" or "refused"; any other exception comes through."""
    path.write_bytes(content)
    try:
        load(str(path))
    except UserErrors as errors:
        assert str(errors)
        return "refused"
    return "preset"


@settings(max_examples=500, deadline=None)
@given(mutations=MUTATIONS)
def test_a_damaged_preset_is_a_preset_or_refused(
    mutations: list[tuple[str, float, int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    outcome(mutated(QUICKSTART, mutations), tmp_path_factory.getbasetemp() / "fuzzed.toml")


@pytest.mark.slow
@settings(max_examples=10_000, deadline=None)
@given(mutations=MUTATIONS)
def test_ten_thousand_damaged_presets(
    mutations: list[tuple[str, float, int, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    outcome(mutated(QUICKSTART, mutations), tmp_path_factory.getbasetemp() / "fuzzed.toml")


def test_both_outcomes_happen(tmp_path: Path) -> None:
    """Negative control: the mutations above are not all refused for one dull reason."""
    assert outcome(QUICKSTART, tmp_path / "a.toml") == "preset"
    assert outcome(QUICKSTART[:-5], tmp_path / "a.toml") == "refused"


JSONLIKE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(
    key=st.sampled_from(["model", "data", "train", "evaluate", "data.source", "train.adapter"]),
    value=JSONLIKE,
)
def test_any_value_in_a_tables_place_is_refused_or_taken(key: str, value: object) -> None:
    try:
        text = toml_value(value)
        parse_value(text)
    except ValueError:
        return
    name, _, inner = key.partition(".")
    pair = f"{name} = {text}" if not inner else f"{name} = {{ {inner} = {text} }}"
    try:
        parse(pair, Path("x.toml"))
    except UserErrors as errors:
        assert str(errors)
