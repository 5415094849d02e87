// go-spiffe as a workload: fetches from the Workload API, serves and calls with mTLS, and judges other people's SVIDs.
// The first argument says what to do; JSON on stdin and stdout.
package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	commands := map[string]func() error{
		"fetch":  fetch,
		"watch":  watch,
		"serve":  serve,
		"call":   call,
		"verify": verify,
		"issue":  issue,
	}
	command, known := commands[os.Args[1]]
	if !known {
		fail(fmt.Errorf("unknown command %s", os.Args[1]))
	}
	if err := command(); err != nil {
		fail(err)
	}
}

func read(into any) error { return json.NewDecoder(os.Stdin).Decode(into) }

func write(answer any) error { return json.NewEncoder(os.Stdout).Encode(answer) }

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
