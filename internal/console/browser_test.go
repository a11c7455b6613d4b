package console_test

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/internal/testkit/browser"
)

// plant is a demo that runs: a gateway, and a fleet that sends to it.
type plant struct {
	url   string
	token string
	link  string // that signs in once, as the demo prints it
}

// program builds the gateway as make build does, with the pages in it.
func program(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "penstock")
	if out, err := exec.Command("go", "build", "-trimpath", "-o", file, "github.com/penstock/penstock/cmd/penstock").CombinedOutput(); err != nil {
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
	var said words
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
		if link := regexp.MustCompile(`https://\S+/#/sign-in/\S+`).FindString(said.String()); link != "" {
			token, err := os.ReadFile(filepath.Join(data, "admin.token"))
			if err != nil {
				t.Fatal(err)
			}
			return plant{"https://" + address + "/", strings.TrimSpace(string(token)), link}
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			t.Fatal("the demo did not begin")
		}
	}
}

// words are what a program says while it runs.
type words struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *words) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
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

var screenshots = flag.String("screenshots", "", "the `FOLDER` to write pictures of the console to")

// The pages as a person sees them, in a real browser, of a gateway that runs.
func TestInABrowser(t *testing.T) {
	program := program(t)
	t.Run("pages", func(t *testing.T) { pages(t, program) })
	t.Run("smooth", func(t *testing.T) { smooth(t, program) })
}

// pages looks at a demo in which a radio fades and a controller hangs.
func pages(t *testing.T, program string) {
	at := demo(t, program, "--controllers", "100", "--interval", "1s", "--break", "hang@15s+10m", "--break", "radio@15s+10m")
	b := browser.Start(t)
	p := b.Open(browser.Look{Width: 1280, Height: 900})
	folder := *screenshots
	if folder == "" {
		folder = t.TempDir()
	}
	for _, step := range []struct {
		name string
		do   func(*testing.T)
	}{
		{"a wrong token", func(t *testing.T) { wrongToken(t, p, at) }},
		{"the first screen is live", func(t *testing.T) { firstScreen(t, p, at) }},
		{"search, and the keyboard", func(t *testing.T) { search(t, p) }},
		{"a controller and its plot", func(t *testing.T) { onePoint(t, p, filepath.Join(folder, "controller.webp")) }},
		{"stale on a phone", func(t *testing.T) { staleOnAPhone(t, b, at, filepath.Join(folder, "phone.webp")) }},
		{"causes", func(t *testing.T) {
			p.Go(at.url + "#/")
			p.Wait("document.querySelectorAll('.cause').length > 0")
			p.Screenshot(filepath.Join(folder, "console.webp"))
			serious(t, p)
		}},
		{"the radio that fades", func(t *testing.T) { fadedRadio(t, p) }},
		{"the link that the demo prints", func(t *testing.T) { byLink(t, b, at) }},
		{"signed out", func(t *testing.T) {
			p.Click("header button")
			p.Wait("document.querySelector('#token')")
			p.Go(at.url)
			p.Wait("document.querySelector('#token')")
			quiet(t, p)
		}},
	} {
		if !t.Run(step.name, step.do) {
			return
		}
	}
}

func wrongToken(t *testing.T, p *browser.Page, at plant) {
	p.Go(at.url)
	p.Wait("document.activeElement?.id === 'token'")
	serious(t, p)
	p.Type("nonsense")
	p.Press("Enter")
	p.Wait("document.querySelector('[role=alert]')?.innerText.includes('token')")
}

func firstScreen(t *testing.T, p *browser.Page, at plant) {
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
}

func search(t *testing.T, p *browser.Page) {
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
	quoted, err := json.Marshal(name)
	if err != nil {
		t.Fatal(err)
	}
	p.Wait("document.querySelector('h1')?.innerText.startsWith(" + string(quoted) + ")")
}

func onePoint(t *testing.T, p *browser.Page, picture string) {
	p.Wait("document.querySelectorAll('.hops li').length >= 4")
	p.Wait("document.querySelectorAll('.points tbody tr').length > 0")
	p.Wait("document.querySelector('.plot canvas') && document.querySelector('.plot [data-steps]').dataset.steps > 1")
	p.Wait("document.querySelector('.plot [role=img]').ariaLabel.startsWith('From ')")
	serious(t, p)
	p.Click("[aria-label='Zoom in']")
	p.Wait("document.querySelector('.ranges').innerText.includes('zoomed')")
	p.Screenshot(picture)
}

