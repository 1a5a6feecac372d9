// Command probe is what the tests run in pods: a web server that says who answered, and a client that asks.
//
//	probe serve [ADDRESS]   answer on ADDRESS (default :8080): "NODE HOSTNAME CLIENT"
//	probe get URL...        print what each answers; exit status 1 at the first that fails
//	probe sleep             do nothing until told to end
//	probe eat MEBIBYTES     fill so much memory, and do nothing until told to end
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// deadline for one answer: a service without an endpoint must not hang a test.
const deadline = 3 * time.Second

func main() {
	arguments := os.Args[1:]
	if len(arguments) == 0 {
		arguments = []string{"serve"}
	}
	switch arguments[0] {
	case "serve":
		address := ":8080"
		if len(arguments) > 1 {
			address = arguments[1]
		}
		fail(serve(address))
	case "get":
		for _, url := range arguments[1:] {
			fail(get(url))
		}
	case "eat":
		if len(arguments) != 2 {
			fail(errors.New("eat takes a number of MiB"))
		}
		mebibytes, err := strconv.Atoi(arguments[1])
		fail(err)
		filled := eat(mebibytes)
		fmt.Println("full")
		sleep()
		runtime.KeepAlive(filled)
	case "sleep":
		sleep()
	default:
		fail(fmt.Errorf("unknown command %q", arguments[0]))
	}
}

func sleep() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGINT, syscall.SIGTERM)
	<-ended
}

// eat returns memory of which every page was written to.
func eat(mebibytes int) [][]byte {
	filled := make([][]byte, mebibytes)
	for index := range filled {
		filled[index] = make([]byte, 1<<20)
		for at := 0; at < len(filled[index]); at += os.Getpagesize() {
			filled[index][at] = 1
		}
	}
	return filled
}

func serve(address string) error {
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	answer := func(to http.ResponseWriter, request *http.Request) {
		fmt.Fprintf(to, "%s %s %s\n", os.Getenv("NODE"), name, request.RemoteAddr)
	}
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(answer), ReadHeaderTimeout: deadline}
	return server.ListenAndServe()
}

func get(url string) error {
	client := http.Client{Timeout: deadline}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	return nil
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
