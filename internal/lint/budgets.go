package lint

// budget is a limit for code that runs in the gateway, and a looser one for
// tests, where a table or a long scenario often reads best in one piece.
type budget struct{ code, test int }

func (b budget) of(test bool) int {
	if test {
		return b.test
	}
	return b.code
}

// The budgets of the house. Code that people admire keeps well below them.
var (
	functionBudget   = budget{code: 70, test: 160}  // lines
	complexityBudget = budget{code: 15, test: 25}   // cyclomatic
	fileBudget       = budget{code: 500, test: 800} // lines
	parameterBudget  = budget{code: 5, test: 6}
)

// Budgets that tests do not have.
const (
	maxPackageLines     = 2000
	maxStructFields     = 20
	maxTypeMethods      = 30
	maxInterfaceMethods = 5
)
