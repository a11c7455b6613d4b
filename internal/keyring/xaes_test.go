package keyring

import (
	"bytes"
	"encoding/hex"
	"testing"
)

// TestXAESVectors checks the published vectors of C2SP's XAES-256-GCM.
func TestXAESVectors(t *testing.T) {
	for _, v := range []struct {
		key       byte
		aad, want string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		key := [keySize]byte(bytes.Repeat([]byte{v.key}, keySize))
		aead, nonce, err := xaes(key, [xaesNonceSize]byte([]byte("ABCDEFGHIJKLMNOPQRSTUVWX")))
		if err != nil {
			t.Fatal(err)
		}
		sealed := aead.Seal(nil, nonce, []byte("XAES-256-GCM"), []byte(v.aad))
		if got := hex.EncodeToString(sealed); got != v.want {
			t.Errorf("sealed to %s, want %s", got, v.want)
		}
	}
}

// FuzzDecode: whatever stands in a keyring file, it is refused or it is what
// was written.
func FuzzDecode(f *testing.F) {
	k := newKEK([keySize]byte{1})
	c := contents{generation: 3, node: [nodeSize]byte{7}, keys: []dataKey{{id: 9, key: [keySize]byte{5}}}}
	whole, err := encode(c, k, bytes.NewReader(make([]byte, 1024)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := decode(b, k)
		if err == nil && !bytes.Equal(b, whole) {
			t.Fatalf("forged keyring of generation %d opened", got.generation)
		}
	})
}

// FuzzParseKEK: a KEK that parses is written back the same but for spaces
// around it and the case of its digits.
func FuzzParseKEK(f *testing.F) {
	f.Add(encodeKEK(newKEK([keySize]byte{1})))
	f.Add([]byte(kekPrefix))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := parseKEK(b)
		if err == nil && !bytes.Equal(bytes.ToLower(bytes.TrimSpace(b)), bytes.TrimSpace(encodeKEK(k))) {
			t.Fatalf("%q parsed as another key", b)
		}
	})
}
