"""An export onto a disk that fills up amid it, a real one: one line, no file, no part."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.pipeline.export.helpers import save_base

EXPORT = textwrap.dedent("""
    import errno, sys
    from pathlib import Path
    from workbench.core import files
    from workbench.pipeline.export.plan import plan_export
    from workbench.pipeline.export.streaming import run_export
    from workbench.pipeline.models.weights import Weights
    base, out = Path(sys.argv[1]), Path(sys.argv[2])
    plan = plan_export(Weights(base), ["f32", "f16"], base)
    files.check_space = lambda *given: None  # something else fills the disk after the check
    try:
        run_export(plan, {kind.name: out / f"{kind.name}.gguf" for kind in plan.types}, threads=2)
    except OSError as error:
        assert error.errno == errno.ENOSPC, error
        print("full", sorted(path.name for path in out.iterdir()))
""")


@pytest.mark.faults
@pytest.mark.skipif(
    sys.platform != "linux" or not shutil.which("unshare"), reason="mounts a small disk"
)
def test_a_disk_that_fills_up_leaves_nothing(tmp_path: Path) -> None:
    base = save_base(tmp_path / "base", "qwen2", hidden=256, shard="1MB")
    out = tmp_path / "out"
    out.mkdir()
    command = f"mount -t tmpfs -o size=1m tmpfs {out} && exec {sys.executable} -c '{EXPORT}'"
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", f"{command} {base} {out}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip(f"no small disk here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "full []\n"
