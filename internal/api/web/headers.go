package web

import "net/http"

// securityHeaders stand on every answer: all that helmet sets, with stricter
// values where an API allows them, and more. The slices are shared by all
// answers: they are set, never appended to.
var securityHeaders = []struct {
	name  string
	value []string
}{
	{"Cache-Control", []string{"no-store"}},
	{"Content-Security-Policy", []string{"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}},
	{"Cross-Origin-Embedder-Policy", []string{"require-corp"}},
	{"Cross-Origin-Opener-Policy", []string{"same-origin"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	{"Origin-Agent-Cluster", []string{"?1"}},
	{"Permissions-Policy", []string{"camera=(), display-capture=(), fullscreen=(), geolocation=(), microphone=(), payment=(), usb=()"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Strict-Transport-Security", []string{"max-age=31536000; includeSubDomains"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Dns-Prefetch-Control", []string{"off"}},
	{"X-Download-Options", []string{"noopen"}},
	{"X-Frame-Options", []string{"DENY"}},
	{"X-Permitted-Cross-Domain-Policies", []string{"none"}},
	{"X-Xss-Protection", []string{"0"}},
}

func setSecurityHeaders(h http.Header) {
	for i := range securityHeaders {
		h[securityHeaders[i].name] = securityHeaders[i].value
	}
}
