"""A MariaDB pod whose data are taken away, and what it says of the copy that it takes then."""

from .toolbox import Database, eventually


def lose(database: Database, *how: str) -> None:
    """Take a pod's data away. It has a new volume then.

    Args:
        database: the pod.
        how: options of `kubectl delete pod`.
    """
    scope, claim = ("--namespace", database.namespace), f"data-{database.pod}"
    asked = ("get", "pvc", claim, *scope, "--ignore-not-found", "--output", "jsonpath={.metadata.uid}")
    before = database.site(*asked)
    database.site("delete", "pvc", claim, *scope, "--wait=false")
    database.site("delete", "pod", database.pod, *scope, *how)
    eventually("there is a new volume", lambda: database.site(*asked) not in ("", before), within=120)


def words(database: Database, container: str, *, times: bool = False) -> str:
    """Return what a container of the pod has said, each line behind its time if need be."""
    which = ("--namespace", database.namespace, database.pod, "--container", container)
    return database.site("logs", *which, f"--timestamps={times}".lower(), check=False)


def has_copied(database: Database) -> bool:
    """Tell whether the pod, as it was prepared last, has taken a first copy."""
    return "dcmesh: copied up to " in words(database, "prepare")
