"""Engine stands in for Pulumi's engine and providers. It records what it was asked for, and refuses unknown types."""

import asyncio
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pulumi
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi import _types
from pulumi.runtime import rpc
from pulumi.runtime.mocks import MockMonitor
from pulumi.runtime.proto.resource_pb2 import RegisterResourceResponse, ResourceInvokeResponse
from pulumi.runtime.proto.source_pb2 import StackTrace

PROJECT = "dcmesh"

KUBECONFIG = """\
apiVersion: v1
clusters:
- cluster:
    server: https://{0}
  name: {0}
contexts:
- context:
    cluster: {0}
    user: {0}
  name: {0}
current-context: {0}
kind: Config
users:
- name: {0}
  user:
    token: secret kubeconfig of {0}
"""

# The outputs that real providers add to the inputs, by type. {} is the resource's name. Other types are refused.
ANSWERS: dict[str, dict[str, str]] = {
    "command:local:Command": {"stdout": KUBECONFIG},
    "tls:index/privateKey:PrivateKey": {"privateKeyPem": "secret key of {}\n", "publicKeyPem": "public key of {}\n"},
    "tls:index/selfSignedCert:SelfSignedCert": {"certPem": "certificate of {}\n"},
    "tls:index/certRequest:CertRequest": {"certRequestPem": "request of {}\n"},
    "tls:index/locallySignedCert:LocallySignedCert": {"certPem": "certificate of {}\n"},
}


class Unserved:
    """In place of the server through which an engine calls hooks: the SDK makes one for each task that has some."""

    def __init__(self, **_: object) -> None:
        pass

    def add_insecure_port(self, address: str) -> int:
        return 0

    def add_generic_rpc_handlers(self, _: object) -> None:
        pass

    def add_registered_method_handlers(self, *_: object) -> None:
        pass

    async def start(self) -> None:
        pass

    async def stop(self, grace: float) -> None:
        pass


QUICKER: dict[str, Any] = {
    "pulumi.runtime._callbacks.aio.server": Unserved,
    # The SDK asks where in the program each resource is created.
    "pulumi.runtime.resource._get_stack_trace": StackTrace,
    "pulumi.log.debug": lambda *_, **__: None,
    "pulumi._types.unwrap_type": functools.cache(_types.unwrap_type),
}
"""Fast replacements for SDK functions that no test needs, and that take a fourth of the time."""

KNOWN_CALLS = ("pulumi:pulumi:readStackOutputs", "pulumi:pulumi:readStackResourceOutputs")
KNOWN_PACKAGES = ("dcmesh", "kubernetes", "pulumi:providers:kubernetes")


def plain(value: Any) -> Any:
    """Return a value with its secrets in plain text."""
    if rpc.is_rpc_secret(value):
        return plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list):
        return [plain(part) for part in value]
    return value


def readable_strings(value: Any) -> Iterator[str]:
    """Yield every string in a value that is not secret."""
    if rpc.is_rpc_secret(value):
        return
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from readable_strings(part)


def address_of(service: str) -> str:
    """Return the default address of a Service of type LoadBalancer."""
    return f"198.51.100.{sum(service.encode()) % 256}"


def autonamed(name: str) -> str:
    """Return the name of a resource's object in Kubernetes if the program gives it none."""
    return f"{name}-1a2b3c4d"


class AtOnce(Executor):
    """An executor that runs a function at once, in the calling thread.

    The SDK would register each resource in a thread of its own. Engine answers at once, and switching between the
    threads took half of the time.
    """

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done = Future[Any]()
        try:
            done.set_result(call(*args, **kwargs))
        except Exception as failure:
            done.set_exception(failure)
        return done


