// Package bom says what a program was built from, out of the program itself: its
// modules as a bill of materials, their licences, and which of them a database of
// vulnerabilities names. It needs no network.
package bom

import (
	"runtime/debug"
	"strings"
)

// Module is something that the program was built from.
type Module struct {
	Path    string // "stdlib" for Go's own library
	Version string // without the leading v
	Sum     string // of the module's files, as in go.sum; empty for the library
}

// Library is the name under which the standard library stands.
const Library = "stdlib"

// Modules returns what the program was built from, the standard library first.
func Modules(info *debug.BuildInfo) []Module {
	release, _, _ := strings.Cut(strings.TrimPrefix(info.GoVersion, "go"), " ")
	modules := []Module{{Path: Library, Version: release}}
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		modules = append(modules, Module{dep.Path, strings.TrimPrefix(dep.Version, "v"), dep.Sum})
	}
	return modules
}
