package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// setScalar writes a scalar node into dst and returns what is wrong with it, or
// "". It never repeats the value of a secret.
func setScalar(dst reflect.Value, node ast.Node) string {
	text, ok := scalarText(node)
	if !ok {
		return "needs a single value, this is " + article(node)
	}
	if d, ok := dst.Addr().Interface().(*time.Duration); ok {
		parsed, err := ParseDuration(text)
		if err != nil {
			return err.Error()
		}
		*d = parsed
		return ""
	}
	if reads, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := reads.UnmarshalText([]byte(text)); err != nil {
			return err.Error()
		}
		return ""
	}
	return setBasic(dst, node, text)
}

func setBasic(dst reflect.Value, node ast.Node, text string) string {
	quoted := isQuoted(node)
	switch dst.Kind() {
	case reflect.String:
		if _, isBool := node.(*ast.BoolNode); isBool {
			return fmt.Sprintf("needs a text, this is true or false: write %q in quotes if the word is meant", text)
		}
		dst.SetString(text)
		return ""
	case reflect.Bool:
		if v := strings.ToLower(text); !quoted && (v == "true" || v == "false") {
			dst.SetBool(v == "true")
			return ""
		}
		return "needs true or false, " + notThis(node, text)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(text, dst.Type().Bits())
		if quoted || err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return "needs a number, " + notThis(node, text)
		}
		dst.SetFloat(f)
		return ""
	}
	if !quoted && (dst.CanInt() || dst.CanUint()) {
		return setWhole(dst, text)
	}
	return "needs a whole number, " + notThis(node, text)
}

func setWhole(dst reflect.Value, text string) string {
	base := 10
	if digits := strings.TrimLeft(text, "+-"); len(digits) > 1 && digits[0] == '0' && strings.ContainsAny(digits[1:2], "xob") {
		base = 0
	}
	bits := dst.Type().Bits()
	if dst.CanInt() {
		v, err := strconv.ParseInt(text, base, bits)
		if err != nil {
			if bits == 64 {
				return fmt.Sprintf("needs a whole number, not %q", text)
			}
			return fmt.Sprintf("needs a whole number from %d to %d, not %q", int64(-1)<<(bits-1), int64(1)<<(bits-1)-1, text)
		}
		dst.SetInt(v)
		return ""
	}
	v, err := strconv.ParseUint(text, base, bits)
	if err != nil {
		return fmt.Sprintf("needs a whole number from 0 to %d, not %q", uint64(math.MaxUint64)>>(64-bits), text)
	}
	dst.SetUint(v)
	return ""
}

func notThis(node ast.Node, text string) string {
	if isQuoted(node) {
		return fmt.Sprintf("not the text %q: remove the quotes", text)
	}
	return fmt.Sprintf("not %q", text)
}

// scalarText returns the text of a scalar as it was written, without quotes.
func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return node.GetToken().Value, true
	}
	return "", false
}

func isQuoted(node ast.Node) bool {
	tk := node.GetToken()
	return tk != nil && (tk.Type == token.SingleQuoteType || tk.Type == token.DoubleQuoteType)
}
