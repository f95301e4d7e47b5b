"""Presets, data and the embedded base are found in a clone and in a wheel."""

from pathlib import Path

import pytest

from workbench.core.errors import UserError
from workbench.preset import lookup
from workbench.preset.inputs import DataSource


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package folder of its own, and an empty current folder."""
    folder, here = tmp_path / "site" / "workbench", tmp_path / "here"
    folder.mkdir(parents=True)
    here.mkdir()
    monkeypatch.setattr(lookup, "PACKAGE", folder)
    monkeypatch.chdir(here)
    return folder


def make(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_clone_has_its_folders_beside_the_package(package: Path) -> None:
    made = make(package.parent / "presets" / "a.toml")
    assert lookup.shipped_root() == package.parent
    assert lookup.find("a") == made


def test_a_wheel_has_them_inside(package: Path) -> None:
    made = make(package / "_shipped" / "presets" / "a.toml")
    make(package.parent / "presets" / "b.toml")  # of somebody else, beside the package
    assert lookup.find("a") == made
    assert [name for name, _ in lookup.list_presets()] == ["a"]


def test_the_list_has_descriptions_and_says_what_cannot_be_read(package: Path) -> None:
    make(package.parent / "presets" / "a.toml", "description = 'one\\n\u202etwo'\n")
    make(Path("presets") / "b.toml", "description = = 3")
    make(Path("presets") / "c.toml", "description = 3")
    listed = dict(lookup.list_presets())
    assert listed["b"].startswith("(cannot be read: ") and listed["c"] == ""
    assert "\u202e" not in listed["a"]


def test_ones_own_go_first_then_the_one_to_begin_with(package: Path) -> None:
    for name in ("a", "quickstart", "z"):
        make(package.parent / "presets" / f"{name}.toml")
    make(Path("presets") / "mine.toml")
    make(Path("presets") / "z.toml", "description = 'also mine'")
    assert [name for name, _ in lookup.list_presets()] == ["mine", "z", "quickstart", "a"]


def test_an_unknown_name_without_any_preset(package: Path) -> None:
    with pytest.raises(UserError, match="preset 'x' not found"):
        lookup.find("x")


def test_data_is_looked_for_from_near_to_far(package: Path, tmp_path: Path) -> None:
    preset = tmp_path / "project" / "presets" / "p.toml"
    places = [
        make(package.parent / "data" / "x.txt"),
        make(preset.parent.parent / "data" / "x.txt"),
        make(preset.parent / "data" / "x.txt"),
        make(Path.cwd() / "data" / "x.txt"),
    ]
    while places:
        nearest = places.pop()
        assert lookup.resolve_data("data/x.txt", preset) == nearest
        nearest.unlink()
    with pytest.raises(UserError, match=r"'data/x\.txt' not found in "):
        lookup.resolve_data("data/x.txt", preset)


def test_data_may_be_a_glob_a_folder_or_absolute(package: Path, tmp_path: Path) -> None:
    made = make(package.parent / "data" / "x.txt")
    preset = tmp_path / "p.toml"
    assert lookup.resolve_data("data/*.txt", preset) == package.parent / "data" / "*.txt"
    assert lookup.resolve_data("data", preset) == package.parent / "data"
    assert lookup.resolve_data(str(made), preset) == made
    for absent in ("data/*.md", str(made) + "x", "a\0b", "x" * 5000):
        with pytest.raises(UserError):
            lookup.resolve_data(absent, preset)


def test_a_file_whose_name_looks_like_a_glob_is_itself(package: Path, tmp_path: Path) -> None:
    made = make(Path.cwd() / "a[1].txt")
    assert lookup.resolve_data("a[1].txt", tmp_path / "p.toml") == made


def test_an_embedded_base_is_a_folder_with_a_config(package: Path) -> None:
    make(package / "embedded" / "tiny" / "config.json")
    assert lookup.embedded_base("embedded:tiny") == package / "embedded" / "tiny"
    with pytest.raises(UserError, match="unknown embedded model 'tini'") as caught:
        lookup.embedded_base("embedded:tini")
    assert caught.value.hint == "did you mean 'embedded:tiny'?"
    with pytest.raises(UserError):
        lookup.embedded_base("embedded:../embedded/tiny")


def test_a_source_is_located_with_its_schema(package: Path) -> None:
    data, schema = make(Path("a.md")), make(package.parent / "presets" / "s.json")
    source = DataSource.model_validate({"path": "a.md", "schema": "s.json"})
    found = lookup.with_absolute_source(source, schema.parent / "mine.toml")
    assert (found.path, found.json_schema) == (str(data.absolute()), str(schema))
    with pytest.raises(UserError, match="'none.json' not found"):
        lookup.with_absolute_source(
            DataSource.model_validate({"path": "a.md", "schema": "none.json"}), schema
        )


def test_a_data_set_of_the_hub_stays_where_it_is_and_a_clone_is_found(package: Path) -> None:
    mine = package / "mine.toml"
    for path in ("hub:a/b", "hub:a/b:test", "hub:a/b@v1.0:main:test"):
        assert lookup.with_absolute_source(DataSource(path=path), mine).path == path
    Path("clone").mkdir()
    found = lookup.with_absolute_source(DataSource(path="hub:./clone:test"), mine)
    assert found.path == f"hub:{Path('clone').absolute()}:test"
    with pytest.raises(UserError, match="not found"):
        lookup.with_absolute_source(DataSource(path="hub:./nowhere"), mine)
