package main

import (
	"fmt"
	"io"
	"net"
)

// pass hands connections on to the same port of a server, until a port fails. The real proxy chooses the server: here it
// is always the same.
func pass(server string, ports ...string) error {
	failed := make(chan error)
	for _, port := range ports {
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		go func() {
			for {
				client, err := listener.Accept()
				if err != nil {
					failed <- err
					return
				}
				go join(client, net.JoinHostPort(server, port))
			}
		}()
	}
	return <-failed
}

// join copies in both directions until one side ends.
func join(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{client, server}, {server, client}} {
		go func() {
			io.Copy(way[0], way[1])
			ended <- struct{}{}
		}()
	}
	<-ended
}
