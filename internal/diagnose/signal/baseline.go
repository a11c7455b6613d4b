package signal

// baseline follows what a signal usually is, as a median that creeps.
type baseline struct {
	level float32
	n     uint32
}

// The creep of a baseline: a tenth of a step of a dB a bucket, so that a fade of
// hours does not become the usual.
const (
	learning = 10
	creep    = 0.02 // dB
)

func (b *baseline) learn(v float64, weak bool) {
	switch {
	case b.n < learning:
		b.n++
		b.level += (float32(v) - b.level) / float32(b.n)
	case weak:
	case float32(v) > b.level:
		b.level += creep
	case float32(v) < b.level:
		b.level -= creep
	}
}

func (b *baseline) known() bool { return b.n >= 3 }
