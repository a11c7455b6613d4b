// Package lint is the house style as a test: go test ./internal/lint reads the
// sources and documents of the module and names every breach with its file and
// line, the rule, and what to write instead. Each rule stands in a small file
// and has a case in testdata with what it must reject and what it must pass.
// What may stand against a rule is listed, with its reason, in exceptions.go; an
// exception that nothing needs any more is a breach too.
//
// Nothing here runs in the gateway.
package lint
