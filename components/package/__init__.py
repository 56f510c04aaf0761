"""The component package: four components for programs in any of Pulumi's languages (docs/start/component-package.md).

Each has plain arguments, of the types that Pulumi's analyzer reads, and creates the component of the same name that the
program uses.
"""
