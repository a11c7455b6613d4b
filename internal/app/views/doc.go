// Package views shows the parts of a gateway as the API and the sources ask for them.
package views
