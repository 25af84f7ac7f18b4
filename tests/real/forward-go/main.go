// Sends events with fluent-logger-golang, each acknowledged: main PORT.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/fluent/fluent-logger-golang/fluent"
)

func main() {
	port, err := strconv.Atoi(os.Args[1])
	check(err)
	for _, precise := range []bool{false, true} {
		logger, err := fluent.New(fluent.Config{
			FluentHost: "127.0.0.1", FluentPort: port, RequestAck: true, SubSecondPrecision: precise, TagPrefix: "go",
		})
		check(err)
		for n := 0; n < 20; n++ {
			check(logger.Post("t", map[string]interface{}{"n": n, "precise": precise}))
		}
		check(logger.Close())
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
