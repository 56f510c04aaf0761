// Command k3d-proxy passes connections on to the nodes of a k3d cluster, as nginx does in k3d's own image: k3d
// writes a file that names the ports, and the nodes of each, and waits for a line in the log.
package main

import (
	"bufio"
	"io"
	"log"
	"net"
	"os"
	"strings"
	"time"
)

const (
	values  = "/etc/confd/values.yaml"
	started = "start worker processes"
)

func main() {
	for port, nodes := range ports(read()) {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		go serve(listener, net.JoinHostPort(nodes[0], port))
	}
	log.Print(started)
	select {}
}

// read waits until k3d has written the file, which it does after the container has started.
func read() *os.File {
	for {
		if file, err := os.Open(values); err == nil {
			return file
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ports returns the nodes behind each TCP port, out of a file such as
//
//	ports:
//	  6443.tcp:
//	    - k3d-dc1-server-0
//	settings:
//	  workerConnections: 1024
func ports(file *os.File) map[string][]string {
	found, port := map[string][]string{}, ""
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		node, isNode := strings.CutPrefix(line, "- ")
		switch name, isTCP := strings.CutSuffix(strings.Trim(line, `"`), ".tcp:"); {
		case isNode && port != "":
			found[port] = append(found[port], node)
		case isTCP:
			port = strings.Trim(name, `"`)
		default:
			port = ""
		}
	}
	return found
}

func serve(listener net.Listener, node string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go pass(client.(*net.TCPConn), node)
	}
}

// pass copies both ways until the node has ended its side.
func pass(client *net.TCPConn, node string) {
	defer client.Close()
	server, err := net.Dial("tcp", node)
	if err != nil {
		log.Print(err)
		return
	}
	defer server.Close()
	go half(server.(*net.TCPConn), client)
	half(client, server.(*net.TCPConn))
}

func half(to, from *net.TCPConn) {
	io.Copy(to, from)
	to.CloseWrite()
}
