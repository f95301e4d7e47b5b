"""A checker that is not installed: refused, or done without where the preset says so."""

import pytest

from workbench.core.errors import UserError, UserErrors
from workbench.pipeline.evaluation.job import missing_checker
from workbench.preset.loader import load
from workbench.runner import preflight

ABSENT = 'evaluate.checker=["no-such-compiler", "{file}"]'


def test_a_checker_that_is_not_installed_refuses_the_run(tmp_path):
    loaded = load("quickstart", [ABSENT])
    with pytest.raises(UserErrors, match="'no-such-compiler' is not installed"):
        preflight.check(loaded, tmp_path)
    with pytest.raises(UserError, match="is not installed"):
        missing_checker(loaded.preset.evaluate)


def test_a_preset_may_do_without_it_and_then_it_is_said(tmp_path):
    loaded = load("quickstart", [ABSENT, "evaluate.checker_required=false"])
    preflight.check(loaded, tmp_path)
    assert missing_checker(loaded.preset.evaluate) == (
        "checker program 'no-such-compiler' is not installed: the pass rate was not measured"
    )


def test_one_that_is_there_or_not_named_misses_nothing():
    assert missing_checker(load("quickstart").preset.evaluate) == ""
    assert missing_checker(load("quickstart", ["evaluate.checker=[]"]).preset.evaluate) == ""
