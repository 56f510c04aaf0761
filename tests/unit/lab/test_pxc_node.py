"""What makes a MySQL a node of an XtraDB cluster, in the lab."""

import ctypes
from pathlib import Path

import pytest

from lab.parts import Workplace
from lab.pxc_node import PxcStandin


@pytest.fixture
def out(tmp_path: Path) -> Path:
    for name in ("out", "scratch"):
        (tmp_path / name).mkdir()
    PxcStandin().make(Workplace(tmp_path / "out", tmp_path / "scratch", {}, tmp_path / "log"))
    return tmp_path / "out"


class Plugin(ctypes.Structure):
    """MySQL's `st_mysql_plugin`, as far as it is looked at."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("info", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("rest", ctypes.c_void_p * 11),
    )


def test_the_library_has_what_mysqld_looks_for(out: Path) -> None:
    library = ctypes.CDLL(str(out / "wsrep.so"))
    assert ctypes.c_int.in_dll(library, "_mysql_plugin_interface_version_").value >> 8 == 1
    assert ctypes.c_int.in_dll(library, "_mysql_sizeof_struct_st_plugin_").value == ctypes.sizeof(Plugin)
    declared = (Plugin * 3).in_dll(library, "_mysql_plugin_declarations_")
    assert [plugin.name for plugin in declared] == [b"wsrep", b"pxc", None], "by which its variables are named"


def test_the_scripts_can_be_run(out: Path) -> None:
    scripts = {file.name for file in out.iterdir() if file.stat().st_mode & 0o111 and file.suffix == ".sh"}
    assert scripts == {"pxc-entrypoint.sh", "pxc-init-entrypoint.sh"}
