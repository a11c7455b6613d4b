package tree_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/penstock/penstock"
	"github.com/penstock/penstock/internal/mapping/tree"
)

func TestNumbers(t *testing.T) {
	for text, want := range map[string]penstock.Value{
		"12": penstock.IntValue(12), "-9223372036854775808": penstock.IntValue(-1 << 63), "18446744073709551615": penstock.UintValue(1<<64 - 1),
		"18446744073709551616": penstock.FloatValue(1 << 64), "1.0": penstock.FloatValue(1), "1e2": penstock.FloatValue(100), "0.1": penstock.FloatValue(0.1),
	} {
		if got, err := tree.ParseNumber(text); err != nil || got != want {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	if v, err := tree.ParseNumber("-0"); err != nil || v.Kind() != penstock.Float64 || v.Bits() != 1<<63 {
		t.Errorf("-0 is %v, %v", v, err)
	}
	for _, text := range []string{"", "1e400", "NaN", "Inf", "0x", "1,5", "1 2"} {
		if v, err := tree.ParseNumber(text); err == nil {
			t.Errorf("%q is %v", text, v)
		}
	}
}

func TestHostileJSON(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		code penstock.Code
	}{
		"deep":       {strings.Repeat("[", 100_000), penstock.Invalid},
		"many":       {"[" + strings.Repeat("0,", 1<<18) + "0]", penstock.TooLarge},
		"twice":      {`{"a":1,"a":2}`, penstock.Invalid},
		"behind":     {`{} {}`, penstock.Invalid},
		"cut":        {`{"a":`, penstock.Invalid},
		"empty":      {``, penstock.Invalid},
		"not UTF-8":  {"\"\xff\"", penstock.Invalid},
		"too large":  {`1e999`, penstock.Invalid},
		"no comma":   {`[1 2]`, penstock.Invalid},
		"last comma": {`[1,]`, penstock.Invalid},
	} {
		if v, err := tree.ParseJSON([]byte(c.body)); err == nil || penstock.CodeOf(err) != c.code {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
}

// Every document that is taken is one to the standard library, and walking all of
// it ends.
func FuzzParseJSON(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2.5,-0,null,true,"x"],"b":{"c":18446744073709551615}}`, `[]`, `"\ud800"`, `[1 2]`, `{"a":1,"a":1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := tree.ParseJSON(body)
		if err != nil {
			return
		}
		if !json.Valid(body) {
			t.Fatalf("%q was taken", body)
		}
		if again, err := tree.ParseJSON(body); err != nil || !reflect.DeepEqual(again, v) {
			t.Fatal("the second reading differs")
		}
		p, err := tree.ParsePath("[*]")
		if err == nil {
			tree.Walk(v, p.Steps, func(any) bool { return true })
		}
	})
}

func FuzzParseTemplate(f *testing.F) {
	for _, seed := range []string{"pump-{a.b[0].c}", "{{x}}", "{$topic.1}/{..v}", `{a["b c"][*]}`, "{", "}", "{}", "{.}", "{[0]}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, source string) {
		parsed, err := tree.ParseTemplate(source)
		if err != nil {
			if penstock.CodeOf(err) != penstock.Invalid {
				t.Fatal(err)
			}
			return
		}
		for _, p := range parsed.Parts {
			if p.Path == nil {
				continue
			}
			again, err := tree.ParsePath(p.Path.Text)
			if err != nil || !reflect.DeepEqual(&again, p.Path) {
				t.Fatalf("%q is %+v, and read again %+v, %v", p.Path.Text, p.Path, again, err)
			}
		}
	})
}

func TestPaths(t *testing.T) {
	v, err := tree.ParseJSON([]byte(`{"a":{"b c":[{"d":1},{"d":2},{}]},"":3}`))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]int64{
		`a["b c"][0].d`: {1}, `a["b c"][*].d`: {1, 2}, `a["b c"][9].d`: nil, `a[0]`: nil, `a.b`: nil, `a["b c"].d`: nil,
	} {
		p, err := tree.ParsePath(text)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []int64
		tree.Walk(v, p.Steps, func(v any) bool { got = append(got, v.(penstock.Value).Int()); return true })
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s gives %v, not %v", text, got, want)
		}
	}
	for _, text := range []string{"", "a.", "a..b", "a[", "a[-1]", "a[x]", `a["b]`, "a b", "$", "a]b", "a[0]b", strings.Repeat("a.", 40) + "a"} {
		if p, err := tree.ParsePath(text); err == nil {
			t.Errorf("%q was taken: %+v", text, p)
		}
	}
}
