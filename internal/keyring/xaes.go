package keyring

import (
	"crypto/aes"
	"crypto/cipher"
)

const (
	keySize       = 32
	xaesNonceSize = 24
	gcmNonceSize  = 12
	gcmOverhead   = 16
)

// xaes returns the AES-256-GCM instance and its nonce that XAES-256-GCM (C2SP)
// derives from a key and a nonce of 24 bytes. With so long a nonce, random ones
// are safe for ever; plain GCM would have to count its messages.
func xaes(key [keySize]byte, nonce [xaesNonceSize]byte) (cipher.AEAD, []byte, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, nil, err
	}
	var subkey [aes.BlockSize]byte // K1 of CMAC
	block.Encrypt(subkey[:], subkey[:])
	shiftLeft(&subkey)

	var derived [keySize]byte
	for i := range keySize / aes.BlockSize {
		m := [aes.BlockSize]byte{0, byte(i + 1), 'X', 0}
		copy(m[4:], nonce[:gcmNonceSize])
		for j := range m {
			m[j] ^= subkey[j]
		}
		block.Encrypt(derived[i*aes.BlockSize:], m[:])
	}
	aead, err := newGCM(derived[:])
	return aead, nonce[gcmNonceSize:], err
}

// shiftLeft doubles b in GF(2^128), in constant time.
func shiftLeft(b *[aes.BlockSize]byte) {
	msb := b[0] >> 7
	for i := range len(b) - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[len(b)-1] = b[len(b)-1]<<1 ^ msb*0x87
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
