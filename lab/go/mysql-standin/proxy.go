package main

import (
	"fmt"
	"io"
	"net"
)

// pass hands connections on to the same port of a server. The real proxy chooses the server: here it is always the same.
func pass(server string, ports ...string) error {
	return listen(ports, func(client net.Conn, port string) { join(client, net.JoinHostPort(server, port)) })
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
