package pause_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/internal/pause"
)

func TestItLastsAsLongAsItIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		if err := pause.For(t.Context(), time.Hour); err != nil || time.Since(began) != time.Hour {
			t.Errorf("it lasted %v: %v", time.Since(began), err)
		}
		if err := pause.For(t.Context(), -time.Second); err != nil || time.Since(began) != time.Hour {
			t.Errorf("none lasted %v: %v", time.Since(began), err)
		}
	})
}

func TestItEndsWithItsContext(t *testing.T) {
	why := errors.New("the pump has stopped")
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Minute, func() { cancel(why) })
		if err := pause.For(ctx, time.Hour); !errors.Is(err, why) || time.Since(began) != time.Minute {
			t.Errorf("it lasted %v: %v", time.Since(began), err)
		}
		for _, d := range []time.Duration{0, time.Hour} {
			if err := pause.For(ctx, d); !errors.Is(err, why) {
				t.Errorf("after the end: %v", err)
			}
		}
	})
}
