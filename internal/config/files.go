package config

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
)

// Files returns the files that a configuration names: the files of its secrets, and
// each text that is the absolute path of a file which is there.
func Files(v any) []string {
	var files []string
	add := func(path string) {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && filepath.IsAbs(path) && !slices.Contains(files, path) {
			files = append(files, path)
		}
	}
	walk(reflect.ValueOf(v).Elem(), "", func(v reflect.Value, _ string) {
		switch s := v.Interface().(type) {
		case Secret:
			add(s.file)
		case string:
			add(s)
		}
	})
	return files
}
