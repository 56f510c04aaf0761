"""The Kubernetes client, each class of which is imported when it is first used.

The package imports all it has at once, the classes of all kinds in all versions: 0.3 s of processor time at each start
(docs/decisions/0034-the-kubernetes-client-bit-by-bit.md).
"""

import pkgutil
import sys
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from types import ModuleType

PACKAGES = {
    "kubernetes": (),
    "kubernetes.utils": (),
    "kubernetes.client": ("exceptions", "api", "models"),
    "kubernetes.client.api": (),
    "kubernetes.client.models": (),
}
"""The packages that import all they have, and where else they have names from, in this order."""


class LazyPackage(ModuleType):
    """A package in place of one of the client's: its modules are there, and what they have is found by its name."""

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Its modules, by the name of the class that each is for: `v1_api_group` is `V1APIGroup`'s."""
        return {module.name.replace("_", ""): module.name for module in pkgutil.iter_modules(self.__path__)}

    def __getattr__(self, name: str) -> object:
        if name == "__version__":
            return version("kubernetes")
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._modules.values():
            return import_module(f"{self.__name__}.{name}")
        own = self._modules.get(name.lower())
        for module in (own,) if own else PACKAGES[self.__name__]:
            found = getattr(import_module(f"{self.__name__}.{module}"), name, None)
            if found is not None:
                setattr(self, name, found)
                return found
        raise AttributeError(f"{self.__name__} has no {name}")


def use() -> None:
    """Have the client be lazy in this process, unless it is imported already."""
    if "kubernetes" not in sys.modules:
        for name in PACKAGES:
            if spec := find_spec(name):
                package = sys.modules[name] = LazyPackage(name)
                package.__spec__, package.__path__ = spec, spec.submodule_search_locations or []
