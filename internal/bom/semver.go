package bom

import (
	"cmp"
	"strings"
)

// compareVersions orders two versions by the rules of Semantic Versioning 2.0.
// Go's own names of pre-releases, 1.27rc1, count as 1.27.0-rc1. A part that is no
// number counts as 0.
func compareVersions(a, b string) int {
	coreA, preA := splitVersion(a)
	coreB, preB := splitVersion(b)
	for i := range coreA {
		if c := compareNumbers(coreA[i], coreB[i]); c != 0 {
			return c
		}
	}
	switch {
	case preA == preB:
		return 0
	case preA == "":
		return 1
	case preB == "":
		return -1
	}
	return comparePre(strings.Split(preA, "."), strings.Split(preB, "."))
}

// splitVersion returns major, minor and patch, and what comes before the release.
func splitVersion(v string) (core [3]string, pre string) {
	v = strings.TrimPrefix(v, "v")
	v, _, _ = strings.Cut(v, "+")
	v, pre, _ = strings.Cut(v, "-")
	for _, name := range []string{"rc", "beta"} {
		if before, number, ok := strings.Cut(v, name); ok && pre == "" {
			v, pre = before, name+"."+number
		}
	}
	parts := strings.SplitN(v, ".", 3)
	for i := range core {
		core[i] = "0"
		if i < len(parts) {
			core[i] = parts[i]
		}
	}
	return core, pre
}

// compareNumbers compares numbers of any length.
func compareNumbers(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

func comparePre(a, b []string) int {
	for i := range min(len(a), len(b)) {
		numberA, numberB := isNumber(a[i]), isNumber(b[i])
		c := 0
		switch {
		case numberA && numberB:
			c = compareNumbers(a[i], b[i])
		case numberA:
			c = -1
		case numberB:
			c = 1
		default:
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func isNumber(text string) bool {
	for _, r := range text {
		if r < '0' || r > '9' {
			return false
		}
	}
	return text != ""
}
