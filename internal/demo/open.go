package demo

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/sim"
)

// invite tells how to look at the gateway in a browser, and opens one when that was
// asked for. Nothing here keeps the demo from running.
func (d *demo) invite(ctx context.Context, e sim.Endpoint, token string) {
	address, err := signInLink(ctx, e)
	if err != nil || d.KillEvery > 0 { // a gateway that ends forgets its links
		d.say("Look at it in a browser: %s/\n", e.URL)
		d.say("  Sign in with the token in %s.\n", token)
	} else {
		d.say("Look at it in a browser, signed in by this link, which does once and for ten minutes:\n  %s\n", address)
		d.say("  Later, or again: %s/ with the token in %s\n", e.URL, token)
	}
	d.say("  The browser warns of the certificate, which this gateway made for itself: go on.\n")
	if !d.Open || err != nil || !display(os.Getenv) {
		return
	}
	if err := browse(address); err != nil {
		d.say("  No browser could be opened: %v\n", err)
	}
}

// signInLink has the gateway make a link that signs in once.
func signInLink(ctx context.Context, e sim.Endpoint) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	client := sim.NewClient(e.Roots, 1)
	defer client.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.URL+"/v1/session/links", nil)
	if err != nil {
		return "", err
	}
	r.Header.Set("Authorization", "Bearer "+e.Token)
	answer, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() // only read from
	if answer.StatusCode != http.StatusCreated {
		return "", penstock.Errorf(penstock.Internal, "the gateway made no sign-in link: %s", answer.Status)
	}
	var link struct{ Path string }
	err = json.NewDecoder(io.LimitReader(answer.Body, 4<<10)).Decode(&link)
	return e.URL + link.Path, err
}

// display tells whether a person sits before this machine.
func display(getenv func(string) string) bool {
	if getenv("CI") != "" {
		return false
	}
	return runtime.GOOS != "linux" || getenv("DISPLAY") != "" || getenv("WAYLAND_DISPLAY") != ""
}

// browse opens an address in the person's browser, and leaves that to itself.
func browse(address string) error {
	opener := "xdg-open"
	if runtime.GOOS == "darwin" {
		opener = "open"
	}
	cmd := exec.Command(opener, address)
	if err := cmd.Start(); err != nil {
		return err
	}
	return cmd.Process.Release()
}
