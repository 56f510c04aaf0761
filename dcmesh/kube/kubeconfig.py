"""Kubeconfigs, read as kubectl reads them, and made independent of the machine's current directory."""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from dcmesh.user_files import ReadFile, expand, read_file, why_not

INLINED = ("certificate-authority", "client-certificate", "client-key")
"""Keys with the path of a file whose contents may be in the kubeconfig itself instead, as `KEY-data`."""

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, wherever PyYAML has it: the one in Python takes half a second for a hundred clusters."""


class KubeconfigError(Exception):
    """A kubeconfig cannot be used; the message is to be read after its path."""


@dataclass(frozen=True)
class Kubeconfig:
    """A kubeconfig in one file or several. If several have an entry the first counts, as with `KUBECONFIG`.

    Attributes:
        files: each file's directory and contents.
        read: returns the text of a file.
    """

    files: Sequence[tuple[Path, Mapping[str, Any]]]
    read: ReadFile

    @cached_property
    def contexts(self) -> Sequence[str]:
        """The names of its contexts."""
        entries = (entry for _, part in self.files for entry in part.get("contexts") or [])
        return [str(entry.get("name")) for entry in entries if isinstance(entry, dict)]

    @property
    def current(self) -> str | None:
        """The name of its current context."""
        return next((part["current-context"] for _, part in self.files if part.get("current-context")), None)

    def only(self, context: str | None) -> str:
        """Return it without what belongs to other contexts: credentials of other clusters stay out of the state.

        A relative path starts at the file's own directory, which nobody knows later. So files are replaced by their
        contents; programs, and files that may change at any time, get their whole path.

        Args:
            context: name of the context. Default: the current one.

        Raises:
            KubeconfigError: a file that it names cannot be read.
        """
        name = context or self.current
        entry = self._named("contexts", name)
        used = {"clusters": entry.get("context", {}).get("cluster"), "users": entry.get("context", {}).get("user")}
        whole = {key: [found] if (found := self._named(key, of)) else [] for key, of in used.items()}
        one = {"apiVersion": "v1", "kind": "Config", "current-context": name, "contexts": [entry], **whole}
        return yaml.safe_dump(one)

    def _named(self, part: str, name: str | None) -> dict[str, Any]:
        """Return the first entry with a name; empty if there is none."""
        for directory, content in self.files:
            for entry in content.get(part) or []:
                if isinstance(entry, dict) and entry.get("name") == name:
                    kind = part.removesuffix("s")
                    return {**entry, kind: self._moved(entry.get(kind) or {}, directory)}
        return {}

    def _moved(self, entry: Mapping[str, Any], directory: Path) -> dict[str, Any]:
        """Return an entry that means the same without its directory."""
        moved = dict(entry)
        for key in INLINED:
            path = moved.get(key)
            if path and not Path(path).is_absolute():
                del moved[key]
                moved.setdefault(f"{key}-data", base64.b64encode(self._text(key, directory / path)).decode())
        if moved.get("tokenFile"):
            moved["tokenFile"] = str(directory / moved["tokenFile"])
        command = (moved.get("exec") or {}).get("command", "")
        if os.sep in command:  # otherwise PATH finds it
            moved["exec"] = {**moved["exec"], "command": str(directory / command)}
        return moved

    def _text(self, key: str, path: Path) -> bytes:
        try:
            return self.read(str(path)).encode()
        except (OSError, ValueError) as error:
            raise KubeconfigError(f"names the {key} {path}, which {why_not(str(path), error)}") from None


def read_kubeconfig(paths: str, read: ReadFile = read_file) -> Kubeconfig:
    """Return a kubeconfig.

    Args:
        paths: path of its file, or of several, as in `KUBECONFIG`; `~` and environment variables are expanded.
        read: returns the text of a file.

    Raises:
        KubeconfigError: it cannot be read, or is no kubeconfig.
    """
    several = expand(paths).split(os.pathsep)
    files = list[tuple[Path, Mapping[str, Any]]]()
    for path in filter(None, several) if several[1:] else [paths]:
        try:
            text = read(path)
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and several[1:]:
                continue  # as kubectl does
            raise KubeconfigError(f"{why_not(path, error)}: check the path") from None
        files.append((Path(expand(path)).absolute().parent, _content(text)))
    return _of(files, read)


def parse_kubeconfig(text: str) -> Kubeconfig:
    """Return a kubeconfig that is in no file. Relative paths in it start in the current directory.

    Raises:
        KubeconfigError: it is no kubeconfig.
    """
    return _of([(Path.cwd(), _content(text))], read_file)


def load_yaml(text: str) -> Any:  # noqa: ANN401 — whatever it is
    """Return what a kubeconfig has. It is the user's: what comes from another site is not read by a library in C.

    Raises:
        yaml.YAMLError: it is no YAML.
    """
    return yaml.load(text, LOADER)  # noqa: S506 — both are safe


def _content(text: str) -> Mapping[str, Any]:
    """Return the contents of a file; empty if that is no kubeconfig."""
    try:
        content = load_yaml(text)
    except yaml.YAMLError:
        return {}
    return content if isinstance(content, dict) else {}


def _of(files: Sequence[tuple[Path, Mapping[str, Any]]], read: ReadFile) -> Kubeconfig:
    if not any(isinstance(content.get("contexts"), list) for _, content in files):
        raise KubeconfigError("is no kubeconfig: it has no list of contexts")
    return Kubeconfig(files, read)
