package keyring_test

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/keyring"
)

func TestAKeyTravelsWrapped(t *testing.T) {
	fs := vfs.NewMem()
	ring, err := keyring.Open(fs, "keys", nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyring.ReadKey(fs, "keys")
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := key.Wrap([]byte("correct horse battery"), nil)
	if err != nil || bytes.Contains(wrapped, bytes.TrimSpace(key.Text())[len("penstock-kek-1 "):][:64]) {
		t.Fatalf("%s: %v", wrapped, err)
	}
	back, err := keyring.Unwrap(wrapped, []byte("correct horse battery"))
	if err != nil || back.ID() != key.ID() || !bytes.Equal(back.Text(), key.Text()) {
		t.Fatalf("%v: %v", back.ID(), err)
	}
	again, err := keyring.LoadUnder(fs, "keys", back)
	if err != nil || again.NodeID() != ring.NodeID() {
		t.Errorf("%v", err)
	}
	if _, err := keyring.Unwrap(wrapped, []byte("wrong horse battery")); penstock.CodeOf(err) != penstock.Unauthenticated {
		t.Errorf("a wrong passphrase: %v", err)
	}
	if _, err := keyring.Unwrap(wrapped[:40], []byte("correct horse battery")); penstock.CodeOf(err) != penstock.Corrupt {
		t.Errorf("half a key: %v", err)
	}
	if _, err := key.Wrap([]byte("short"), nil); penstock.CodeOf(err) != penstock.Invalid {
		t.Errorf("a short passphrase: %v", err)
	}
	other, err := keyring.Open(fs, "others", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Write(fs, "others"); penstock.CodeOf(err) != penstock.Conflict {
		t.Errorf("it took the place of the key of %x: %v", other.NodeID(), err)
	}
}
