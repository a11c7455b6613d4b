// Package modbustest simulates Modbus devices on a connection, for tests.
package modbustest
