"""How a container asks a host, for all that ask one: the probe at the end of `up`, the status and the doctor."""

from pathlib import Path

ASK_HOST = Path(__file__).with_suffix(".sh").read_text()


def asking(script: str, *, seconds: int) -> str:
    """Return a script with what it asks hosts by in front: `$ask HOST PORT KIND`.

    Args:
        script: the script, for any POSIX shell.
        seconds: how long a host may take for an answer, and again for the first line of what it says.
    """
    return f"seconds={seconds}\n{ASK_HOST}\n{script}"
