// Package api is the HTTPS API: reports in, queries and event streams out, and
// the management of credentials. It is a [penstock.Source] and puts together
// what its parts provide: web takes requests through one table of routes, ingest
// takes reports, query answers questions, problem and render are the forms of
// errors and answers.
package api
