"""Kinds of values in a configuration: what each must look like, and the words for that."""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    SecretStr,
    WrapValidator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dcmesh.model import support
from dcmesh.model.secret import Secret

ADVICE = "advice"
"""Type of an error whose message is an advice already."""


def _error(advice: str) -> PydanticCustomError:
    return PydanticCustomError(ADVICE, "{advice}", {"advice": advice})


@dataclass(frozen=True)
class TextKind:
    """A kind of text, as metadata of a type.

    Attributes:
        name: what docs/configuration.md calls it.
        advice: the message for a text that is not of this kind.
        matches: tells whether a text is of this kind.
        schema: its JSON Schema, as far as that can express it.
    """

    name: str
    advice: str
    matches: Callable[[str], object]
    schema: dict[str, Any] = field(default_factory=dict, hash=False)

    def _check(self, value: str) -> str:
        if not self.matches(value):
            raise _error(self.advice)
        return value

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check a value once its type is right."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the kind to editors and to docs/configuration.md."""
        return {**handler(schema), **self.schema, "x-kind": self.name, "x-advice": self.advice}


def _pattern(name: str, pattern: str, advice: str) -> TextKind:
    """Return a kind that a regular expression describes."""
    matches = re.compile(pattern, re.ASCII).fullmatch
    return TextKind(name, advice, matches, {"pattern": f"^(?:{pattern})$" if "|" in pattern else f"^{pattern}$"})


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    """Return a test whether a text can be parsed as addresses are, without an IPv6 zone, which could be any text."""

    def matches(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return "%" not in text

    return matches


def _kept_secret(value: object, check: Callable[[object], str]) -> str:
    """Check a text. If it was a secret, the result is one too."""
    checked = check(value)
    return Secret(checked) if isinstance(value, Secret) else checked


FreeText = Annotated[str, WrapValidator(_kept_secret)]
"""A text that dcmesh only passes on, and that may be a secret."""

# --- names -----------------------------------------------------------------------------------------------------------

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"

Text = Annotated[str, TextKind("text", "must be text that is not empty", str.strip, {"pattern": r"\S"})]

FilePath = Annotated[
    str,
    TextKind(
        "path",
        "must be the path of a file, not what is in it",
        lambda text: text.strip() and "\n" not in text and "\0" not in text,
        {"pattern": r"^\S.*$"},
    ),
]

Pem = Annotated[str, TextKind("PEM", "must be the text of a PEM file", str.strip, {"pattern": r"\S"})]

Organization = Annotated[
    str,
    _pattern(
        "short text", r"\S(.{0,62}\S)?", "must be a text of at most 64 characters on one line, no space first or last"
    ),
]

Name = Annotated[
    str,
    _pattern(
        "name",
        _LABEL,
        "must be a DNS label: at most 63 lower-case letters, digits and dashes, the first and last no dash",
    ),
]
"""A DNS label, as Kubernetes wants names to be."""

ServiceName = Annotated[
    str,
    _pattern(
        "service name",
        r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?",
        "must be the name of a Service: at most 63 lower-case letters, digits and dashes, the first a letter",
    ),
]
"""A DNS label that starts with a letter, as Kubernetes wants the names of Services to be."""

LabelKey = Annotated[
    str,
    _pattern(
        "key",
        rf"({_HOST}/)?[A-Za-z0-9]([-\w.]{{0,61}}[A-Za-z0-9])?",
        "must be a key as Kubernetes has them, such as app or example.com/app",
    ),
]
"""Key of a label or an annotation."""

LabelValue = Annotated[
    str,
    _pattern(
        "label",
        r"([A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?)?",
        "must be the value of a label: at most 63 letters, digits, dashes, dots and underscores, "
        "the first and last a letter or digit",
    ),
]

StackName = Annotated[
    str,
    _pattern("stack", r"[^/\s]+/[^/\s]+/[^/\s]+", "must be the whole name of a stack, such as organization/dcmesh/dc1"),
]

PxcName = Annotated[
    str,
    _pattern(
        "cluster name",
        r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?",
        "must be the name of a Percona XtraDB Cluster: at most 22 lower-case letters, digits and dashes, the first a "
        "letter",
    ),
]
"""What the operator takes."""

ChannelName = Annotated[
    str,
    _pattern(
        "channel",
        r"(?!group_replication_)[A-Za-z0-9_]{1,64}",
        "must be the name of a channel: at most 64 letters, digits and underscores, and not begin with "
        "group_replication_, as MySQL's own do",
    ),
]

# --- addresses -------------------------------------------------------------------------------------------------------


def can_be_reached(text: str) -> bool:
    """Tell whether a text is an IP address or DNS name that can mean the same to another machine."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        # A name that ends in a number is a mistyped IP address.
        last = text.rpartition(".")[2]
        return len(text) <= 253 and bool(re.fullmatch(_HOST, text)) and not last.isdigit() and last != "localhost"
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:  # what follows "%" means nothing on other machines, and may be any text
            return False
        address = address.ipv4_mapped or address
    return not (address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast)


Address = Annotated[
    str,
    TextKind(
        "address",
        "must be an IP address or DNS name by which other sites reach the gateway, without scheme and port",
        can_be_reached,
    ),
]

IpAddress = Annotated[
    str, TextKind("IP address", "must be an IP address, such as 192.0.2.10", _parses(ipaddress.ip_address))
]


def _is_cidr(parse: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: "/" in text and _parses(parse)(text)


Network = Annotated[
    str,
    TextKind(
        "network",
        "must be a network as CIDR, given by its first address, such as 192.0.2.0/24 or 192.0.2.10/32",
        _is_cidr(ipaddress.ip_network),
    ),
]

Ipv4Network = Annotated[
    str,
    TextKind(
        "IPv4 network",
        "must be an IPv4 network as CIDR, given by its first address, such as 241.0.0.0/8",
        _is_cidr(ipaddress.IPv4Network),
    ),
]

Host = Annotated[
    str,
    TextKind(
        "host",
        "must be an IP address or DNS name by which the database reaches its source, without port",
        can_be_reached,
    ),
]

ExportedHost = Annotated[
    str,
    _pattern(
        "DNS name",
        rf"({_LABEL}\.){{2,3}}svc\.cluster\.local",
        "must be the whole name of a pod, such as db-0.db.shop.svc.cluster.local, or of a Service, such as "
        "db.shop.svc.cluster.local",
    ),
]

ServerName = Annotated[
    str,
    _pattern(
        "server name",
        rf"({_LABEL}\.){{3,4}}dcmesh",
        "must be a host's name at a gateway, such as db-0.db.shop.dc1.dcmesh",
    ),
]

TrustDomain = Annotated[
    str,
    _pattern("trust domain", _HOST, "must be a trust domain: DNS labels with dots between them, such as dc1.dcmesh"),
    Field(max_length=200),
]

Identity = Annotated[
    str,
    _pattern(
        "SPIFFE id",
        rf"spiffe://{_HOST}/ns/{_LABEL}/sa/{_LABEL}",
        "must be a SPIFFE id with the site's trust domain, such as spiffe://dc1.dcmesh/ns/shop/sa/mysql",
    ),
    Field(max_length=400),
]

# --- Istio -----------------------------------------------------------------------------------------------------------


def _is_chart_source(text: str) -> bool:
    scheme, separator, rest = text.partition("://")
    return bool(rest) and scheme in ("http", "https", "oci") if separator else bool(text.strip())


def _from(number: int) -> str:
    """Return a regular expression of the whole numbers from one of two digits, 10 to 89, on."""
    tens, ones = divmod(number, 10)
    return rf"({tens}[{ones}-9]|[{tens + 1}-9]\d|[1-9]\d{{2,}})"


IstioVersion = Annotated[
    str,
    _pattern(
        "version",
        rf"1\.{_from(support.ISTIO[-1].minor[1])}\.\d+",
        f"must be a version that dcmesh offers, {support.ISTIO[-1].name}.0 or newer, with its patch level; "
        f"a mesh that runs {support.ISTIO_ENDED.name}, which ended on {support.ISTIO_ENDED.ends}, goes to "
        f"{support.ISTIO[-1].tried} first, then to {support.ISTIO[0].tried}",
    ),
]
"""One that is newer than what was tried is warned of, not refused."""

PxcVersion = Annotated[
    str,
    _pattern(
        "operator version",
        rf"{re.escape(support.shown(support.PXC_OPERATOR))}\.\d+",
        f"must be a version that dcmesh supports, {support.shown(support.PXC_OPERATOR)}.x, with its patch level",
    ),
]

ChartSource = Annotated[
    str,
    TextKind(
        "URL or directory",
        "must be a chart repository (https://…), an OCI registry (oci://…) or a directory",
        _is_chart_source,
        {"pattern": r"\S"},
    ),
]

ImageHub = Annotated[
    str,
    _pattern(
        "registry",
        r"[A-Za-z0-9][-\w.]*(:\d+)?(/[-\w.]+)*",
        "must be an image registry and path, without scheme and tag, such as registry.example.com/istio",
    ),
]

ImageTag = Annotated[str, _pattern("tag", r"\w[-\w.]{0,127}", "must be an image tag, such as 1.31.0")]

# --- pods ------------------------------------------------------------------------------------------------------------

ImageName = Annotated[
    str,
    _pattern(
        "image",
        r"[a-z0-9][-\w.]*(:\d+)?(/[-\w.]+)*(:\w[-\w.]{0,127})?(@sha256:[0-9a-f]{64})?",
        "must be an image, such as mariadb:10.11 or registry.example.com/mariadb:10.11",
    ),
]

Quantity = Annotated[
    str, _pattern("size", r"[1-9]\d*(Mi|Gi|Ti)", "must be a size as Kubernetes has them, such as 500Mi, 10Gi or 2Ti")
]

Setting = Annotated[
    str,
    _pattern(
        "setting", r"[^\n\r\0]*", "must be the text of an option on one line, as it stands behind its `=` in my.cnf"
    ),
    WrapValidator(_kept_secret),
]

SettingName = Annotated[
    str,
    _pattern(
        "option",
        r"[a-z][a-z0-9_]*",
        "must be the name of a server's option with underscores, such as innodb_buffer_pool_size",
    ),
]

_MARIADB_GTID = r"\d+-\d+-\d+"
_MYSQL_GTIDS = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(:[a-z_][a-z0-9_]{0,31})?(:\d+(-\d+)?)+"

Gtid = Annotated[
    str,
    _pattern(
        "GTIDs",
        rf"({_MARIADB_GTID}(, ?{_MARIADB_GTID})*)|({_MYSQL_GTIDS}(, ?{_MYSQL_GTIDS})*)",
        "must be GTIDs as `pulumi up` says them, of MariaDB such as 0-1968131073-42, or of MySQL such as "
        "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-42",
    ),
]

# --- secrets ---------------------------------------------------------------------------------------------------------


_PASSWORD = _pattern(
    "password",
    r"[!#-&(-\[\]-~]{12,32}",
    "must be 12 to 32 ASCII characters without spaces, quotes and backslashes",
)


def is_password(text: str) -> bool:
    """Tell whether a text can be the password of a database."""
    return bool(_PASSWORD.matches(text))


def _check_password(value: SecretStr) -> SecretStr:
    if not is_password(value.get_secret_value()):
        raise _error(_PASSWORD.advice)
    return value


Password = Annotated[
    SecretStr,
    AfterValidator(_check_password),
    Field(json_schema_extra={**_PASSWORD.schema, "x-kind": _PASSWORD.name, "x-advice": _PASSWORD.advice}),
]
"""A password of a database. MySQL takes no more than 32 characters for a replication channel."""

# --- numbers ---------------------------------------------------------------------------------------------------------


def _whole(value: object) -> object:
    # Numbers come out of another stack as floats; a bool would pass for 0 or 1.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        quoted = isinstance(value, str) and value.strip().isdigit()
        raise _error("must be a whole number" + (": write it without quotes" if quoted else ""))
    return value


WHOLE = BeforeValidator(_whole)

Port = Annotated[int, Field(ge=1, le=65535), WHOLE]

Flag = Annotated[bool, Field(strict=True)]

Replicas = Annotated[int, Field(ge=1, le=1000), WHOLE]

Connections = Annotated[int, Field(ge=1, le=10000), WHOLE]