// fadedRadio finds out from the first screen what to do, and where on its way a
// report is in trouble.
func fadedRadio(t *testing.T, p *browser.Page) {
	p.Wait("/^site-.*not software.*since .*Why:.*Next:.*aerial.*Send:.*radio technician/s.test(document.querySelector('.cause.physical').innerText)")
	p.Wait("/[1-9][0-9]* causes? of trouble at [1-9]/.test(document.querySelector('h1.line').innerText) && /cause/.test(document.title)")
	p.Click(".cause.physical summary")
	p.Click(".cause.physical .names a")
	p.Wait("/^Radio.*RSSI.*SNR/s.test(document.querySelector('.hops .poor')?.innerText ?? '')")
	serious(t, p)
}

// byLink signs in by the link, which does once and is not kept in the address.
func byLink(t *testing.T, b *browser.Browser, at plant) {
	p := b.Open(browser.Look{Width: 800, Height: 600})
	p.Go(at.link)
	p.Wait("/reporting/.test(document.querySelector('h1.line')?.innerText ?? '') && !location.href.includes('sign-in')")
	p.Click("header button")
	p.Wait("document.querySelector('#token')")
	p.Go("about:blank") // an address that differs behind the # alone loads nothing
	p.Go(at.link)
	p.Wait("document.querySelector('[role=alert]')?.innerText.includes('used already') && document.querySelector('#token')")
	serious(t, p)
}

// frames scrolls through the fleet while it reports, and returns how many
// milliseconds the frames took, the longest last, and what one costs the processor.
func frames(t *testing.T, p *browser.Page) (took []float64, cost time.Duration) {
	t.Helper()
	before := p.Spent()
	err := p.Eval(`new Promise(done => {
		const took = [], list = document.querySelector('.rows')
		let before = performance.now(), begun = before
		const step = at => {
			took.push(at - before)
			before = at
			list.scrollTop = (at - begun) * 5 % Math.max(1, list.scrollHeight - list.clientHeight)
			if (at - begun < 3000) requestAnimationFrame(step); else done(took.slice(2).sort((a, b) => a - b))
		}
		requestAnimationFrame(step)
	})`, &took)
	if err != nil || len(took) == 0 {
		t.Fatal(err, len(took))
	}
	cost = (p.Spent() - before) / time.Duration(len(took))
	t.Logf("%d frames of %v on the processor: p50 %.0f ms, p95 %.0f ms, p99 %.0f ms, longest %.0f ms", len(took), cost.Round(10*time.Microsecond), took[len(took)/2], took[len(took)*95/100], took[len(took)*99/100], took[len(took)-1])
	return took, cost
}

// smooth scrolls the first screen. At length it is that of the largest fleet.
func smooth(t *testing.T, program string) {
	controllers, interval := "300", "2s"
	if os.Getenv("PENSTOCK_TORTURE") != "" {
		controllers, interval = "5000", "10s"
	}
	at := demo(t, program, "--controllers", controllers, "--interval", interval)
	p := browser.Start(t).Open(browser.Look{Width: 1280, Height: 900})
	signIn(p, at)
	p.Wait("document.querySelectorAll('.row').length > 10")
	p.Wait("Number(document.querySelector('.seek [role=status]').innerText.split(' ')[0].replaceAll(',', '')) > 0.9 * " + controllers)
	// A machine that is busy with other things has slow frames too: half of them
	// tell what the page costs.
	took, cost := frames(t, p)
	if took[len(took)/2] > 50 {
		t.Errorf("half of the frames take more than %.0f ms", took[len(took)/2])
	}
	if cost > time.Second/60 {
		t.Errorf("a frame costs %v, and there are sixty a second", cost)
	}
	var rows int
	if err := p.Eval("document.querySelectorAll('.row').length", &rows); err != nil || rows > 60 {
		t.Errorf("%d rows are in the page, and only those in sight should be (%v)", rows, err)
	}
	quiet(t, p)
}

// What hangs is shown by its age, and never as if it were live.
func staleOnAPhone(t *testing.T, b *browser.Browser, at plant, picture string) {
	p := b.Open(browser.Look{Width: 390, Height: 844, Phone: true, Dark: true})
	p.Go(at.url)
	p.Wait("document.querySelector('.row .pulse.silent')?.innerText.includes('stale for')")
	p.Wait("/[1-9] silent/.test(document.querySelector('h1.line').innerText)")
	const narrow = "document.documentElement.scrollWidth <= innerWidth"
	p.Wait(narrow)
	// A row has room for one word: what is wrong, or that it reports.
	p.Wait("[...document.querySelectorAll('.row')].every(r => [...r.querySelectorAll('.why, .pulse')].filter(e => e.offsetWidth > 0).length === 1)")
	p.Screenshot(picture)
	serious(t, p)
	p.Click(".row a")
	p.Wait("document.querySelector('h1 .pulse.silent')?.innerText.includes('stale for')")
	p.Wait("/was good.*stale/s.test(document.querySelector('.points tr.old')?.innerText)")
	p.Wait("document.querySelector('.plot canvas')")
	p.Wait(narrow)
	serious(t, p)
	quiet(t, p)
}
