package browser

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Page is one tab. A step that fails ends its test.
type Page struct {
	b       *Browser
	session string
}

// Look is the screen of a page.
type Look struct {
	Width, Height int
	Phone         bool // a touch screen of twice as many dots
	Dark          bool
}

// Open opens a tab.
func (b *Browser) Open(look Look) *Page {
	b.t.Helper()
	var target struct{ TargetID string }
	p := &Page{b: b}
	p.must(b.call("", "Target.createTarget", map[string]any{"url": "about:blank"}, &target))
	var attached struct{ SessionID string }
	p.must(b.call("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached))
	p.session = attached.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		p.do(domain+".enable", nil, nil)
	}
	scale := 1
	if look.Phone {
		scale = 2
	}
	p.do("Emulation.setDeviceMetricsOverride", map[string]any{"width": look.Width, "height": look.Height, "deviceScaleFactor": scale, "mobile": look.Phone}, nil)
	scheme := "light"
	if look.Dark {
		scheme = "dark"
	}
	p.do("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
	return p
}

func (p *Page) must(err error) {
	p.b.t.Helper()
	if err != nil {
		p.b.t.Fatal(err)
	}
}

func (p *Page) do(method string, params, into any) {
	p.b.t.Helper()
	if params == nil {
		params = struct{}{}
	}
	p.must(p.b.call(p.session, method, params, into))
}

// Go opens an address.
func (p *Page) Go(url string) {
	p.b.t.Helper()
	var answer struct{ ErrorText string }
	p.do("Page.navigate", map[string]any{"url": url}, &answer)
	if answer.ErrorText != "" {
		p.b.t.Fatalf("%s: %s", url, answer.ErrorText)
	}
}

// Eval evaluates an expression of JavaScript, waits for it when it is a promise,
// and reads its value into what into points to, unless that is nil.
func (p *Page) Eval(expression string, into any) error {
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	err := p.b.call(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &answer)
	switch {
	case err != nil:
		return err
	case answer.ExceptionDetails != nil:
		return fmt.Errorf("%s %s", answer.ExceptionDetails.Text, answer.ExceptionDetails.Exception.Description)
	case into == nil || answer.Result.Value == nil:
		return nil
	}
	return json.Unmarshal(answer.Result.Value, into)
}

// Wait waits until an expression holds.
func (p *Page) Wait(expression string) {
	p.b.t.Helper()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	var holds bool
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); <-look.C {
		if err = p.Eval("Boolean("+expression+")", &holds); err == nil && holds {
			return
		}
	}
	var text string
	_ = p.Eval("document.body.innerText", &text) // for the message alone
	p.b.t.Fatalf("after %v this does not hold: %s (%v)\nthe page says:\n%s\nand its console: %q", patience, expression, err, text, p.Said())
}

// Text returns the text of what a selector finds first, empty for nothing.
func (p *Page) Text(selector string) string {
	p.b.t.Helper()
	var text string
	p.must(p.Eval(fmt.Sprintf("document.querySelector(%q)?.innerText ?? ''", selector), &text))
	return text
}

// Type writes text where the focus is.
func (p *Page) Type(text string) {
	p.b.t.Helper()
	p.do("Input.insertText", map[string]any{"text": text}, nil)
}

// keyCodes are the keys that Press knows.
var keyCodes = map[string]int{"Enter": 13, "Tab": 9, "ArrowDown": 40, "ArrowUp": 38, "End": 35, "Home": 36}

// Press presses a key: Enter, Tab, ArrowDown, ArrowUp, Home or End.
func (p *Page) Press(key string) {
	p.b.t.Helper()
	down := map[string]any{"type": "keyDown", "key": key, "code": key, "windowsVirtualKeyCode": keyCodes[key]}
	if key == "Enter" {
		down["text"] = "\r"
	}
	p.do("Input.dispatchKeyEvent", down, nil)
	p.do("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": key, "windowsVirtualKeyCode": keyCodes[key]}, nil)
}

// Click clicks on what a selector finds first.
func (p *Page) Click(selector string) {
	p.b.t.Helper()
	p.must(p.Eval(fmt.Sprintf("document.querySelector(%q).click()", selector), nil))
}

// Said returns the errors on the page's console, and what it asked of other hosts
// in vain.
func (p *Page) Said() []string {
	p.b.mu.Lock()
	defer p.b.mu.Unlock()
	return slices.Clone(p.b.events[p.session])
}

// Spent returns how long the page's main thread has worked, by the processor's clock:
// a machine that is busy with other things does not change it.
func (p *Page) Spent() time.Duration {
	p.b.t.Helper()
	p.do("Performance.enable", map[string]string{"timeDomain": "threadTicks"}, nil)
	var answer struct {
		Metrics []struct {
			Name  string
			Value float64
		}
	}
	p.do("Performance.getMetrics", nil, &answer)
	for _, m := range answer.Metrics {
		if m.Name == "TaskDuration" {
			return time.Duration(m.Value * float64(time.Second))
		}
	}
	p.b.t.Fatal("the browser does not tell how long the page has worked")
	return 0
}

// Screenshot writes a picture of what is in sight to a file: as PNG when its name
// says so, and else as WebP.
func (p *Page) Screenshot(file string) {
	p.b.t.Helper()
	var answer struct{ Data string }
	how := map[string]any{"format": "webp", "quality": 80}
	if strings.HasSuffix(file, ".png") {
		how = map[string]any{"format": "png"}
	}
	p.do("Page.captureScreenshot", how, &answer)
	picture, err := base64.StdEncoding.DecodeString(answer.Data)
	p.must(err)
	p.must(os.WriteFile(file, picture, 0o644))
}
