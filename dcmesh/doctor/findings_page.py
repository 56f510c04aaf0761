"""The text of docs/doctor.md: the hops, and what may be found at each."""

from dcmesh.doctor.hops import HOPS
from dcmesh.model.facts import State

INTRODUCTION = """\
<!-- Written by `python -m dcmesh.config.generate` from dcmesh/doctor/. -->
# Doctor

```
python -m dcmesh doctor [--stack NAME] [--json] [--kubeconfig FILE] [HOST]
```

Walks the link of each imported host, or of HOST, hop by hop as a connection comes by them, and stops at the first hop
that is broken: with **what was seen** there (the object's field, the proxy's setting, the answer) and **the fix**. Run
it where you run pulumi. It creates nothing; what it asks are the API servers of the stack's sites, the sidecars and the
gateway by their own agents, istiod for what it has left out, and the host by a new connection from a running pod of the
consumer. That is left after the first bytes, as [`status`](status.md) does it.

It needs the kubeconfigs of its stack alone, of users who [only look](credentials.md#who-only-looks). A hop of a site
that another stack has is `elsewhere`, and not walked: run the doctor with that stack. The exporter's looks at each
export for each of its consumers, up to the server's answer in its own pod; the importer's looks at all hops of its own
site, the route, and what comes back.

A **warning** does not stop the walk: the link works in spite of it. `unseen` is what should have been looked at and
could not be, with the reason. The exit code is that of [`status`](status.md): 0 OK, 1 WARNING, 2 CRITICAL,
3 UNKNOWN. `--json` has for each host all `steps`, each with `hop`, `site`, `outcome` (`passed`, `broken`, `unseen`,
`elsewhere`, `not reached`), `why`, and its `findings`: `id`, `says`, `evidence`, `fix`, `state`.

## Fixes

`pulumi up --refresh` puts back what dcmesh made, whether it was patched, edited, replaced or deleted, and with whatever
client. On a stack that nobody has touched it changes nothing. Three things it does not do:

- It does not see what was **added** to an object: a field, or an element of a list. Delete the object and run it again.
  A Service is edited instead: a new one may get another address.
- It has no preview of a Service's changed **ports** ("Duplicate value"): `--skip-preview`.
- It does not see what **Helm** made: istiod, the gateway's pods, Istio's CRDs and webhooks. Pulumi knows the release
  alone. A rollback to the revision that it has puts them back, and Pulumi has nothing to say to that; RELEASE is
  `istio-base`, `istiod` or `istio-eastwestgateway`, NAMESPACE `istio-system`, or the gateway's own:
  `helm rollback RELEASE $(helm get all RELEASE -n NAMESPACE --template '{{.Release.Version}}') -n NAMESPACE`

What **somebody else** has written is not dcmesh's to put back. A finding that begins with `foreign-` names the object,
and the command that deletes it: ask its owner first. It is a warning as long as links work beside it. A Gateway that
cannot reach dcmesh's, for istiod binds it to its own namespace (`PILOT_SCOPE_GATEWAY_TO_NAMESPACE`), is not named.

What of a pod's traffic its sidecar gets is seen in the arguments of its init container; with istio-cni that one only
checks, and has the same arguments. Where it is set: the annotations `traffic.sidecar.istio.io/…` of what made the pod,
or `global.proxy` in istiod's values, as the ConfigMap has them by which it injects.

A Secret or ConfigMap of a database that was deleted comes back under another name, so the database's pods start anew.

## Hops and findings
"""


def reference() -> str:
    """Return the whole text."""
    lines = [INTRODUCTION]
    for number, hop in enumerate(HOPS, 1):
        lines += [f"### {number}. {hop.name}", "", f"Looked at in the {hop.side}'s site: {hop.about}.", ""]
        lines += ["| finding | what is wrong |", "|---|---|"]
        for kind in hop.kinds:
            says = kind.says if kind.state == State.CRITICAL else f"warning: {kind.says}"
            lines.append(f"| `{kind.id}` | {says} |")
        lines.append("")
    return "\n".join(lines)
