package session_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/evidence"
	"github.com/penstock/penstock/internal/source"
	"github.com/penstock/penstock/internal/source/opcua/session"
	"github.com/penstock/penstock/internal/source/sourcetest"
	"github.com/penstock/penstock/internal/testkit"
)

func environment(t *testing.T) source.Env {
	env := sourcetest.Env(evidence.NewBook(time.Now), nil, nil)
	env.Files = t.TempDir()
	return env
}

func filled(t *testing.T, security session.Security) session.Settings {
	t.Helper()
	s := session.Settings{Endpoint: "opc.tcp://plant.example:4840", Security: security}
	if err := s.Fill(); err != nil {
		t.Fatal(err)
	}
	return s
}

func pinned(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func TestWhomToBelieve(t *testing.T) {
	ours, others := testkit.NewAuthority(t), testkit.NewAuthority(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, ours.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	good, again := ours.Server(t, "plant.example").Certificate[0], ours.Server(t, "plant.example").Certificate[0]
	elsewhere, strange := ours.Server(t, "office.example").Certificate[0], others.Server(t, "plant.example").Certificate[0]
	for _, c := range []struct {
		name     string
		security session.Security
		shown    []byte
		believed bool
	}{
		{"the one", session.Security{Trust: pinned(good)}, good, true},
		{"the one with others behind it", session.Security{Trust: pinned(good)}, append(append([]byte{}, good...), again...), true},
		{"another of the same name", session.Security{Trust: pinned(good)}, again, false},
		{"another with the one behind it", session.Security{Trust: pinned(good)}, append(append([]byte{}, again...), good...), false},
		{"signed", session.Security{CA: file}, good, true},
		{"signed for another host", session.Security{CA: file}, elsewhere, false},
		{"signed by others", session.Security{CA: file}, strange, false},
		{"nothing", session.Security{Trust: pinned(good)}, nil, false},
		{"garbage", session.Security{CA: file}, []byte("garbage"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := session.Believe(filled(t, c.security), environment(t), c.shown)
			if c.believed != (err == nil) || err != nil && penstock.CodeOf(err) != penstock.Unauthenticated {
				t.Errorf("the error is %v", err)
			}
		})
	}
}

// The first is kept, for this endpoint, beyond the process.
func TestTheFirstIsKept(t *testing.T) {
	authority := testkit.NewAuthority(t)
	first, second := authority.Server(t, "plant.example").Certificate[0], authority.Server(t, "plant.example").Certificate[0]
	env, s := environment(t), filled(t, session.Security{Trust: "first"})
	for range 2 {
		if err := session.Believe(s, env, first); err != nil {
			t.Fatal(err)
		}
	}
	if err := session.Believe(s, env, second); penstock.CodeOf(err) != penstock.Unauthenticated {
		t.Errorf("another certificate: %v", err)
	}
	other := s
	other.Endpoint = "opc.tcp://other.example:4840"
	if err := session.Believe(other, env, second); err != nil {
		t.Errorf("another server: %v", err)
	}
}

func TestTheApplicationsCertificateIsMadeOnce(t *testing.T) {
	env, s := environment(t), filled(t, session.Security{Trust: "first"})
	one, err := session.Application(s, env)
	if err != nil {
		t.Fatal(err)
	}
	if two, err := session.Application(s, env); err != nil || two != one {
		t.Errorf("it was made anew: %v", err)
	}
	info, err := os.Stat(filepath.Join(env.Files, "opcua", "application.pem"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file with the key: %v, %v", info.Mode(), err)
	}
	if rest, err := filepath.Glob(filepath.Join(env.Files, "opcua", ".making-*")); err != nil || len(rest) > 0 {
		t.Errorf("left over: %v", rest)
	}
}
