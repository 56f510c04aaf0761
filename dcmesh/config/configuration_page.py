"""The text of docs/configuration.md: a section for each map of the model, with an example from examples/."""

import json
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from dcmesh.config.schema import Schema, resolve, schema_of

INTRODUCTION = """\
<!-- Written by `python -m dcmesh.config.generate` from dcmesh/model/settings.py and examples/. -->
# Configuration

A stack is configured by `Pulumi.STACK.yaml` in the repository's root. The keys below stand under `config:`, the first
of each place after `{project}:`, so `sites` is written `{project}:sites`.

- **Start** from one of the [examples](../examples).
- **Editors** complete and check with `# yaml-language-server: $schema=schema/stack.json` in the first line.
- **`pulumi preview`** validates the whole before anything else is done, and names every error at once with its place
  (`sites[1].imports[0].from`), its value and what to do. Nothing is changed before all are gone.
- **Secrets** are set with `pulumi config set --secret --path`, for example
  `pulumi config set --secret --path {project}:trust.caKey < ca-key.pem`. Of a top-level key that holds a secret, errors
  show no value at all. A secret stays one in state, diff and output where it is a password or a key, and below
  `values`, `spec`, `settings`, `resources` and `annotations`; of one that stands elsewhere, such as in a name,
  `pulumi up` warns.

What the words in the column "value" mean is [at the end](#values).
"""

EXAMPLES = {
    "GeneratedTrust": ("trust.yaml", "trust"),
    "StackTrust": ("dc1.yaml", "trust"),
    "ProvidedTrust": ("provided-ca.yaml", "trust"),
    "ExistingTrust": ("existing-cacerts.yaml", "trust"),
    "Istio": ("private-mirrors.yaml", "istio"),
    "ExistingIstio": ("existing-istio.yaml", "istio"),
    "ExistingCluster": ("dc1.yaml", "sites.0.cluster"),
    "Gateway": ("dc1.yaml", "sites.0.gateway"),
    "Hello": ("pair.yaml", "sites.0.workloads"),
    "HelloClient": ("pair.yaml", "sites.1.workloads"),
    "Mariadb": ("mariadb.yaml", "sites.1.workloads"),
    "Pxc": ("pxc-dc2.yaml", "sites.0.workloads"),
    "PxcSpec": ("pxc-dc1.yaml", "sites.0.workloads.0.spec"),
    "PodExport": ("dc1.yaml", "sites.0.exports"),
    "GatewayExport": ("existing-database.yaml", "sites.0.exports"),
    "IngressExport": ("ingress-port.yaml", "sites.0.exports"),
    "Import": ("dc2.yaml", "sites.0.imports"),
    "Client": ("mariadb-egress.yaml", "sites.1.imports.0.clients"),
    "Peer": ("dc2.yaml", "peers"),
    "Link": ("dc2-literal-link.yaml", "peers.0.link"),
}
"""For a part of the model, the example file that shows it, and the place in it."""


def reference(model: type[BaseModel], project: str, examples: Path) -> str:
    """Return the whole text."""
    root = schema_of(model)
    titles = dict[str, str]()
    for name, title in _titles(root, "", root):
        taken = title in titles.values() and name not in titles  # two parts may stand at one place
        titles.setdefault(name, f"{title}, {_words(name)}" if taken else title)
    parts = [INTRODUCTION.format(project=project), _table(root, root, titles)]
    for name, title in titles.items():
        parts += [
            f"\n## {title}\n",
            root["$defs"][name]["description"] + "\n",
            _table(root["$defs"][name], root, titles),
        ]
        if name in EXAMPLES:
            file, place = EXAMPLES[name]
            text = excerpt((examples / file).read_text(), f"config.{project}:{place}")
            parts.append(f"\nFrom [{file}](../examples/{file}):\n\n```yaml\n{text}\n```")
    return "\n".join([*parts, "\n## Values\n", _legend(root)]) + "\n"


# --- sections --------------------------------------------------------------------------------------------------------


def _titles(schema: Schema, path: str, root: Schema) -> Iterator[tuple[str, str]]:
    """Yield the parts of the model and their titles, in the order of the text. One that is used twice comes twice."""
    for key, value in schema.get("properties", {}).items():
        for name, title in _parts(value, f"{path}.{key}" if path else key):
            yield name, title
            yield from _titles(root["$defs"][name], title.partition(",")[0], root)


