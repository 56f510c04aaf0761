"""dcmesh as a component package. Pulumi starts this program."""

from dcmesh_components.package.host import serve

serve()