@contextmanager
def event_loop() -> Iterator[None]:
    """Give this thread an event loop while the block runs. The SDK would make one, and leave it open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop._default_executor = AtOnce()  # type: ignore[attr-defined]  # set_default_executor() takes threads alone
    try:
        yield
    except BaseException:
        # A program that ends well has waited for all tasks, and looking through all of them is slow.
        loop.set_exception_handler(lambda *_: None)  # The first failure has been raised already.
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        raise
    finally:
        loop.close()
        asyncio.set_event_loop(None)


def _name(urn: str) -> str:
    return urn.rpartition("::")[2]


@dataclass(frozen=True)
class Resource:
    """A resource as the program asked for it. It refers to other resources by name, or by "" for none."""

    name: str
    type: str
    provider: str
    parent: str
    dependencies: frozenset[str]
    deleted_with: str
    secret_outputs: frozenset[str]
    request: Any

    @functools.cached_property
    def raw(self) -> dict[str, Any]:
        """The inputs, with secrets marked one by one.

        The SDK itself would call everything secret that contains a secret.
        """
        return MessageToDict(self.request.object)

    @property
    def inputs(self) -> dict[str, Any]:
        return plain(self.raw)

    @property
    def kind(self) -> str:
        return self.type.rpartition(":")[2]

    @property
    def spec(self) -> dict[str, Any]:
        return self.inputs["spec"]

    @property
    def object(self) -> tuple[str, str]:
        """The namespace and name in Kubernetes, or of a Helm release."""
        metadata = self.inputs.get("metadata", self.inputs)
        return metadata.get("namespace", ""), metadata.get("name") or autonamed(self.name)


class Engine(MockMonitor):
    """Runs one program.

    Attributes:
        asked: the resources that the program registered, by name. Each name may occur once only, whatever the type.
        outputs: the stack's outputs, with secrets in plain text.
        raw_outputs: the same, with secrets marked.
        secret_outputs: the keys of outputs that are secret, at least in part.
        warnings: the warnings that the user is shown.
    """

    def __init__(
        self,
        ingress: Sequence[Mapping[str, str]] | None = None,
        stacks: Mapping[str, Mapping[str, Any]] | None = None,
        state: Mapping[str, Any] | None = None,
        *,
        preview: bool = False,
    ) -> None:
        """Begin with nothing.

        Args:
            ingress: the address of every Service of type LoadBalancer. Default: each has its own.
            stacks: the outputs of other stacks, by full name, with secrets marked or not.
            state: type and outputs of each resource that this stack has, by URN.
            preview: whether it is a preview of a new stack. Then only those outputs are known that are inputs, without
                the fields that a cluster adds to them.
        """
        super().__init__(mocks=None)  # Engine answers by itself, without mocks.
        self.ingress = ingress
        self.stacks = dict(stacks or {})
        self.state = dict(state or {})
        self.preview = preview
        self.asked: dict[str, Resource] = {}
        self.outputs: dict[str, Any] = {}
        self.raw_outputs: dict[str, Any] = {}
        self.secret_outputs: set[str] = set()
        self.warnings: list[str] = []
        self._log = logging.Logger("engine", logging.WARNING)
        self._log.addFilter(lambda record: self.warnings.append(record.getMessage()))

    def __getitem__(self, name: str) -> Resource:
        return self.asked[name]

    def kind(self, *kinds: str) -> list[Resource]:
        # Return a copy: while an `apply` reads it, other threads may register more.
        return [resource for resource in list(self.asked.values()) if resource.kind in kinds]

    def one(self, kind: str) -> Resource:
        (resource,) = self.kind(kind)
        return resource

    def in_kubernetes(self) -> list[Resource]:
        return [resource for resource in self.asked.values() if resource.type.startswith("kubernetes:")]

    def parents(self, name: str) -> Iterator[Resource]:
        """Yield the resource and its ancestors, from the inside out."""
        while name in self.asked:
            yield self[name]
            name = self[name].parent

    def deleted_with(self, name: str) -> str:
        """Return the resource with which this one is deleted. The engine lets children inherit that."""
        return next((part.deleted_with for part in self.parents(name) if part.deleted_with), "")

    def before(self, name: str) -> set[str]:
        """Return the resources that must exist before the engine begins with a resource."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            resource = self.asked.get(waiting.pop())
            if resource:
                new = {*resource.dependencies, resource.parent, resource.provider} - found
                found |= new
                waiting += new
        return found - {""}

    def run(self, program: Callable[[], object], config: Mapping[str, str] | None = None) -> "Engine":
        """Run a program to its end, until all of its outputs are resolved.

        Raises:
            Exception: the exception that the program or one of its `apply`s raised.
        """
        # It runs in a thread of its own, because the SDK keeps its root resource and its settings in context variables.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(self._run, program, config or {}).result()
        return self

    def _run(self, program: Callable[[], object], config: Mapping[str, str]) -> None:
        async def export(root: Any) -> None:
            self.raw_outputs = MessageToDict(await rpc.serialize_properties(root.outputs, {}))
            for key, value in root.outputs.items():
                output = pulumi.Output.from_input(value)
                self.outputs[key] = await output.future()
                if await output.is_secret():
                    self.secret_outputs.add(key)

        def main() -> Any:
            program()
            return export(pulumi.runtime.get_root_resource())

        with event_loop(), pytest.MonkeyPatch.context() as patch:
            for place, instead in QUICKER.items():
                patch.setattr(place, instead)
            if not self.preview:  # Only in a preview may a value be unknown.
                patch.setattr("pulumi.output.contains_unknowns", lambda _: False)
            pulumi.runtime.set_mocks(
                None, project=PROJECT, stack="test", preview=self.preview, logger=self._log, monitor=self
            )
            pulumi.runtime.set_all_config({f"{PROJECT}:{key}": value for key, value in config.items()})
            pulumi.runtime.test(main)()

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 — the interface's name
        """Answer as a provider, with the outputs that it adds to the inputs.

        In a preview, answer with the inputs too.
        """
        response = RegisterResourceResponse(urn=self.make_urn(request.parent, request.type, request.name))
        if request.type == "pulumi:pulumi:Stack":
            return response
        assert not request.importId, f"imports {request.name}, which it did not make"
        assert request.name not in self.asked, f"two resources are named {request.name}"
        assert request.type in ANSWERS or request.type.startswith(KNOWN_PACKAGES), f"unknown type {request.type}"
        resource = self.asked[request.name] = Resource(
            name=request.name,
            type=request.type,
            provider=_name(request.provider.rpartition("::")[0]),
            parent="" if "::pulumi:pulumi:Stack::" in request.parent else _name(request.parent),
            dependencies=frozenset(map(_name, request.dependencies)),
            deleted_with=_name(request.deletedWith),
            secret_outputs=frozenset(request.additionalSecretOutputs),
            request=request,
        )
        if self.preview:
            response.object.CopyFrom(request.object)
        else:
            response.id = f"id of {request.name}"
            response.object.update(self._added(resource))
        if request.type.startswith("kubernetes:") and "metadata" in request.object:
            response.object["metadata"] = {"name": autonamed(request.name)} | resource.raw["metadata"]
        for key in resource.secret_outputs & set(response.object):
            if not rpc.is_rpc_secret(rpc.deserialize_property(response.object[key])):
                envelope = Struct()
                envelope.update({rpc._special_sig_key: rpc._special_secret_sig, "value": response.object[key]})
                response.object[key] = envelope
        return response

    def _added(self, resource: Resource) -> dict[str, Any]:
        """Return the outputs that a resource has besides its inputs, or instead of them."""
        added: dict[str, Any] = {
            key: text.format(resource.name) for key, text in ANSWERS.get(resource.type, {}).items()
        }
        if resource.type == "kubernetes:batch/v1:Job":
            added["status"] = {"succeeded": 1}
        of_service = resource.raw["spec"].get("type") if resource.type == "kubernetes:core/v1:Service" else ""
        if of_service == "LoadBalancer":
            ingress = [{"ip": address_of(resource.name)}] if self.ingress is None else list(self.ingress)
            added["status"] = {"loadBalancer": {"ingress": ingress}}
        elif of_service == "ClusterIP":
            added["spec"] = resource.raw["spec"] | {"clusterIP": address_of(resource.name)}
        return added

    def Invoke(self, request: Any) -> Any:  # noqa: N802 — the interface's name
        assert request.tok in KNOWN_CALLS, f"unknown call {request.tok}"
        response = ResourceInvokeResponse()
        of = request.args["stackName"] if "stackName" in request.args else request.args["name"]
        known = self.state if "stackName" in request.args else self.stacks.get(of)
        if known is None:
            response.failures.add(property="name", reason=f"unknown stack {of!r}")
        else:
            getattr(response, "return").update({"name": of, "outputs": dict(known)})
        return response

    def ReadResource(self, request: Any) -> Any:  # noqa: N802 — the interface's name
        raise AssertionError(f"reads {request.name}, which it did not make")
