package main

import (
	"errors"
	"time"

	"github.com/penstock/penstock/bench/bodies"
)

// measureDecoder returns how many readings a second decode takes out of bodies
// on one processor.
func measureDecoder(body bodies.Maker, readings int, length time.Duration, decode func([]byte) (int, error)) (float64, error) {
	all := make([][]byte, 256)
	for i := range all {
		all[i] = body(nil)
	}
	started, count := time.Now(), 0
	for n := 0; time.Since(started) < length; n++ {
		got, err := decode(all[n%len(all)])
		if err != nil {
			return 0, err
		}
		if got != readings {
			return 0, errors.New("the decoder lost a reading")
		}
		count += got
	}
	return float64(count) / time.Since(started).Seconds(), nil
}
