package ledger

import "github.com/penstock/penstock"

// keyring remembers the latest idempotency keys of a controller and what came
// with them. Older keys are forgotten; the record knows them.
type keyring struct {
	prints map[string]penstock.Fingerprint
	order  []string          // in the order of their arrival, oldest first
	claims map[string]*Claim // reports under way, by key
}

func (k *keyring) add(key string, fingerprint penstock.Fingerprint, limit int) {
	if k.prints == nil {
		k.prints = map[string]penstock.Fingerprint{}
	}
	if _, known := k.prints[key]; !known {
		k.order = append(k.order, key)
	}
	k.prints[key] = fingerprint
	for len(k.order) > limit {
		delete(k.prints, k.order[0])
		k.order = k.order[1:]
	}
}

func (k *keyring) remove(key string) {
	if _, known := k.prints[key]; !known {
		return
	}
	delete(k.prints, key)
	for i, other := range k.order {
		if other == key {
			k.order = append(k.order[:i:i], k.order[i+1:]...)
			return
		}
	}
}