def _parts(schema: Schema, path: str) -> Iterator[tuple[str, str]]:
    """Yield the parts of the model that may stand at a place, with their titles."""
    if "$ref" in schema:
        yield _name(schema["$ref"]), path
    elif "discriminator" in schema:
        key, tags = schema["discriminator"]["propertyName"], schema["discriminator"]["mapping"]
        tag_of = {target: tag for tag, target in tags.items()}
        for option in schema["oneOf"]:
            yield _name(option["$ref"]), f"{path}, {key}: {tag_of[option['$ref']]}"
    else:
        options = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
        several = sum("$ref" in option for option in options) > 1
        for option in options:
            yield from _parts(option, f"{path}, {_words(option['$ref'])}" if several and "$ref" in option else path)
    if "items" in schema:
        yield from _parts(schema["items"], f"{path}[]")


def _name(target: str) -> str:
    return target.rpartition("/")[2]


def _words(target: str) -> str:
    """Return the name of a part in words: `command cluster` of `CommandCluster`."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", _name(target)).lower()


# --- tables ----------------------------------------------------------------------------------------------------------


def _table(schema: Schema, root: Schema, titles: Mapping[str, str]) -> str:
    required = schema.get("required", ())
    rows = (
        (
            f"`{key}`",
            _type(value, titles),
            _default(value, key in required),
            _one_line(resolve(value, root)["description"]),
        )
        for key, value in schema["properties"].items()
    )
    heading = ["| key | value | default | meaning |", "|---|---|---|---|"]
    return "\n".join([*heading, *(f"| {' | '.join(row)} |" for row in rows)])


def _one_line(text: str) -> str:
    """Return a text as a row of a table can have it."""
    return " ".join(text.split())


def _legend(root: Schema) -> str:
    """Return a table of the kinds of text."""
    kinds = {kind["x-kind"]: kind["x-advice"].removeprefix("must be ") for kind in _kinds(root)}
    return "\n".join(["| value | is |", "|---|---|", *(f"| {name} | {kinds[name]} |" for name in sorted(kinds))])


def _kinds(node: Any) -> Iterator[Schema]:  # noqa: ANN401 — any part of a schema
    if isinstance(node, dict) and "x-kind" in node:
        yield node
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _kinds(part)


def _default(schema: Schema, required: bool) -> str:
    default = schema.get("default")
    if required:
        return "**required**"
    return "" if default in (None, [], {}) or isinstance(default, dict) else f"`{json.dumps(default).strip(chr(34))}`"


def _type(schema: Schema, titles: Mapping[str, str]) -> str:
    """Return in words which values are allowed."""
    match schema:
        case {"$ref": target}:
            return _link(_name(target), titles)
        case {"anyOf": options} | {"oneOf": options}:
            return " or ".join(_type(option, titles) for option in options if option.get("type") != "null")
        case {"const": value}:
            return f"`{value}`"
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"type": "array", "items": items}:
            return f"list of: {_type(items, titles)}"
        case {"type": "boolean"}:
            return "`true` or `false`"
        case {"type": "integer"}:
            return f"{schema['minimum']} to {schema['maximum']}"
        case {"type": "object"}:
            return "map of text" if "patternProperties" in schema else "map"
        case {"writeOnly": True}:
            return f"{schema.get('x-kind', 'PEM')}, secret"
    return str(schema.get("x-kind", "text"))


def _link(name: str, titles: Mapping[str, str]) -> str:
    slug = re.sub(r"[^a-z0-9 -]", "", titles[name].lower()).replace(" ", "-")
    path, _, tag = titles[name].partition(", ")
    return f"[{tag or path.rpartition('.')[2]}](#{slug})"


# --- examples --------------------------------------------------------------------------------------------------------


def excerpt(text: str, place: str) -> str:
    """Return the lines of a YAML text with the map or list at a place, and their comments."""
    node: Any = yaml.compose(text)
    first = 0
    for part in place.split("."):
        if isinstance(node, yaml.SequenceNode):
            node = node.value[int(part)]
        else:
            key, node = next((key, value) for key, value in node.value if key.value == part)
            first = key.start_mark.line
    lines = text.splitlines()[first : node.end_mark.line]
    return textwrap.dedent("\n".join(lines)).rstrip()
