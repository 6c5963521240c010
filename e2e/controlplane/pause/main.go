// Command pause holds a pod's namespaces for the pod's containers, and does nothing else. It is the sandbox image of the test
// node, where no registry can be reached for the usual one.
package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// As process 1, it is only ended by a signal that it asked for.
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	<-stop
}
