package lint

// Exceptions returns what may stand against a rule, each with its reason. It is
// the only place for them.
//
//lint:table
func Exceptions() []Exception {
	return []Exception{
		{"banned-import", "internal/serialport/device_linux.go", "unsafe", "the kernel's calls for error counters and RS-485 take structs that golang.org/x/sys does not know"},
		{"panic", "status.go", "statusTable", "the embedded table is part of the program: a bad line is a mistake in it"},
		{"private-names", "internal/lint/testdata/private-names.txtar", "/home" + "/ann/", "shows what the rule rejects"},
		{"private-names", "internal/lint/testdata/private-names.txtar", "registry" + ".example.org", "shows what the rule rejects"},
		{"private-names", "internal/lint/testdata/private-names.txtar", "/builds" + "/ann/", "shows what the rule rejects"},
		{"package-vars", "internal/testkit/golden.go", "update", "a flag of the test binary must be known before its flags are read"},
	}
}
