package docs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var drillBlock = regexp.MustCompile("(?ms)^<!-- drill: ([a-z-]+) -->\n```sh\n(.*?)^```$")

// machine is what stands for a machine in the drills: a gateway that systemctl starts
// and stops.
const machine = `
set -euo pipefail
start() {
	penstock serve -c ROOT/etc/penstock/penstock.yaml --allow-root >>ROOT/log 2>&1 &
	pid=$!
	for _ in $(seq 600); do
		if [ -e ROOT/var/lib/penstock/run/admin.sock ]; then return 0; fi
		kill -0 $pid 2>/dev/null || { echo "the gateway did not start"; cat ROOT/log; return 1; }
		sleep 0.05
	done
	echo "the gateway is not there"; return 1
}
stop() { if [ -n "${pid:-}" ]; then kill -INT $pid; wait $pid || true; pid=; fi; }
systemctl() { case $1 in start) start;; stop) stop;; esac; }
report() {
	for seq in $(seq $1 $2); do
		echo '{"controller":"pump-17","epoch":1,"seq":'$seq',"samples":[{"point":"flow","time":"2026-11-22T05:00:0'$seq'Z","value":1}]}'
	done | penstock send --data ROOT/var/lib/penstock
	penstock query pump-17 --data ROOT/var/lib/penstock
}
trap stop EXIT
start
report 1 3
`

// saved is a machine with a backup, and reports that came after it.
const saved = `
penstock backup ROOT/mnt/backup/north --data ROOT/var/lib/penstock --key-copy ROOT/media/safe/north.key
report 4 6
`

// TestRecovery runs the commands of the two documents, each case on a machine of its
// own on which the thing in question is broken before.
func TestRecovery(t *testing.T) {
	bin := t.TempDir()
	if out, err := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(bin, "penstock"), "../cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	drills := map[string]struct{ before, after string }{
		"backup":        {"report 4 5", "[ $(ls ROOT/mnt/backup/north | wc -l) = 2 ]"},
		"restore":       {saved, "penstock ledger --data ROOT/var/lib/penstock"},
		"gaps":          {saved + "stop; mv ROOT/var/lib/penstock ROOT/old; penstock restore ROOT/mnt/backup/north ROOT/var/lib/penstock --key ROOT/media/safe/north.key; start; report 7 8", "penstock gaps --data ROOT/var/lib/penstock | grep 'Nothing is missing'"},
		"disk-lost":     {saved + "stop; rm -r ROOT/var/lib/penstock", "report 4 6; penstock gaps --data ROOT/var/lib/penstock"},
		"keys-lost":     {saved + "stop; rm ROOT/var/lib/penstock/keys/kek; ! penstock serve -c ROOT/etc/penstock/penstock.yaml --allow-root", "report 4 6"},
		"database":      {"", ""},
		"spool-damaged": {"stop; for f in ROOT/var/lib/penstock/spool/*.seg; do echo rot >$f; done; ! penstock serve -c ROOT/etc/penstock/penstock.yaml --allow-root", "report 4 6; ls ROOT/var/lib/penstock/spool.repaired-*/*.seg"},
		"export":        {"stop", "penstock ledger --data ROOT/var/lib/penstock | grep balances"},
		"certificate":   {"", "[ -e ROOT/var/lib/penstock/tls/cert.pem ]"},
		"clock":         {"stop", "report 4 6"},
		"step-by-step":  {saved, "penstock query pump-17 --data ROOT/var/lib/penstock | grep 05:00:06"},
	}
	shown := map[string]string{}
	for _, name := range []string{"operations/backup.md", "operations/disaster-recovery.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		blocks := drillBlock.FindAllStringSubmatch(string(text), -1)
		if all := len(shellBlock.FindAllString(string(text), -1)); all != len(blocks) {
			t.Errorf("%s has %d blocks of commands, and %d are drills", name, all, len(blocks))
		}
		for _, block := range blocks {
			shown[block[1]] += block[2]
		}
	}
	for name, commands := range shown {
		t.Run(name, func(t *testing.T) {
			drill, ok := drills[name]
			if !ok {
				t.Fatal("what is to be broken for it?")
			}
			runDrill(t, bin, machine+drill.before+"\n"+onScratch(commands)+drill.after)
		})
	}
	for name := range drills {
		if shown[name] == "" {
			t.Errorf("no document shows the drill %s", name)
		}
	}
}

// onScratch has commands for the paths of a machine work below a directory.
func onScratch(commands string) string {
	return regexp.MustCompile(`(^|[ '])(/(?:var|mnt|media|etc)/)`).ReplaceAllString(commands, "${1}ROOT$2")
}

func runDrill(t *testing.T, bin, script string) {
	t.Helper()
	root := t.TempDir()
	for _, dir := range []string{"etc/penstock", "var/lib", "mnt/backup", "media/safe"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o750); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{
		"etc/penstock/penstock.yaml": "data: " + root + "/var/lib/penstock\nlisten: {https: \"127.0.0.1:0\", health: off}\n",
		"media/safe/passphrase":      "correct horse battery staple\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", strings.ReplaceAll(script, "ROOT", root))
	shell.Dir, shell.Env = root, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	// What it left running is asked to end, and not waited for.
	shell.Cancel, shell.WaitDelay = func() error { return shell.Process.Signal(syscall.SIGTERM) }, 5*time.Second
	if out, err := shell.CombinedOutput(); err != nil {
		log, _ := os.ReadFile(filepath.Join(root, "log")) // it says why
		t.Errorf("%v\n%s\n%s", err, out, log)
	}
}
