package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// buildGateway builds the program that the short forms measure.
func buildGateway(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", program, "../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// The short forms of the proofs of the field side: a fleet of both protocols comes back
// after a kill with exact books, and devices on lines with dead ones among them are
// polled. At full length (PENSTOCK_TORTURE=1) the fleets have their full size.
func TestFieldSide(t *testing.T) {
	s := settings{gateway: buildGateway(t), directory: t.TempDir(), members: 50, field: 3 * time.Second, polled: 5 * time.Second}
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		s.members, s.field, s.polled = 5000, time.Minute, 10*time.Minute
	}
	if err := s.fieldSide(t.Context()); err != nil {
		t.Error(err)
	}
}
