package config_test

import (
	"encoding"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/penstock/penstock/internal/config"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "512": 512, "64MiB": 64 << 20, "64 mib": 64 << 20, "1.5GB": 1.5e9, "10kB": 10_000, "3B": 3, "8TiB": 8 << 40, "9223372036854775807": 1<<63 - 1,
	} {
		var got config.Size
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q gives %d, %v; want %d", text, got, err, want)
		}
	}
	refuse(t, new(config.Size), "", "x", "-1", "-1MiB", "MiB", "9223372036854775808", "8388608TiB", "1e30", "NaN", "Inf", "1 2")
}

func TestDuration(t *testing.T) {
	const day = 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"0": 0, "10s": 10 * time.Second, "3d": 3 * day, "2w": 14 * day, "1w1d1h": 8*day + time.Hour, "1h30m": 90 * time.Minute, "1.5s": 1500 * time.Millisecond,
	} {
		var got config.Duration
		if err := got.UnmarshalText([]byte(text)); err != nil || got.Std() != want {
			t.Errorf("%q gives %v, %v; want %v", text, got.Std(), err, want)
		}
	}
	refuse(t, new(config.Duration), "", "10", "-1s", "-1d", "1d-1h", "d", "1.5d", "3y", "200000w", "106751d24h", "1h1d", "15250w500d")
}

func TestAddress(t *testing.T) {
	tests := []struct {
		text, host    string
		port          uint16
		off, loopback bool
	}{
		{":8080", "", 8080, false, false}, {"127.0.0.1:0", "127.0.0.1", 0, false, true}, {"[::1]:80", "::1", 80, false, true},
		{"localhost:1", "localhost", 1, false, true}, {"example.org:65535", "example.org", 65535, false, false}, {"off", "", 0, true, false},
	}
	for _, want := range tests {
		var got config.Address
		if err := got.UnmarshalText([]byte(want.text)); err != nil {
			t.Error(err)
			continue
		}
		if got.Host() != want.host || got.Port() != want.port || got.Off() != want.off || got.Loopback() != want.loopback || got.String() != want.text {
			t.Errorf("%q gives host %q, port %d, off %v, loopback %v, %q", want.text, got.Host(), got.Port(), got.Off(), got.Loopback(), got)
		}
	}
	if zero := config.Address(""); !zero.Off() || zero.String() != "off" {
		t.Error("the zero address is not off")
	}
	refuse(t, new(config.Address), "", "8080", "host", "host:", "host:https", "host:65536", "host:-1", "a b:1", "http://x:1", "::1:80")
}

func refuse(t *testing.T, v encoding.TextUnmarshaler, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := v.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%T takes %q", v, text)
		}
	}
}

// What is printed is read back as the same value.
func TestValuesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := config.Size(rapid.Int64Min(0).Draw(t, "size"))
		var size2 config.Size
		if err := size2.UnmarshalText([]byte(size.String())); err != nil || size2 != size {
			t.Fatalf("%d prints as %q, read as %d, %v", size, size, size2, err)
		}
		duration := config.Duration(rapid.OneOf(rapid.Int64Min(0), rapid.Map(rapid.Int64Range(0, 1e6), func(n int64) int64 { return n * 1e9 })).Draw(t, "duration"))
		var duration2 config.Duration
		if err := duration2.UnmarshalText([]byte(duration.String())); err != nil || duration2 != duration {
			t.Fatalf("%d prints as %q, read as %d, %v", duration, duration, duration2, err)
		}
	})
}
