package lint

import (
	"go/ast"
	"slices"
	"strings"

	"github.com/penstock/penstock/internal/lint/tree"
)

// storage is the packages whose files the tests crash and fail.
var storage = []string{"internal/keyring", "internal/spool", "internal/store", "internal/historian"}

// harmless are the names of package os that touch no file.
var harmless = []string{"os.FileMode", "os.IsNotExist", "os.IsExist", "os.Getpid"}

func storageSeam() Rule {
	return eachFile("storage-seam", "Storage (keyring, spool, store, historian) touches files only through the file system that it is given.",
		func(m *tree.Module, f *tree.File, report report) {
			inStorage := slices.ContainsFunc(storage, func(dir string) bool { return isBelow(f.Package.Dir, dir) })
			if f.Test || !inStorage {
				return
			}
			calls(f, func(declared, called string, call *ast.CallExpr) {
				if strings.HasPrefix(called, "os.") && !slices.Contains(harmless, called) {
					report(m.At(call.Pos()), called, "%s goes past the file system that tests crash: use the vfs.FS of the options", called)
				}
			})
		})
}
