"""dcmesh as a component package: what Pulumi starts."""

from dcmesh_components.package.host import serve

serve()
