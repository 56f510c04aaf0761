// Package kubernetes stands in for Pulumi's SDK of Go, which has a type for each kind of object. The provider needs it
// for its components alone, such as yaml/v2.ConfigGroup, and dcmesh uses none of them: compiling it takes minutes.
package kubernetes

import "reflect"

// UntypedArgs are the properties of an object of any kind.
type UntypedArgs map[string]any

// ElementType makes it an input of Pulumi's.
func (UntypedArgs) ElementType() reflect.Type { return reflect.TypeFor[map[string]any]() }
