package web

import "net/http"

// securityHeaders stand on every answer: all that helmet sets, with stricter
// values where an API allows them, and more. The slices are shared by all
// answers: they are set, never appended to.
var securityHeaders = http.Header{
	"Cache-Control":                     {"no-store"},
	"Content-Security-Policy":           {"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
	"Cross-Origin-Embedder-Policy":      {"require-corp"},
	"Cross-Origin-Opener-Policy":        {"same-origin"},
	"Cross-Origin-Resource-Policy":      {"same-origin"},
	"Origin-Agent-Cluster":              {"?1"},
	"Permissions-Policy":                {"camera=(), display-capture=(), fullscreen=(), geolocation=(), microphone=(), payment=(), usb=()"},
	"Referrer-Policy":                   {"no-referrer"},
	"Strict-Transport-Security":         {"max-age=31536000; includeSubDomains"},
	"X-Content-Type-Options":            {"nosniff"},
	"X-Dns-Prefetch-Control":            {"off"},
	"X-Download-Options":                {"noopen"},
	"X-Frame-Options":                   {"DENY"},
	"X-Permitted-Cross-Domain-Policies": {"none"},
	"X-Xss-Protection":                  {"0"},
}

func setSecurityHeaders(h http.Header) {
	for name, value := range securityHeaders {
		h[name] = value
	}
}
