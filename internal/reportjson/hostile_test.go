package reportjson_test

import (
	"runtime"
	"strings"
	"testing"
)

const good = `{"controller":"c","epoch":1,"seq":1,"samples":[{"point":"p","value":1}]}`

// hostile returns bodies in the ways in which JSON readers were fooled before.
func hostile(t testing.TB) map[string]string {
	with := func(old, new string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("%q is not in the good body", old)
		}
		return strings.Replace(good, old, new, 1)
	}
	deep := strings.Repeat("[", 1_000_000)
	return map[string]string{
		"empty":                      "",
		"blank":                      " \n\t\r ",
		"byte order mark":            "\xef\xbb\xbf" + good,
		"UTF-16":                     "\xff\xfe{\x00",
		"NUL first":                  "\x00" + good,
		"NUL last":                   good + "\x00",
		"trailing brace":             good + "}",
		"trailing report":            good + good,
		"trailing comma":             good + ",",
		"trailing word":              good + " null",
		"two lines":                  good + "\n" + good,
		"form feed between":          with(`,"seq"`, ",\f"+`"seq"`),
		"no-break space between":     with(`,"seq"`, ",\u00a0"+`"seq"`),
		"comment":                    with(`,"seq"`, `,/**/"seq"`),
		"single quotes":              with(`"controller"`, `'controller'`),
		"key without quotes":         with(`"controller"`, `controller`),
		"number as key":              with(`"controller"`, `1`),
		"no colon":                   with(`"seq":`, `"seq" `),
		"no comma":                   with(`,"seq"`, ` "seq"`),
		"two commas":                 with(`,"seq"`, `,,"seq"`),
		"comma first":                with(`{"controller"`, `{,"controller"`),
		"comma before the brace":     with(`}]}`, `}],}`),
		"comma before the bracket":   with(`}]}`, `},]}`),
		"comma in the sample":        with(`1}]`, `1,}]`),
		"cut in a string":            good[:14],
		"duplicate key":              with(`"seq":1`, `"seq":1,"seq":2`),
		"duplicate key, same value":  with(`"seq":1`, `"seq":1,"seq":1`),
		"duplicate key, escaped":     with(`"seq":1`, `"seq":1,"\u0073eq":2`),
		"duplicate key, far apart":   with(`}]}`, `}],"controller":"c"}`),
		"duplicate samples":          with(`}]}`, `}],"samples":[]}`),
		"duplicate key of a sample":  with(`"value":1`, `"value":1,"value":2`),
		"duplicate, escaped, sample": with(`"value":1`, `"value":1,"v\u0061lue":2`),
		"case-folded key":            with(`"seq"`, `"SEQ"`),
		"case-folded beside the key": with(`"seq":1`, `"seq":1,"SEQ":2`),
		"long s folds to s":          with(`"seq"`, `"ſeq"`),
		"Kelvin sign folds to k":     `{"controller":"c","` + "\u212a" + `ey":"k","samples":[]}`,
		"key with a space":           with(`"seq"`, `"seq "`),
		"key with NUL":               with(`"seq"`, `"seq\u0000"`),
		"duplicate key as expected":  `{"controller":"c","samples":[{"value":1,"time":1,"point":"p"},{"time":1,"value":1,"time":2,"point":"p"}]}`,
		"report key as expected": `[{"controller":"c","samples":[{"point":"p","value":1}],"epoch":1,"seq":1},` +
			`{"controller":"c","key":"k","samples":[{"point":"p","value":1,"epoch":1}]}]`,
		"bad UTF-8 in a text":         with(`"value":1`, "\"value\":\"\xff\""),
		"bad UTF-8 in a long text":    with(`"value":1`, "\"value\":\"abc\xe2\x82defghijklmnopqrst\""),
		"continuation byte in a text": with(`"value":1`, "\"value\":\"a\x85bcdefghijklmnopqrst\""),
		"raw tab in a long text":      with(`"value":1`, "\"value\":\"abc\tdefghijklmnopqrst\""),
		"bad UTF-8 in a key":          with(`"epoch":1,"seq":1`, "\"key\":\"\xc3\""),
		"unknown key":                 with(`"seq":1`, `"seq":1,"x":1`),
		"unknown key of a sample":     with(`"value":1`, `"value":1,"quality":1`),
		"prototype":                   with(`"value":1`, `"value":1,"__proto__":{}`),
		"report key in a sample":      with(`"value":1`, `"value":1,"seq":1`),
		"sample key in a report":      with(`"seq":1`, `"seq":1,"point":"p"`),
		"deep array":                  deep,
		"deep in samples":             with(`[{"point"`, deep+`[{"point"`),
		"deep in a value":             with(`"value":1`, `"value":`+deep),
		"deep objects":                strings.Repeat(`{"samples":`, 100_000),
		"deep under an unknown key":   with(`"seq":1`, `"x":`+deep),
		"array in array":              "[[" + good + "]]",
		"null":                        "null",
		"number":                      "1",
		"string":                      `"x"`,
		"null in an array":            "[" + good + ",null]",
		"null controller":             with(`"c"`, `null`),
		"number as controller":        with(`"c"`, `1`),
		"empty controller":            with(`"c"`, `""`),
		"controller with a slash":     with(`"c"`, `"a/b"`),
		"controller with a line feed": with(`"c"`, `"a\nb"`),
		"controller of 129 bytes":     with(`"c"`, `"`+strings.Repeat("c", 129)+`"`),
		"raw line feed in a string":   with(`"c"`, "\"a\nb\""),
		"raw tab in a long string":    with(`"c"`, "\"abcdefghijk\tlmnopqrstuvw\""),
		"lone byte 0xff":              with(`"c"`, "\"\xff\""),
		"overlong NUL":                with(`"c"`, "\"\xc0\x80\""),
		"surrogate in UTF-8":          with(`"c"`, "\"\xed\xa0\x80\""),
		"cut UTF-8":                   with(`"c"`, "\"abcdefgh\xe2\x82\""),
		"beyond Unicode":              with(`"c"`, "\"\xf4\x90\x80\x80\""),
		"bad UTF-8 beside an escape":  with(`"c"`, "\"\\n\xff\""),
		"lone high surrogate":         with(`"c"`, `"\ud800"`),
		"lone low surrogate":          with(`"c"`, `"\udc00"`),
		"surrogates the wrong way":    with(`"c"`, `"\udc00\ud800"`),
		"high surrogate and text":     with(`"c"`, `"\ud800abcdef"`),
		"control after an escape":     with(`"c"`, "\"\\n\n\""),
		"escape, then no end":         `{"controller":"a\n`,
		"many keys":                   `{` + strings.Repeat(`"x":1,`, 100_000) + `"x":1}`,
		"long unknown key":            `{"` + strings.Repeat("controller", 10_000) + `":1}`,
		"unknown escape":              with(`"c"`, `"\x41"`),
		"short escape":                with(`"c"`, `"\u12"`),
		"escape at the end":           `{"controller":"\`,
		"bad hex digit":               with(`"c"`, `"\u00g0"`),
		"string number as seq":        with(`"seq":1`, `"seq":"1"`),
		"float seq":                   with(`"seq":1`, `"seq":1.0`),
		"exponent seq":                with(`"seq":1`, `"seq":1e0`),
		"minus zero seq":              with(`"seq":1`, `"seq":-0`),
		"negative seq":                with(`"seq":1`, `"seq":-1`),
		"seq 0":                       with(`"seq":1`, `"seq":0`),
		"epoch 0":                     with(`"epoch":1`, `"epoch":0`),
		"seq 2^53":                    with(`"seq":1`, `"seq":9007199254740992`),
		"seq 2^64":                    with(`"seq":1`, `"seq":18446744073709551617`),
		"null seq":                    with(`"seq":1`, `"seq":null`),
		"seq without epoch":           with(`"epoch":1,`, ``),
		"epoch without seq":           with(`"seq":1,`, ``),
		"key beside seq":              with(`"seq":1`, `"seq":1,"key":"k"`),
		"empty key":                   with(`"epoch":1,"seq":1`, `"key":""`),
		"null key":                    with(`"epoch":1,"seq":1`, `"key":null`),
		"key of 256 bytes":            with(`"epoch":1,"seq":1`, `"key":"`+strings.Repeat("k", 256)+`"`),
		"no controller":               with(`"controller":"c",`, ``),
		"no samples":                  `{"controller":"c","epoch":1,"seq":1}`,
		"null samples":                `{"controller":"c","epoch":1,"seq":1,"samples":null}`,
		"samples as object":           `{"controller":"c","epoch":1,"seq":1,"samples":{}}`,
		"sample as array":             with(`{"point":"p","value":1}`, `["p",1]`),
		"no point":                    with(`"point":"p",`, ``),
		"empty point":                 with(`"p"`, `""`),
		"point of 129 bytes":          with(`"p"`, `"`+strings.Repeat("p", 129)+`"`),
		"point with a C1 control":     with(`"p"`, `"a\u0085"`),
		"no value":                    with(`,"value":1`, ``),
		"null without a status":       with(`"value":1`, `"value":null`),
		"null and good":               with(`"value":1`, `"value":null,"status":"Good"`),
		"null and uncertain":          with(`"value":1`, `"status":"Uncertain","value":null`),
		"object as value":             with(`"value":1`, `"value":{"$numberLong":"1"}`),
		"text of 65537 bytes":         with(`"value":1`, `"value":"`+strings.Repeat("x", 65537)+`"`),
		"unknown status":              with(`"value":1`, `"value":1,"status":"Fine"`),
		"status in lower case":        with(`"value":1`, `"value":1,"status":"good"`),
		"status with more after it":   with(`"value":1`, `"value":1,"status":"GoodX"`),
		"empty status":                with(`"value":1`, `"value":1,"status":""`),
		"status 2^32":                 with(`"value":1`, `"value":1,"status":4294967296`),
		"negative status":             with(`"value":1`, `"value":1,"status":-1`),
		"float status":                with(`"value":1`, `"value":1,"status":0.0`),
		"null status":                 with(`"value":1`, `"value":1,"status":null`),
		"native 2^32":                 with(`"value":1`, `"value":1,"native":4294967296`),
		"string native":               with(`"value":1`, `"value":1,"native":"1"`),
		"unit of 33 bytes":            with(`"value":1`, `"value":1,"unit":"`+strings.Repeat("u", 33)+`"`),
		"unit with a control":         with(`"value":1`, `"value":1,"unit":"\u0007"`),
		"null unit":                   with(`"value":1`, `"value":1,"unit":null`),
		"historical as number":        with(`"value":1`, `"value":1,"historical":1`),
		"historical as string":        with(`"value":1`, `"value":1,"historical":"true"`),
		"historical cut":              `{"controller":"c","samples":[{"point":"p","value":1,"historical":tr`,
		"good cut":                    `{"controller":"c","samples":[{"point":"p","value":1,"status":"Goo`,
		"array without an end":        "[" + good,
		"array with a hole":           "[" + good + ",," + good + "]",
		"array, the last one bad":     "[" + good + "," + with(`"value":1`, `"value":nan`) + "]",
	}
}

// TestHostileBodies also sees that to refuse a body takes no memory beside the
// two copies that the test itself makes.
func TestHostileBodies(t *testing.T) {
	decodeOne(t, good)
	for name, body := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			before := m.TotalAlloc
			refused(t, body)
			runtime.ReadMemStats(&m)
			if taken := m.TotalAlloc - before; taken > uint64(1<<18+2*len(body)) {
				t.Errorf("%d bytes allocated to refuse %d", taken, len(body))
			}
		})
	}
	for n := range good {
		refused(t, good[:n])
	}
}
