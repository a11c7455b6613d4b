package decimal_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/decimal"
)

func number(t interface{ Fatal(...any) }, text string) (n decimal.Number) {
	if text != "" {
		if err := n.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func TestScaledAsAPersonWould(t *testing.T) {
	for _, c := range []struct {
		v             penstock.Value
		scale, offset string
		want          float64
	}{
		{penstock.IntValue(123), "0.1", "", 12.3},
		{penstock.UintValue(3), "0.1", "", 0.3},
		{penstock.IntValue(-40), "0.01", "", -0.4},
		{penstock.IntValue(215), "0.1", "-40", -18.5},
		{penstock.IntValue(7), "", "0.25", 7.25},
		{penstock.IntValue(5), "1e-3", "", 0.005},
		{penstock.IntValue(5), "2.5e2", "1e1", 1260},
		{penstock.UintValue(1<<64 - 1), "0.001", "", 18446744073709551.615},
		{penstock.FloatValue(12.3), "0.1", "", 1.23},
		{penstock.FloatValue(0.5), "", "1", 1.5},
	} {
		l, ok := decimal.NewLinear(number(t, c.scale), number(t, c.offset))
		if !ok {
			t.Fatal(c)
		}
		if got, ok := l.Apply(c.v); !ok || got != penstock.FloatValue(c.want) {
			t.Errorf("%v × %s + %s is %v, not %v", c.v, c.scale, c.offset, got, c.want)
		}
	}
	l, _ := decimal.NewLinear(number(t, "2"), decimal.Number{})
	if v, ok := l.Apply(penstock.TextValue("1")); ok {
		t.Errorf("a text became %v", v)
	}
}

// A whole number scaled is the float64 nearest to the true result, whatever the
// digits.
func TestNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		decimalText := rapid.StringMatching(`-?[0-9]{1,5}(\.[0-9]{1,6})?(e-?[0-4])?`)
		scale, offset := decimalText.Draw(t, "scale"), decimalText.Draw(t, "offset")
		l, ok := decimal.NewLinear(number(t, scale), number(t, offset))
		if !ok {
			t.Skip()
		}
		v := penstock.IntValue(rapid.Int64().Draw(t, "value"))
		if rapid.Bool().Draw(t, "unsigned") {
			v = penstock.UintValue(rapid.Uint64().Draw(t, "value"))
		}
		a, _ := new(big.Rat).SetString(scale)
		b, _ := new(big.Rat).SetString(offset)
		exact, _ := new(big.Rat).SetString(v.String())
		want, _ := exact.Add(exact.Mul(exact, a), b).Float64()
		got, ok := l.Apply(v)
		if !ok || got.Float() != want {
			t.Fatalf("%v × %s + %s is %v, not %v", v, scale, offset, got, want)
		}
	})
}

func TestNoNumbers(t *testing.T) {
	for _, text := range []string{"", "x", "1,5", "1.2.3", "1e99", "--1", "1.-5", "0x10", "12345678901234567890", "1e", "NaN", "0.0000000000000001"} {
		var n decimal.Number
		if err := n.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	if l, ok := decimal.NewLinear(decimal.Number{}, decimal.Number{}); l != nil || !ok {
		t.Error("nothing given is something")
	}
	if _, ok := decimal.NewLinear(number(t, "123456789012345"), number(t, "0.000000000000001")); ok {
		t.Error("too many digits were taken")
	}
}
