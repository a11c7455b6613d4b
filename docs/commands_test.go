package docs_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	shellBlock   = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	continuation = regexp.MustCompile(`\\\n\s*`)
	ourCommand   = regexp.MustCompile(`(?:^(?:bin/)?|\| |-- )penstock ([^|&#]*)`)
)

var ourTarget = regexp.MustCompile(`(?m)^make ([a-z-]+)`)

// TestTargets looks for every target of make that a document shows.
func TestTargets(t *testing.T) {
	makefile, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range ourTarget.FindAllStringSubmatch(string(text), -1) {
			shown++
			if !strings.Contains(string(makefile), "\n"+found[1]+":") {
				t.Errorf("%s shows 'make %s', which the Makefile does not have", document, found[1])
			}
		}
	}
	if shown == 0 {
		t.Error("no document shows a target: does the pattern still fit?")
	}
}

// checkCommands asks the program for the help of every command line that a
// document shows: a command or a flag that does not exist is an error then.
func checkCommands(t *testing.T, bin string) {
	shown := 0
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range shellBlock.FindAllSubmatch(text, -1) {
			for line := range strings.Lines(continuation.ReplaceAllString(string(block[1]), " ")) {
				for _, found := range ourCommand.FindAllStringSubmatch(line, -1) {
					shown++
					checkCommand(t, bin, document, strings.Fields(found[1]))
				}
			}
		}
	}
	if shown < 10 {
		t.Errorf("only %d commands were found: does the pattern still fit?", shown)
	}
}

func checkCommand(t *testing.T, bin, document string, args []string) {
	t.Helper()
	asked := append(slices.Clone(args), "--help")
	if at := slices.Index(args, "--"); at >= 0 {
		asked = slices.Insert(slices.Clone(args), at, "--help") // what follows is another program's
	}
	out, err := exec.Command(filepath.Join(bin, "penstock"), asked...).CombinedOutput()
	_, usage, _ := strings.Cut(string(out), "Usage:\n  penstock ")
	usage, _, _ = strings.Cut(usage, "\n")
	switch shown := strings.Join(args, " "); {
	case err != nil:
		t.Errorf("%s shows 'penstock %s', which the program refuses: %s", document, shown, out)
	case !strings.HasPrefix(usage, args[0]) || strings.HasSuffix(usage, "COMMAND"):
		// The help of a group is what an unknown command in it gets.
		t.Errorf("%s shows 'penstock %s', which the program takes for 'penstock %s'", document, shown, usage)
	}
}
