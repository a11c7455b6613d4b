package console_test

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit/browser"
)

// plant is a demo that runs: a gateway, and a fleet that sends to it.
type plant struct {
	url   string
	token string
}

// program builds the gateway as make build does, with the pages in it.
func program(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.Command("go", "build", "-o", file, "github.com/penstock/penstock/cmd/penstock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

func demo(t testing.TB, program string, flags ...string) plant {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	data := filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(program, append([]string{"demo", "--listen", address, "--data", data}, flags...)...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it may have ended by itself
		time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait() // what it proves is another test's affair
		if t.Failed() {
			t.Log(said.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for {
		token, err := os.ReadFile(filepath.Join(data, "admin.token"))
		if err == nil {
			if c, err := net.Dial("tcp", address); err == nil {
				c.Close()
				return plant{"https://" + address + "/", strings.TrimSpace(string(token))}
			}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatal("the demo did not begin")
		}
	}
}

func signIn(p *browser.Page, at plant) {
	p.Go(at.url)
	p.Wait("document.activeElement?.id === 'token'")
	p.Type(at.token)
	p.Press("Enter")
	p.Wait("/^[1-9][0-9,]* of [0-9,]+ reporting/.test(document.querySelector('h1.line')?.innerText ?? '')")
}

// serious returns what axe finds that keeps people from using the page.
func serious(t *testing.T, p *browser.Page) {
	t.Helper()
	axe, err := os.ReadFile("../../web/node_modules/axe-core/axe.min.js")
	if err != nil {
		t.Fatalf("%v: run 'make console'", err)
	}
	if err := p.Eval(string(axe)+"; 0", nil); err != nil {
		t.Fatal(err)
	}
	var found []struct {
		ID, Impact, Help string
		Nodes            []struct{ HTML, FailureSummary string }
	}
	if err := p.Eval("axe.run().then(r => r.violations)", &found); err != nil {
		t.Fatal(err)
	}
	for _, v := range found {
		if v.Impact == "serious" || v.Impact == "critical" {
			t.Errorf("%s (%s): %s: %s\n%s", v.ID, v.Impact, v.Help, v.Nodes[0].HTML, v.Nodes[0].FailureSummary)
		}
	}
}

func quiet(t *testing.T, p *browser.Page) {
	t.Helper()
	for _, text := range p.Said() {
		if !strings.Contains(text, "401") { // who is not signed in yet
			t.Error(text)
		}
	}
}

func TestThePagesUnderTheDemo(t *testing.T) {
	at := demo(t, program(t), "--controllers", "60")
	b := browser.Start(t)
	p := b.Open(browser.Look{Width: 1280, Height: 900})

	t.Run("a wrong token", func(t *testing.T) {
		p.Go(at.url)
		p.Wait("document.activeElement?.id === 'token'")
		serious(t, p)
		p.Type("nonsense")
		p.Press("Enter")
		p.Wait("document.querySelector('[role=alert]')?.innerText.includes('token')")
	})
	t.Run("the first screen is live", func(t *testing.T) {
		signIn(p, at)
		received := "Number(document.querySelector('.sums td').innerText.replaceAll(',', ''))"
		var before float64
		if err := p.Eval(received, &before); err != nil {
			t.Fatal(err)
		}
		p.Wait(received + " > " + strconv.FormatFloat(before, 'f', -1, 64))
		p.Wait("document.querySelectorAll('.stages tbody tr').length > 2 && document.querySelector('.slowest')")
		p.Wait("document.querySelector('.sinks').innerText.includes('historian')")
		p.Wait("document.querySelectorAll('.row').length > 5")
		serious(t, p)
	})
	t.Run("search, and the keyboard", func(t *testing.T) {
		var name string
		if err := p.Eval("document.querySelector('.row .name').innerText", &name); err != nil {
			t.Fatal(err)
		}
		if err := p.Eval("document.querySelector('input[type=search]').focus()", nil); err != nil {
			t.Fatal(err)
		}
		p.Type(name)
		p.Wait("document.querySelectorAll('.row').length < 5")
		p.Press("Tab")
		p.Press("Tab")
		p.Press("Enter")
		quoted, _ := json.Marshal(name)
		p.Wait("document.querySelector('h1')?.innerText.startsWith(" + string(quoted) + ")")
	})
	t.Run("a controller and its plot", func(t *testing.T) {
		p.Wait("document.querySelectorAll('.hops li').length === 4")
		p.Wait("document.querySelectorAll('.points tbody tr').length > 0")
		p.Wait("document.querySelector('.plot canvas') && document.querySelector('.plot [data-steps]').dataset.steps > 1")
		p.Wait("document.querySelector('.plot [role=img]').ariaLabel.startsWith('From ')")
		serious(t, p)
		p.Click("[aria-label='Zoom in']")
		p.Wait("document.querySelector('.ranges').innerText.includes('zoomed')")
	})
	quiet(t, p)
	t.Run("out", func(t *testing.T) {
		p.Click("header button")
		p.Wait("document.querySelector('#token')")
		p.Go(at.url)
		p.Wait("document.querySelector('#token')")
	})
}

// One controller hangs, and everything says so: by its age, and never as if it were
// live.
func TestAStaleControllerIsShownStale(t *testing.T) {
	at := demo(t, program(t), "--controllers", "60", "--break", "hang@2s+10m")
	b := browser.Start(t)
	p := b.Open(browser.Look{Width: 390, Height: 844, Phone: true, Dark: true})
	signIn(p, at)
	p.Wait("document.querySelector('.row .pulse.silent')?.innerText.includes('stale for')")
	p.Wait("/[1-9] silent/.test(document.querySelector('h1.line').innerText)")
	narrow := "document.documentElement.scrollWidth <= innerWidth"
	p.Wait(narrow)
	serious(t, p)
	p.Click(".row a")
	p.Wait("document.querySelector('h1 .pulse.silent')?.innerText.includes('stale for')")
	p.Wait("document.querySelectorAll('.points tr.old').length > 0 && document.querySelector('.points tr.old').innerText.includes('stale')")
	p.Wait("document.querySelector('.plot canvas')")
	p.Wait(narrow)
	serious(t, p)
	quiet(t, p)
}

var screenshots = flag.String("screenshots", "", "the `FOLDER` to write pictures of the console to")

// TestScreenshots makes the pictures of the documents, where it is told a folder.
func TestScreenshots(t *testing.T) {
	at := demo(t, program(t), "--controllers", "200", "--break", "radio@5s+10m")
	b := browser.Start(t)
	folder := *screenshots
	if folder == "" {
		folder = t.TempDir()
	}
	p := b.Open(browser.Look{Width: 1280, Height: 900})
	signIn(p, at)
	if *screenshots != "" {
		p.Wait("document.querySelector('.cause.physical')")
	}
	p.Screenshot(filepath.Join(folder, "console.webp"))
	p.Click(".row a")
	p.Wait("document.querySelector('.plot canvas')")
	p.Screenshot(filepath.Join(folder, "controller.webp"))
}
