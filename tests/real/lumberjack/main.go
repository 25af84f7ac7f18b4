// The server and the clients of go-lumber, for the tests.
//
//	lumberjack serve ADDRESS FILE     appends the number of each event to FILE, then acknowledges its window
//	lumberjack send ADDRESS N MODE    sends N events in windows of 100; MODE is sync-LEVEL or async-LEVEL
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	client "github.com/elastic/go-lumber/client/v2"
	"github.com/elastic/go-lumber/server"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == "serve" {
		serve(os.Args[2], os.Args[3])
	} else if len(os.Args) == 5 && os.Args[1] == "send" {
		send(os.Args[2], os.Args[3], os.Args[4])
	} else {
		fail(fmt.Errorf("serve ADDRESS FILE, or send ADDRESS N MODE"))
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(address, file string) {
	out, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	fail(err)
	s, err := server.ListenAndServe(address, server.V1(true), server.V2(true), server.Keepalive(time.Second))
	fail(err)
	fmt.Println("READY")
	for batch := range s.ReceiveChan() {
		var lines strings.Builder
		for _, event := range batch.Events {
			fmt.Fprintf(&lines, "%v\n", event)
		}
		_, err := out.WriteString(lines.String())
		fail(err)
		batch.ACK()
	}
}

func send(address, count, mode string) {
	n, err := strconv.Atoi(count)
	fail(err)
	how, level, _ := strings.Cut(mode, "-")
	compress, err := strconv.Atoi(level)
	fail(err)
	var windows [][]interface{}
	for i := 0; i < n; i++ {
		if i%100 == 0 {
			windows = append(windows, nil)
		}
		last := len(windows) - 1
		windows[last] = append(windows[last], map[string]string{"message": fmt.Sprintf("number=%d.", i)})
	}
	if how == "sync" {
		c, err := client.SyncDial(address, client.CompressionLevel(compress))
		fail(err)
		for _, window := range windows {
			_, err := c.Send(window)
			fail(err)
		}
		return
	}
	c, err := client.AsyncDial(address, 4, client.CompressionLevel(compress))
	fail(err)
	var wait sync.WaitGroup
	for _, window := range windows {
		wait.Add(1)
		fail(c.Send(func(_ uint32, err error) {
			fail(err)
			wait.Done()
		}, window))
	}
	wait.Wait()
}
