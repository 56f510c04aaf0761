// Package getter stands in for go-getter, which fetches the modules of Terraform programs from every cloud. Pulumi's
// bridge needs it to convert such programs, which nothing here does: compiling it takes a minute.
package getter

import "errors"

var errStandIn = errors.New("the lab's provider tls was built without go-getter")

// Detectors would tell what an address means.
var Detectors any

// Detect says what an address means.
func Detect(string, string, any) (string, error) { return "", errStandIn }

// Get fetches a module.
func Get(string, string) error { return errStandIn }

// SourceDirSubdir takes an address apart.
func SourceDirSubdir(source string) (string, string) { return source, "" }

// SubdirGlob finds a directory in a module.
func SubdirGlob(string, string) (string, error) { return "", errStandIn }

// FolderStorage would keep what was fetched.
type FolderStorage struct{ StorageDir string }

// Dir says where a module is kept.
func (*FolderStorage) Dir(string) (string, bool, error) { return "", false, errStandIn }

// Get fetches a module, to keep it.
func (*FolderStorage) Get(string, string, bool) error { return errStandIn }
